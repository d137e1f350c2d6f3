/** A store that writes down every claim, renewal and release that passes, for the linearizability check. */
import type {
  KeyValueStore,
  Operation as StoreOperation,
  Transaction,
  TransactionResult,
} from "agent/subnet-manager/etcd/key-value-store.ts";
import type { Action, Operation } from "./linearizability.ts";

/** Wraps the store of one node. Refusals say nothing of one key, since a claim is on condition of the whole prefix: left out. */
export function recording(
  store: KeyValueStore,
  owner: string,
  history: Operation[],
): KeyValueStore {
  const record = async (
    transaction: Transaction,
    ask: () => Promise<TransactionResult>,
  ): Promise<TransactionResult> => {
    const calledAt = performance.now();
    const write = (outcome: "done" | "unknown"): void => {
      for (const operation of transaction.success) {
        const action = actionOf(operation, transaction);
        if (action === undefined || operation.action === "range") continue;
        const answeredAt = performance.now();
        history.push({ key: operation.key, owner, action, calledAt, answeredAt, outcome });
      }
    };
    try {
      const result = await ask();
      if (result.succeeded) write("done");
      return result;
    } catch (error) {
      write("unknown");
      throw error;
    }
  };
  return {
    endpoints: store.endpoints,
    range: (range, options) => store.range(range, options),
    txn: (transaction, options) => record(transaction, () => store.txn(transaction, options)),
    watch: (range, fromRevision, options) => store.watch(range, fromRevision, options),
    grantLease: (ttlSeconds, options) => store.grantLease(ttlSeconds, options),
    revokeLease: (leaseId, options) => store.revokeLease(leaseId, options),
    timeToLive: (leaseId, options) => store.timeToLive(leaseId, options),
    reconnect: () => store.reconnect(),
    close: () => store.close(),
  };
}

/** A put on condition that its key is as it was read renews; any other takes the key. */
function actionOf(operation: StoreOperation, { compare }: Transaction): Action | undefined {
  if (operation.action === "range") return undefined;
  if (operation.action === "delete") return "release";
  const knows = compare.some(
    (one) =>
      "key" in one &&
      one.key === operation.key &&
      one.target === "modRevision" &&
      one.is === "equal" &&
      one.to > 0,
  );
  return knows ? "renew" : "acquire";
}
