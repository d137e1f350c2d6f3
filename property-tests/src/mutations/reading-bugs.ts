/** What the reference does wrong when it lists and watches leases, as wrapped stores. */
import { AgentError } from "agent/core/errors.ts";
import { CompactedError, storeUnavailable } from "agent/subnet-manager/etcd/errors.ts";
import {
  type KeyRange,
  type KeyValue,
  type KeyValueStore,
  type RangeResult,
  type StoreEvent,
  type WatchBatch,
  keyOf,
  revisionOf,
} from "agent/subnet-manager/etcd/key-value-store.ts";
import type { MutatedNode } from "./port-mutation.ts";
import { type WrapStore, isList, wrapped } from "./wrapped.ts";

type Events = (batch: WatchBatch) => readonly StoreEvent[];

/** A store whose lists after the first watch, and whose watches of all leases, say something else. */
function retold(
  store: KeyValueStore,
  retell: {
    readonly relist?: (ask: () => Promise<RangeResult>) => Promise<RangeResult>;
    readonly events?: Events;
    readonly listed?: (result: RangeResult) => void;
  },
): KeyValueStore {
  let watched = false;
  async function* watch(
    ...[range, from, options]: Parameters<KeyValueStore["watch"]>
  ): AsyncGenerator<WatchBatch> {
    watched ||= isList(range);
    for await (const batch of store.watch(range, from, options))
      yield isList(range) && retell.events !== undefined
        ? { ...batch, events: retell.events(batch) }
        : batch;
  }
  return wrapped(store, {
    range: async (range, options) => {
      const ask = (): Promise<RangeResult> => store.range(range, options);
      if (!isList(range)) return ask();
      const result = await (watched && retell.relist !== undefined ? retell.relist(ask) : ask());
      retell.listed?.(result);
      return result;
    },
    watch,
  });
}

/** A key that was there before a relist keeps its old value. Source: flannel pkg/lease/lease.go LeaseWatcher.Reset. */
export const relistMissesNewAttributes: WrapStore = (store) => {
  const known = new Map<string, KeyValue>();
  return retold(store, {
    relist: async (ask) => {
      const result = await ask();
      return { ...result, entries: result.entries.map((entry) => known.get(entry.key) ?? entry) };
    },
    listed: ({ entries }) => {
      known.clear();
      for (const entry of entries) known.set(entry.key, entry);
    },
    events: ({ events }) => {
      for (const event of events)
        if (event.type === "put") known.set(event.entry.key, event.entry);
        else known.delete(event.key);
      return events;
    },
  });
};

/**
 * A relist shows the own subnet as somebody else's: under a key of the other kind, since an agent passes over its own key and its
 * own address. The reference is as wrong the other way round: it tells its backend that the own lease was removed.
 */
export const relistShowsOwnLease = (store: KeyValueStore, node: MutatedNode): KeyValueStore =>
  retold(store, {
    relist: async (ask) => {
      const result = await ask();
      const own = result.entries.find(({ value }) => value.includes(`"${node.publicIp}"`));
      if (own === undefined) return result;
      const [four = "", six] = own.key.split("&");
      const twin = {
        ...own,
        key: six === undefined ? `${four}&fd00:42::-124` : four,
        value: own.value.replace(node.publicIp, "192.0.2.250"),
      };
      return { ...result, entries: [...result.entries, twin] };
    },
  });

/** A list without an answer is an empty list. Source: flannel pkg/lease/lease.go, `Reset(nil)`. */
export const failedListIsEmpty: WrapStore = (store) => {
  let last: RangeResult | undefined;
  return retold(store, {
    relist: async (ask) => {
      try {
        return await ask();
      } catch (error) {
        if (last === undefined || !(error instanceof AgentError)) throw error;
        return { ...last, entries: [] };
      }
    },
    listed: (result) => (last = result),
    events: ({ revision, events }) => {
      if (last !== undefined) last = { ...last, revision: Math.max(last.revision, revision) };
      return events;
    },
  });
};

