import type { KeyValueStore } from "agent/subnet-manager/etcd/key-value-store.ts";
import type { Verb } from "agent/subnet-manager/etcd/memory-store.ts";

/** A store whose every request goes through `around`, which sends it by calling `ask` and answers with what that returns. */
export function wrapStore(
  store: KeyValueStore,
  around: <Answer>(verb: Verb, ask: () => Answer) => Answer,
): KeyValueStore {
  return {
    endpoints: store.endpoints,
    range: (range, options) => around("range", () => store.range(range, options)),
    txn: (transaction, options) => around("txn", () => store.txn(transaction, options)),
    watch: (range, fromRevision, options) =>
      around("watch", () => store.watch(range, fromRevision, options)),
    grantLease: (ttlSeconds, options) =>
      around("grantLease", () => store.grantLease(ttlSeconds, options)),
    revokeLease: (leaseId, options) =>
      around("revokeLease", () => store.revokeLease(leaseId, options)),
    timeToLive: (leaseId, options) =>
      around("timeToLive", () => store.timeToLive(leaseId, options)),
    reconnect: () => store.reconnect(),
    close: () => store.close(),
  };
}
