/** What the reference does wrong when it writes leases, as wrapped stores. */
import { AgentError } from "agent/core/errors.ts";
import type {
  Compare,
  Operation,
  RequestOptions,
  Transaction,
  TransactionResult,
} from "agent/subnet-manager/etcd/key-value-store.ts";
import { type WrapStore, wrapped } from "./wrapped.ts";

type Txn = (transaction: Transaction, options?: RequestOptions) => Promise<TransactionResult>;

/** The condition over all leases holds whatever was written: only the exact key is guarded. */
export const guardsTheExactKeyOnly: WrapStore = (store) =>
  wrapped(store, {
    txn: (transaction, options) =>
      store.txn(
        {
          ...transaction,
          compare: transaction.compare.map((compare) =>
            "prefix" in compare && compare.target !== "lease"
              ? { ...compare, to: Number.MAX_SAFE_INTEGER }
              : compare,
          ),
        },
        options,
      ),
  });

/** There is no condition over all leases. */
export const dropsThePrefixCompare: WrapStore = (store) =>
  wrapped(store, {
    txn: (transaction, options) => {
      const compare = transaction.compare.filter((one) => !("prefix" in one));
      return store.txn({ ...transaction, compare }, options);
    },
  });

/** What a new lease replaces is left where it is. */
export const keepsReplacedKeys: WrapStore = (store) =>
  wrapped(store, {
    txn: (transaction, options) => {
      const success = transaction.success.filter(({ action }) => action !== "delete");
      return store.txn({ ...transaction, success }, options);
    },
  });

/** A lost race for a new key is an error that nobody expects. Source: flannel registry.go errSubnetAlreadyexists. */
export const lostRaceIsAnError: WrapStore = (store) =>
  wrapped(store, {
    txn: async (transaction, options) => {
      const result = await store.txn(transaction, options);
      if (!result.succeeded && transaction.compare.some(isAbsence))
        throw new AgentError("store-unavailable", "subnet already exists");
      return result;
    },
  });

/** A key that is there is written whoever wrote it last. Source: flannel registry.go updateSubnet. */
export const renewsUnconditionally: WrapStore = (store) =>
  wrapped(store, { txn: (transaction, options) => store.txn(unconditional(transaction), options) });

/** A renewal that came too late is written all the same: the timer fired, so the lease must be ours. */
export const forcesRefusedRenewals: WrapStore = (store) => {
  const txn: Txn = async (transaction, options) => {
    const result = await store.txn(transaction, options);
    const isRenewal = transaction.compare.every((compare) => !isAbsence(compare));
    if (result.succeeded || !isRenewal) return result;
    return store.txn({ ...transaction, compare: [] }, options);
  };
  return wrapped(store, { txn });
};

/** A put without an answer takes its new lease back. Source: flannel registry.go createSubnet, updateSubnet. */
export const revokesAfterLostReply: WrapStore = (store) => {
  const txn: Txn = async (transaction, options) => {
    try {
      return await store.txn(transaction, options);
    } catch (error) {
      const leaseId = transaction.success.map(leaseOf).find((one) => one !== undefined);
      if (leaseId !== undefined) await store.revokeLease(leaseId);
      throw error;
    }
  };
  return wrapped(store, { txn });
};

/** A lease once replaced is left to run out. Source: flannel registry.go updateSubnet. */
export const neverRevokes: WrapStore = (store) =>
  wrapped(store, { revokeLease: () => Promise.resolve() });

/** The first renewal without an answer is the last. */
export const stopsRenewingAfterAFailure: WrapStore = (store) => {
  let [claimed, gaveUp] = [false, false];
  return wrapped(store, {
    txn: async (transaction, options) => {
      const result = await store.txn(transaction, options);
      claimed ||= result.succeeded;
      return result;
    },
    grantLease: async (ttlSeconds, options) => {
      if (gaveUp) await endOf(options?.signal);
      try {
        return await store.grantLease(ttlSeconds, options);
      } catch (error) {
        gaveUp = claimed;
        throw error;
      }
    },
  });
};

/** A key that is lost is not taken again. */
export const neverTakesAgain: WrapStore = (store) => {
  let claimed = false;
  return wrapped(store, {
    txn: async (transaction, options) => {
      if (claimed && transaction.compare.some(isAbsence)) await endOf(options?.signal);
      const result = await store.txn(transaction, options);
      claimed ||= result.succeeded;
      return result;
    },
  });
};

/** Rejects when the signal aborts, and never otherwise resolves. */
function endOf(signal: AbortSignal | undefined): Promise<never> {
  return new Promise((_resolve, reject) => {
    if (signal?.aborted === true) reject(signal.reason);
    signal?.addEventListener("abort", () => reject(signal.reason), { once: true });
  });
}

function unconditional(transaction: Transaction): Transaction {
  const compare = transaction.compare.filter(
    (one) =>
      "prefix" in one || (one.target !== "lease" && (one.target !== "modRevision" || one.to === 0)),
  );
  return { ...transaction, compare };
}

function isAbsence(compare: Compare): boolean {
  return !("prefix" in compare) && compare.is === "equal" && compare.to === 0;
}

function leaseOf(operation: Operation): string | undefined {
  return operation.action === "put" ? operation.leaseId : undefined;
}
