import { afterEach, beforeEach, describe, expect, test } from "vitest";
import {
  type Compare,
  type KeyRange,
  type KeyValueStore,
  type StoreEvent,
  type TransactionResult,
  revisionOf,
} from "./key-value-store.ts";

/** A store to try, and what only its operator can do. */
export interface StoreUnderTest {
  readonly store: KeyValueStore;
  compact(revision: number): Promise<void>;
  /** Waits, in the store's own time, for something that takes a few seconds at most. */
  until(condition: () => Promise<boolean>): Promise<void>;
  close(): Promise<void>;
}

/** What every key-value store promises, whatever is behind it. */
export function keyValueStoreContract(name: string, open: () => Promise<StoreUnderTest>): void {
  describe(`the key-value store contract: ${name}`, () => {
    let opened: StoreUnderTest;
    let store: KeyValueStore;
    let stopped: AbortController;
    let testNumber = 0;
    /** Each test has a prefix of its own, so that a store may serve them all. */
    let prefix = "";

    beforeEach(async () => {
      opened = await open();
      ({ store } = opened);
      stopped = new AbortController();
      prefix = `/contract-${++testNumber}/`;
    });

    afterEach(async () => {
      stopped.abort(new Error("the test is over"));
      await opened.close();
    });

    const put = (key: string, value: string, leaseId?: string): Promise<TransactionResult> =>
      store.txn({
        compare: [],
        success: [
          {
            action: "put",
            key: prefix + key,
            value,
            ...(leaseId === undefined ? {} : { leaseId }),
          },
        ],
        failure: [],
      });
    const remove = (key: string): Promise<TransactionResult> =>
      store.txn({
        compare: [],
        success: [{ action: "delete", key: prefix + key }],
        failure: [],
      });
    const holds = async (compare: Compare): Promise<boolean> =>
      (await store.txn({ compare: [compare], success: [], failure: [] })).succeeded;
    const watched = async (
      range: KeyRange,
      fromRevision: number,
      count: number,
    ): Promise<StoreEvent[]> => {
      const events: StoreEvent[] = [];
      for await (const batch of store.watch(range, fromRevision, { signal: stopped.signal })) {
        events.push(...batch.events);
        if (events.length >= count) break;
      }
      return events;
    };
    const shown = (events: readonly StoreEvent[]): string[] =>
      events.map((event) =>
        event.type === "put"
          ? `put ${event.entry.key.slice(prefix.length)}=${event.entry.value}`
          : `delete ${event.key.slice(prefix.length)}`,
      );

    describe("reading and writing", () => {
      test("what is not there is an empty list, with a revision and a cluster", async () => {
        const { entries, revision, clusterId } = await store.range({ key: `${prefix}none` });
        expect(entries).toEqual([]);
        expect(revision).toBeGreaterThan(0);
        expect(clusterId).not.toBe("");
      });

      test("each write of a key counts its version and keeps its create revision", async () => {
        const first = await put("a", "1");
        const second = await put("a", "2");
        expect(second.revision).toBe(first.revision + 1);
        expect((await store.range({ key: `${prefix}a` })).entries).toEqual([
          {
            key: `${prefix}a`,
            value: "2",
            createRevision: first.revision,
            modRevision: second.revision,
            version: 2,
          },
        ]);
        await remove("a");
        await put("a", "3");
        expect((await store.range({ key: `${prefix}a` })).entries[0]).toMatchObject({ version: 1 });
      });

      test("a list of more than a thousand is whole, in key order and of one revision, though others write meanwhile", async () => {
        const names = Array.from({ length: 1100 }, (_, index) => `s/${1000 + index}`);
        const write = (keys: readonly string[], value: string): Promise<TransactionResult> =>
          store.txn({
            compare: [],
            success: keys.map((key) => ({ action: "put", key: prefix + key, value })),
            failure: [],
          });
        for (let start = 0; start < names.length; start += 100)
          await write(names.slice(start, start + 100), "0");
        // From now on first and last are always written together.
        const ends = [names[0] ?? "", names.at(-1) ?? ""];
        await write(ends, "1");
        const writer = new AbortController();
        const writing = (async (): Promise<void> => {
          for (let count = 2; !writer.signal.aborted; count++) await write(ends, String(count));
        })();
        try {
          for (let list = 0; list < 5; list++) {
            const { entries } = await store.range({ prefix: `${prefix}s/` });
            expect(entries.map(({ key }) => key.slice(prefix.length))).toEqual(names);
            expect(entries.at(-1)?.modRevision).toBe(entries[0]?.modRevision);
          }
        } finally {
          writer.abort(new Error("read often enough"));
          await writing;
        }
      });

      test("a prefix is read in key order, without its neighbours", async () => {
        await put("s0", "neighbour");
        await put("s/10.0.2.0-24", "two");
        await put("s/10.0.1.0-24", "one");
        await put("s", "neighbour");
        const { entries } = await store.range({ prefix: `${prefix}s/` });
        expect(entries.map((entry) => entry.value)).toEqual(["one", "two"]);
      });

      test("what changes nothing makes no revision: reads, and deleting what is not there", async () => {
        const { revision } = await put("a", "1");
        await store.range({ prefix });
        expect((await remove("none")).revision).toBe(revision);
        const unmet = { key: `${prefix}a`, target: "version", is: "greater", to: 1 } as const;
        expect(await holds(unmet)).toBe(false);
        expect((await store.range({ prefix })).revision).toBe(revision);
      });

      test("a key with an ampersand and a value with any letters come back as they were", async () => {
        const value = '{"PublicIP":"192.0.2.1","BackendData":"\\u003c ü 漢 \u0000"}';
        await put("10.12.13.0-24&fd00:12:13::-56", value);
        const key = `${prefix}10.12.13.0-24&fd00:12:13::-56`;
        expect((await store.range({ key })).entries[0]?.value).toBe(value);
      });
    });

    test("connecting anew ends a watch as a lost connection does, and costs nothing else", async () => {
      const { revision } = await put("a", "1");
      const watching = watched({ prefix }, revision, 2).catch((error: unknown) => error);
      await store.range({ prefix });
      store.reconnect();
      expect(await watching).toMatchObject({ code: "store-unavailable", retryable: true });
      await put("a", "2");
      expect(shown(await watched({ prefix }, revision, 2))).toEqual(["put a=1", "put a=2"]);
    });

    describe("transactions", () => {
      test("an absent key counts as zero in every comparison", async () => {
        const key = `${prefix}absent`;
        for (const target of ["version", "createRevision", "modRevision"] as const) {
          expect(await holds({ key, target, is: "equal", to: 0 })).toBe(true);
          expect(await holds({ key, target, is: "less", to: 1 })).toBe(true);
          expect(await holds({ key, target, is: "greater", to: 0 })).toBe(false);
        }
      });

      test("a present key is compared by what it carries", async () => {
        const { revision } = await put("a", "1");
        const later = await put("a", "2");
        const key = `${prefix}a`;
        expect(await holds({ key, target: "version", is: "equal", to: 2 })).toBe(true);
        expect(await holds({ key, target: "createRevision", is: "equal", to: revision })).toBe(
          true,
        );
        expect(await holds({ key, target: "modRevision", is: "equal", to: revision })).toBe(false);
        expect(
          await holds({ key, target: "modRevision", is: "greater", to: later.revision - 1 }),
        ).toBe(true);
      });

      test("a key is compared by the lease it hangs on, an absent one and one that does not run out by having none", async () => {
        const { leaseId } = await store.grantLease(60);
        const other = await store.grantLease(60);
        await put("leased", "1", leaseId);
        await put("kept", "1");
        const hangsOn = (which: string, to: string | undefined): Promise<boolean> =>
          holds({ key: prefix + which, target: "lease", is: "equal", to });
        expect(await hangsOn("leased", leaseId)).toBe(true);
        expect(await hangsOn("leased", other.leaseId)).toBe(false);
        expect(await hangsOn("leased", undefined)).toBe(false);
        expect(await hangsOn("kept", undefined)).toBe(true);
        expect(await hangsOn("kept", leaseId)).toBe(false);
        expect(await hangsOn("absent", undefined)).toBe(true);
        expect(await hangsOn("absent", leaseId)).toBe(false);
      });

      test("nothing-changed-here holds until any key under the prefix is written, and again once it is gone", async () => {
        await put("s/a", "1");
        const { revision } = await store.range({ prefix: `${prefix}s/` });
        const unchanged: Compare = {
          prefix: `${prefix}s/`,
          target: "modRevision",
          is: "less",
          to: revision + 1,
        };
        expect(await holds(unchanged)).toBe(true);
        await put("t", "elsewhere");
        expect(await holds(unchanged)).toBe(true);
        await put("s/b", "1");
        expect(await holds(unchanged)).toBe(false);
        await remove("s/b");
        expect(await holds(unchanged)).toBe(true);
        await remove("s/a");
        expect(await holds(unchanged)).toBe(true);
      });

      test("all writes of one transaction carry one revision", async () => {
        await put("old", "1");
        const { revision, succeeded } = await store.txn({
          compare: [{ key: `${prefix}new`, target: "version", is: "equal", to: 0 }],
          success: [
            { action: "delete", key: `${prefix}old` },
            { action: "put", key: `${prefix}new`, value: "2" },
          ],
          failure: [],
        });
        expect(succeeded).toBe(true);
        const { entries, revision: head } = await store.range({ prefix });
        expect(head).toBe(revision);
        expect(entries).toMatchObject([{ key: `${prefix}new`, modRevision: revision }]);
      });

      test("when a condition fails, only the failure part is done, and what it reads is handed back", async () => {
        await put("a", "mine");
        const result = await store.txn({
          compare: [{ key: `${prefix}a`, target: "version", is: "equal", to: 0 }],
          success: [{ action: "put", key: `${prefix}a`, value: "stolen" }],
          failure: [
            { action: "range", range: { key: `${prefix}a` } },
            { action: "range", range: { prefix: `${prefix}nothing` } },
          ],
        });
        expect(result.succeeded).toBe(false);
        expect(result.reads.map((read) => read.map((entry) => entry.value))).toEqual([
          ["mine"],
          [],
        ]);
      });
    });

    describe("leases", () => {
      test("leases granted one after the other are different ones", async () => {
        const [first, second] = [await store.grantLease(600), await store.grantLease(600)];
        expect(first.leaseId).not.toBe(second.leaseId);
        await store.revokeLease(first.leaseId);
        expect(await store.timeToLive(second.leaseId)).toBeGreaterThan(0);
        await store.revokeLease(second.leaseId);
      });

      test("a lease takes all its keys with it in one revision", async () => {
        const { leaseId } = await store.grantLease(600);
        await put("a", "1", leaseId);
        const { revision } = await put("b", "1", leaseId);
        await store.revokeLease(leaseId);
        const events = await watched({ prefix }, revision + 1, 2);
        expect(events.map((event) => event.type)).toEqual(["delete", "delete"]);
        expect(new Set(events.map(revisionOf))).toEqual(new Set([revision + 1]));
      });

      test("a key goes with its lease; revoking twice is no error", async () => {
        const { leaseId, ttlSeconds } = await store.grantLease(600);
        expect(ttlSeconds).toBe(600);
        await put("a", "1", leaseId);
        const [entry] = (await store.range({ prefix })).entries;
        expect(entry?.leaseId).toBe(leaseId);
        const left = await store.timeToLive(leaseId);
        expect(left).toBeGreaterThan(590);
        expect(left).toBeLessThanOrEqual(600);
        await store.revokeLease(leaseId);
        expect((await store.range({ prefix })).entries).toEqual([]);
        expect(await store.timeToLive(leaseId)).toBeUndefined();
        await store.revokeLease(leaseId);
      });

      test("a key written again with another lease stays when the first is revoked", async () => {
        const first = await store.grantLease(600);
        const second = await store.grantLease(600);
        await put("a", "1", first.leaseId);
        await put("a", "1", second.leaseId);
        await store.revokeLease(first.leaseId);
        expect((await store.range({ prefix })).entries).toMatchObject([
          { leaseId: second.leaseId },
        ]);
        await store.revokeLease(second.leaseId);
      });

      test("a write with a lease that is gone changes nothing", async () => {
        const { leaseId } = await store.grantLease(600);
        await store.revokeLease(leaseId);
        await expect(put("a", "1", leaseId)).rejects.toMatchObject({ code: "lease-lost" });
        expect((await store.range({ prefix })).entries).toEqual([]);
      });

      test("a lease that runs out removes its keys, and watchers hear of it", async () => {
        const { leaseId, ttlSeconds } = await store.grantLease(2);
        const { revision } = await put("a", "1", leaseId);
        expect(ttlSeconds).toBeGreaterThan(0);
        const events = watched({ prefix }, revision + 1, 1);
        await opened.until(async () => (await store.range({ prefix })).entries.length === 0);
        expect(shown(await events)).toEqual(["delete a"]);
        expect(await store.timeToLive(leaseId)).toBeUndefined();
      });
    });

    describe("watching", () => {
      test("history from a revision on comes first, then what happens, in order", async () => {
        const { revision } = await put("a", "1");
        await put("b", "2");
        const events = watched({ prefix }, revision, 4);
        await remove("a");
        await put("a", "3");
        expect(shown(await events)).toEqual(["put a=1", "put b=2", "delete a", "put a=3"]);
      });

      test("a batch says up to which revision everything is delivered", async () => {
        const { revision } = await put("a", "1");
        const last = await put("b", "2");
        let delivered = 0;
        for await (const batch of store.watch({ prefix }, revision, { signal: stopped.signal })) {
          delivered = batch.revision;
          if (delivered >= last.revision) break;
        }
        expect(delivered).toBe(last.revision);
      });

      test("a watch from a revision already seen says it again, and ends up the same", async () => {
        const { revision } = await put("a", "1");
        await put("b", "2");
        const once = await watched({ prefix }, revision, 2);
        expect(await watched({ prefix }, revision, 2)).toEqual(once);
      });

      test("a watch from a revision to come says nothing of what is before it", async () => {
        const { revision } = await put("a", "1");
        const events = watched({ prefix }, revision + 2, 1);
        await put("a", "2");
        await put("a", "3");
        expect(shown(await events)).toEqual(["put a=3"]);
      });

      test("no batch is behind what it brings, and none goes back", async () => {
        const { revision } = await put("a", "1");
        const last = await put("b", "2");
        let [delivered, newest] = [0, 0];
        for await (const batch of store.watch({ prefix }, revision, { signal: stopped.signal })) {
          newest = Math.max(newest, ...batch.events.map(revisionOf));
          expect(batch.revision).toBeGreaterThanOrEqual(delivered);
          delivered = batch.revision;
          if (delivered >= last.revision) break;
        }
        expect(newest).toBe(last.revision);
      });

      test("a watch may begin at the compacted revision itself, and not before", async () => {
        await put("a", "1");
        const { revision } = await put("a", "2");
        await opened.compact(revision);
        expect(shown(await watched({ prefix }, revision, 1))).toEqual(["put a=2"]);
        await expect(watched({ prefix }, revision - 1, 1)).rejects.toMatchObject({
          compactRevision: revision,
        });
      });

      test("an exact key leaves out the longer ones", async () => {
        const { revision } = await put("a", "1");
        await put("a&b", "longer");
        await put("a", "2");
        const events = await watched({ key: `${prefix}a` }, revision, 2);
        expect(shown(events)).toEqual(["put a=1", "put a=2"]);
      });

      test("history that is gone is said to be gone", async () => {
        const { revision } = await put("a", "1");
        await put("a", "2");
        const last = await put("a", "3");
        await opened.compact(last.revision);
        await expect(watched({ prefix }, revision, 1)).rejects.toMatchObject({
          code: "store-unavailable",
          compactRevision: last.revision,
        });
        const kept = watched({ prefix }, last.revision + 1, 1);
        await put("a", "4");
        expect(shown(await kept)).toEqual(["put a=4"]);
      });

      test("a watch ends with the signal's own reason", async () => {
        const { revision } = await put("a", "1");
        const ended = watched({ prefix }, revision, 2);
        await watched({ prefix }, revision, 1);
        stopped.abort(new Error("asked to stop"));
        await expect(ended).rejects.toThrow("asked to stop");
      });
    });

    test("a request ends with the signal's own reason", async () => {
      stopped.abort(new Error("asked to stop"));
      const { signal } = stopped;
      await expect(store.range({ prefix }, { signal })).rejects.toThrow("asked to stop");
    });

    test("a closed store says so at once, and ends its watches", async () => {
      const { revision } = await put("a", "1");
      const watch = watched({ prefix }, revision, 2);
      await watched({ prefix }, revision, 1);
      const [ended] = await Promise.allSettled([watch, store.close()]);
      expect(ended).toMatchObject({ reason: { code: "store-unavailable", retryable: false } });
      await expect(store.range({ prefix })).rejects.toMatchObject({
        code: "store-unavailable",
        retryable: false,
      });
    });
  });
}