/** One event that cannot be read withdraws every lease. Source: flannel pkg/subnet/etcd/registry.go, parseSubnetWatchResponse. */
export const badEventWithdrawsAll: WrapStore = (store) => {
  const keys = new Set<string>();
  return retold(store, {
    listed: ({ entries }) => {
      for (const { key } of entries) keys.add(key);
    },
    events: ({ events }) => {
      for (const event of events) keys.add(keyOf(event));
      const bad = events.find(
        (event) => event.type === "put" && !event.entry.value.startsWith('{"PublicIP":"1'),
      );
      if (bad === undefined) return events;
      return [...keys].map((key) => ({ type: "delete", key, modRevision: revisionOf(bad) }));
    },
  });
};

/** History that is gone is asked for again and again. Source: flannel issue 2470. */
export const stuckOnCompaction: WrapStore = (store) =>
  wrapped(store, {
    async *watch(range, fromRevision, options): AsyncGenerator<WatchBatch> {
      try {
        yield* store.watch(range, fromRevision, options);
      } catch (error) {
        throw error instanceof CompactedError
          ? storeUnavailable("watch", store.endpoints, error)
          : error;
      }
    },
  });

/**
 * Keys without a lease look as if they had one that ran out, and no condition tells them apart. Source: flannel registry.go, time
 * to live -1.
 */
export const reservationLooksLikeALease: WrapStore = (store) => {
  const leased = (entry: KeyValue): KeyValue => ({ leaseId: "4711", ...entry });
  return wrapped(store, {
    txn: (transaction, options) => {
      const compare = transaction.compare.filter(({ target }) => target !== "lease");
      return store.txn({ ...transaction, compare }, options);
    },
    range: async (range, options) => {
      const result = await store.range(range, options);
      return { ...result, entries: result.entries.map(leased) };
    },
    async *watch(range, fromRevision, options): AsyncGenerator<WatchBatch> {
      for await (const batch of store.watch(range, fromRevision, options))
        yield {
          ...batch,
          events: batch.events.map((event) =>
            event.type === "put" ? { ...event, entry: leased(event.entry) } : event,
          ),
        };
    },
  });
};

/** The own key is watched, and what happens to it never told. */
export const deafToOwnKey: WrapStore = (store) =>
  wrapped(store, {
    async *watch(range: KeyRange, fromRevision, options): AsyncGenerator<WatchBatch> {
      for await (const batch of store.watch(range, fromRevision, options))
        if (isList(range)) yield batch;
    },
  });

/** Whatever has no answer is asked again at once, twenty times. Source: flannel issue 337. */
export const asksWithoutPause: WrapStore = (store) =>
  wrapped(store, {
    range: async (range, options) => {
      for (let tries = 1; ; tries++) {
        try {
          return await store.range(range, options);
        } catch (error) {
          if (tries === 20 || options?.signal?.aborted === true) throw error;
        }
      }
    },
  });

/** A watch that ends is answered with one list after the other, and not with one. Source: flannel issue 2470, a loop without a pause. */
export const relistsWithoutPause: WrapStore = (store) =>
  wrapped(store, {
    async *watch(range, fromRevision, options): AsyncGenerator<WatchBatch> {
      try {
        yield* store.watch(range, fromRevision, options);
      } catch (error) {
        for (let lists = 0; isList(range) && lists < 30; lists++) await store.range(range, options);
        throw error;
      }
    },
  });

/** A start does not find what the node holds already. */
export const overlooksOwnKey = (store: KeyValueStore, node: MutatedNode): KeyValueStore =>
  wrapped(store, {
    range: async (range, options) => {
      const result = await store.range(range, options);
      if (!isList(range)) return result;
      const entries = result.entries.filter(({ value }) => !value.includes(`"${node.publicIp}"`));
      return { ...result, entries };
    },
  });

const everSeen = new WeakMap<MutatedNode, Map<string, KeyValue>>();

/** A lease that ran out still counts as one. Source: flannel issue 875, which lets nobody take it before a day is over. */
export const countsDeadLeases = (store: KeyValueStore, node: MutatedNode): KeyValueStore => {
  const seen = everSeen.get(node) ?? new Map<string, KeyValue>();
  everSeen.set(node, seen);
  return wrapped(store, {
    range: async (range, options) => {
      const result = await store.range(range, options);
      if (!isList(range)) return result;
      for (const entry of result.entries) seen.set(entry.key, entry);
      const entries = [...seen.values()].filter(
        (entry) => result.entries.includes(entry) || !entry.value.includes(`"${node.publicIp}"`),
      );
      return { ...result, entries };
    },
  });
};
