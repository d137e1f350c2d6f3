/** What befalls a healthy and a mutated agent alike, at a point that a plan in seconds cannot hit. */
import { storeUnavailable } from "agent/subnet-manager/etcd/errors.ts";
import { type WrapStore, isList, wrapped } from "./wrapped.ts";

/** The second transaction, which is the first renewal, is done and its reply lost. */
export const losesReplyOfRenewal: WrapStore = (store) => {
  let transactions = 0;
  return wrapped(store, {
    txn: async (transaction, options) => {
      const result = await store.txn(transaction, options);
      if (++transactions !== 2) return result;
      throw storeUnavailable("txn", store.endpoints, new Error("reply lost"));
    },
  });
};

/** The first list of all leases after the first watch of them has no answer. */
export const losesFirstRelist: WrapStore = (store) => {
  let [watched, lost] = [false, false];
  return wrapped(store, {
    watch: (range, fromRevision, options) => {
      watched ||= isList(range);
      return store.watch(range, fromRevision, options);
    },
    range: async (range, options) => {
      const result = await store.range(range, options);
      if (!watched || lost || !isList(range)) return result;
      lost = true;
      throw storeUnavailable("range", store.endpoints, new Error("reply lost"));
    },
  });
};
