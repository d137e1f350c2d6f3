import type { KeyRange, KeyValueStore } from "agent/subnet-manager/etcd/key-value-store.ts";

export type WrapStore = (store: KeyValueStore) => KeyValueStore;

/** A store that does some verbs otherwise. */
export function wrapped(store: KeyValueStore, verbs: Partial<KeyValueStore>): KeyValueStore {
  return {
    endpoints: store.endpoints,
    range: (range, options) => store.range(range, options),
    txn: (transaction, options) => store.txn(transaction, options),
    watch: (range, fromRevision, options) => store.watch(range, fromRevision, options),
    grantLease: (ttlSeconds, options) => store.grantLease(ttlSeconds, options),
    revokeLease: (leaseId, options) => store.revokeLease(leaseId, options),
    timeToLive: (leaseId, options) => store.timeToLive(leaseId, options),
    reconnect: () => store.reconnect(),
    close: () => store.close(),
    ...verbs,
  };
}

/** Whether a range is that of all leases. */
export function isList(range: KeyRange): range is { readonly prefix: string } {
  return "prefix" in range;
}
