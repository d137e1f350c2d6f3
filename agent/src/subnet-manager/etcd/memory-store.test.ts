import { describe, expect, test } from "vitest";
import { ManualClock } from "../../system/manual-clock.ts";
import { keyValueStoreContract } from "./key-value-store.contract.ts";
import type { WatchBatch } from "./key-value-store.ts";
import { MemoryDatabase } from "./memory-database.ts";
import { MemoryMember } from "./memory-member.ts";
import { MemoryStore } from "./memory-store.ts";

keyValueStoreContract("in memory", async () => {
  const clock = new ManualClock();
  const store = new MemoryStore({ clock });
  return {
    store,
    compact: async (revision) => store.database.compact(revision),
    until: async (condition) => {
      for (let seconds = 0; !(await condition()); seconds++) {
        if (seconds > 10) throw new Error("waited 10 s of the store's time");
        await clock.advance(1000);
      }
    },
    close: () => store.close(),
  };
});

const clock = new ManualClock();
const never = new AbortController().signal;

test("a lost request is not done, a lost reply is", async () => {
  const store = new MemoryStore({ clock });
  store.fail(1, "grantLease");
  await expect(store.grantLease(60)).rejects.toMatchObject({ code: "store-unavailable" });
  expect(store.database.leaseIds).toEqual([]);
  store.loseReplies(1, "grantLease");
  await expect(store.grantLease(60)).rejects.toMatchObject({ code: "store-unavailable" });
  expect(store.database.leaseIds).toEqual(["1"]);
  await store.close();
});

test("connections to one cluster see the same, and a cut one sees nothing", async () => {
  const database = new MemoryDatabase(clock);
  const [one, two] = [
    new MemoryStore({ clock, database }),
    new MemoryStore({ clock, database }),
  ] as const;
  database.put("/a", "1");
  expect((await one.range({ key: "/a" })).entries).toHaveLength(1);
  const watch = two.watch({ key: "/a" }, database.revision + 1, { signal: never });
  const next = watch.next();
  two.setConnected(false);
  await expect(next).rejects.toMatchObject({ code: "store-unavailable", retryable: true });
  await expect(two.range({ key: "/a" })).rejects.toMatchObject({ code: "store-unavailable" });
  expect((await one.range({ key: "/a" })).entries).toHaveLength(1);
  two.setConnected(true);
  expect((await two.range({ key: "/a" })).entries).toHaveLength(1);
});

test("as in older releases of etcd, a deletion at the compacted revision is missed by a watch from there", async () => {
  const store = new MemoryStore({ clock });
  store.database.put("/a", "1");
  store.database.delete("/a");
  const deletion = store.database.revision;
  store.database.compact(deletion);
  store.database.put("/b", "2");
  const watch = store.watch({ prefix: "/" }, deletion, { signal: never });
  const first = await watch.next();
  expect(first.value?.events).toMatchObject([{ type: "put", entry: { key: "/b" } }]);
  await store.close();
});

/** Everything that a watch says, as `type key` at the revision of its batch, and how it ended. */
function listen(store: MemoryStore, fromRevision: number): { said: string[]; ended: unknown[] } {
  const heard: { said: string[]; ended: unknown[] } = { said: [], ended: [] };
  const name = (event: WatchBatch["events"][number]): string =>
    event.type === "put" ? `put ${event.entry.key}` : `delete ${event.key}`;
  const read = async (): Promise<void> => {
    for await (const batch of store.watch({ prefix: "/" }, fromRevision, { signal: never }))
      heard.said.push([batch.revision, ...batch.events.map(name)].join(" "));
  };
  read().catch((error: unknown) => heard.ended.push(error));
  return heard;
}

const pair = (a: string, b: string): Parameters<MemoryDatabase["txn"]>[0] => ({
  compare: [],
  success: [a, b].map((key) => ({ action: "put", key, value: "1" })),
  failure: [],
});

describe("framing", () => {
  test("several revisions come in one response, one revision in several that end with its number", async () => {
    const store = new MemoryStore({
      clock,
      framing: { revisions: () => 2, fragments: (events) => events },
    });
    for (const key of ["/a", "/b", "/c", "/d"]) store.database.put(key, "1");
    store.database.txn(pair("/e", "/f"));
    const heard = listen(store, 2);
    await clock.advance(0);
    expect(heard.said).toEqual(["3 put /a put /b", "5 put /c put /d", "5 put /e", "6 put /f"]);
    await store.close();
  });

  test("progress is said of a quiet watch and moves the point it is resumed from", async () => {
    const store = new MemoryStore({ clock });
    const heard = listen(store, 2);
    await clock.advance(0);
    expect(store.resumeRevisions).toEqual([1]);
    store.database.put("/a", "1");
    await clock.advance(0);
    store.notifyProgress();
    await clock.advance(0);
    expect(heard.said).toEqual(["2 put /a", "2"]);
    expect(store.resumeRevisions).toEqual([2]);
    await store.close();
  });
});

describe("members that lag", () => {
  function lagging(): { database: MemoryDatabase; member: MemoryMember; store: MemoryStore } {
    const database = new MemoryDatabase(clock);
    const member = new MemoryMember(database, clock);
    return { database, member, store: new MemoryStore({ clock, database, member }) };
  }

  test("watches are behind by revisions or by time, in order, until the member catches up", async () => {
    const { database, member, store } = lagging();
    member.lag({ revisions: 1 });
    const heard = listen(store, 2);
    for (const key of ["/a", "/b"]) database.put(key, "1");
    await clock.advance(60_000);
    expect(heard.said).toEqual(["2 put /a"]);
    member.catchUp();
    await clock.advance(0);
    expect(heard.said).toEqual(["2 put /a", "3 put /b"]);
    member.lag({ ms: 500 });
    database.put("/c", "1");
    await clock.advance(499);
    expect(heard.said).toHaveLength(2);
    await clock.advance(1);
    expect(heard.said.at(-1)).toBe("4 put /c");
    await store.close();
  });

  test("C9: a linearizable read waits for the newest revision, and has no answer when that does not come", async () => {
    const { database, member, store } = lagging();
    member.lag({ ms: 500 });
    database.put("/a", "1");
    const read = store.range({ key: "/a" });
    await clock.advance(500);
    expect(await read).toMatchObject({ revision: 2, entries: [{ key: "/a" }] });
    member.lag({ revisions: 1 });
    database.put("/a", "2");
    const unanswered = store.range({ key: "/a" }, { timeoutMs: 1000 });
    await Promise.all([
      expect(unanswered).rejects.toThrow("no answer within 1000 ms"),
      clock.advance(1000),
    ]);
    await store.close();
  });

  test("C9: a stale read is older than what is known; only the member that is asked for them gives such", async () => {
    const { database, member, store } = lagging();
    member.lag({ revisions: 1, staleReads: true });
    database.put("/a", "1");
    database.put("/b", "1");
    expect(await store.range({ prefix: "/" })).toMatchObject({ revision: 2 });
    await store.close();
  });

  test("a write is done at once; only its answer waits", async () => {
    const { database, member, store } = lagging();
    member.lag({ revisions: 1 });
    const write = store.txn(pair("/a", "/b"), { timeoutMs: 1000 });
    await Promise.all([
      expect(write).rejects.toMatchObject({ code: "store-unavailable" }),
      clock.advance(1000),
    ]);
    expect(database.range({ prefix: "/" }).entries).toHaveLength(2);
    await store.close();
  });

  test("a compaction comes in its turn: what the member has not reached is not gone for its watches", async () => {
    const { database, member, store } = lagging();
    const heard = listen(store, 2);
    await clock.advance(0);
    member.lag({ revisions: 3 });
    for (const key of ["/a", "/b", "/c"]) {
      database.put(key, "1");
      database.delete(key);
    }
    database.compact(database.revision);
    await clock.advance(0);
    expect(heard.said).toEqual(["2 put /a", "4 delete /a put /b"]);
    const late = listen(store, 2);
    await clock.advance(0);
    expect(late.said).toEqual(["4 put /a delete /a put /b"]);
    member.catchUp();
    const resumed = listen(store, 4);
    await clock.advance(0);
    expect(resumed.ended).toMatchObject([{ compactRevision: 7 }]);
    await store.close();
  });

  test("a watch that keeps up hears a change though it is compacted at once", async () => {
    const store = new MemoryStore({ clock });
    store.database.put("/a", "1");
    const heard = listen(store, 3);
    await clock.advance(0);
    store.database.delete("/a");
    store.database.compact(store.database.revision);
    await clock.advance(0);
    expect(heard.said).toEqual(["3 delete /a"]);
    await store.close();
  });
});

describe("faults", () => {
  test("a late request is done after its sender has given up, a late reply after it was done", async () => {
    const store = new MemoryStore({ clock });
    store.delayRequests(2000, 1, "txn");
    const late = store.txn(pair("/a", "/b"), { timeoutMs: 1000 });
    await Promise.all([expect(late).rejects.toThrow("no answer within"), clock.advance(1000)]);
    expect(store.database.revision).toBe(1);
    await clock.advance(1000);
    expect(store.database.revision).toBe(2);
    store.delayReplies(500, 1, "grantLease");
    const granted = store.grantLease(60);
    await clock.advance(0);
    expect(store.database.leaseIds).toEqual(["1"]);
    await clock.advance(500);
    expect(await granted).toEqual({ leaseId: "1", ttlSeconds: 60 });
    await store.close();
  });

  test("a repeated request is done twice, and its answer is the second", async () => {
    const store = new MemoryStore({ clock });
    store.duplicateRequests(1, "txn");
    const { succeeded } = await store.txn({
      compare: [{ key: "/a", target: "version", is: "equal", to: 0 }],
      success: [{ action: "put", key: "/a", value: "1" }],
      failure: [],
    });
    expect(succeeded).toBe(false);
    expect(store.database.range({ key: "/a" }).entries).toMatchObject([{ version: 1 }]);
    await store.close();
  });

  test("an expired token refuses one request, and every one as long as no new one can be had", async () => {
    const store = new MemoryStore({ clock });
    store.expireToken();
    store.fail(1, "authenticate");
    for (let count = 0; count < 2; count++)
      await expect(store.range({ key: "/a" })).rejects.toMatchObject({
        code: "store-unavailable",
        retryable: true,
        message: expect.stringContaining("invalid auth token"),
      });
    expect((await store.range({ key: "/a" })).entries).toEqual([]);
    expect(store.requests.filter((verb) => verb === "authenticate")).toHaveLength(2);
    await store.close();
  });

  test("without space nothing is put and no lease granted; reading, deleting and revoking go on", async () => {
    const store = new MemoryStore({ clock });
    const { leaseId } = await store.grantLease(60);
    store.database.setOutOfSpace(true);
    const refused = { code: "store-unavailable", retryable: true };
    await expect(store.txn(pair("/a", "/b"))).rejects.toMatchObject(refused);
    await expect(store.grantLease(60)).rejects.toMatchObject(refused);
    await store.revokeLease(leaseId);
    expect(store.database.leaseIds).toEqual([]);
    expect((await store.range({ prefix: "/" })).entries).toEqual([]);
    store.database.setOutOfSpace(false);
    expect((await store.txn(pair("/a", "/b"))).succeeded).toBe(true);
    await store.close();
  });

  test("B10: a new leader ends the watches and gives every lease its whole time again", async () => {
    const store = new MemoryStore({ clock });
    const { leaseId } = await store.grantLease(60);
    const heard = listen(store, 2);
    await clock.advance(50_000);
    store.database.changeLeader();
    await clock.advance(50_000);
    expect(heard.ended).toMatchObject([{ message: expect.stringContaining("no leader") }]);
    expect(await store.timeToLive(leaseId)).toBe(10);
    await clock.advance(10_000);
    expect(await store.timeToLive(leaseId)).toBeUndefined();
    await store.close();
  });

  test("a restored backup ends the watches; the revision goes back, and the members with it", async () => {
    const database = new MemoryDatabase(clock);
    const member = new MemoryMember(database, clock);
    const store = new MemoryStore({ clock, database, member });
    for (const key of ["/a", "/b", "/c"]) database.put(key, "1");
    const before = await store.range({ prefix: "/" });
    const heard = listen(store, 5);
    await clock.advance(0);
    database.restore(new Map([["/a", "1"]]), { sameCluster: true });
    await clock.advance(0);
    expect(heard.ended).toMatchObject([{ code: "store-unavailable", retryable: true }]);
    const after = await store.range({ prefix: "/" });
    expect(after).toMatchObject({ revision: 2, clusterId: before.clusterId });
    expect(after.entries).toHaveLength(1);
    database.restore(new Map());
    expect((await store.range({ prefix: "/" })).clusterId).not.toBe(before.clusterId);
    await store.close();
  });

  test("a restored snapshot has its revisions, its history and its leases again, each for its whole time", async () => {
    const database = new MemoryDatabase(clock);
    const store = new MemoryStore({ clock, database, member: new MemoryMember(database, clock) });
    const { leaseId } = database.grantLease(10);
    database.put("/a", "1", leaseId);
    database.put("/a", "2", leaseId);
    const before = await store.range({ prefix: "/" });
    const snapshot = database.snapshot();
    await clock.advance(6_000);
    database.expireLease(leaseId);
    const later = database.grantLease(10);
    database.put("/b", "1", later.leaseId);
    database.restoreSnapshot(snapshot, { sameCluster: true });
    expect(await store.range({ prefix: "/" })).toEqual(before);
    expect(before.entries).toMatchObject([{ createRevision: 2, modRevision: 3, version: 2 }]);
    expect(database.leaseIds).toEqual([leaseId]);
    expect([leaseId, later.leaseId]).not.toContain(database.grantLease(10).leaseId);
    const heard = listen(store, 2);
    await clock.advance(9_000);
    expect(heard.said).toEqual(["3 put /a put /a"]);
    expect(await store.timeToLive(leaseId)).toBe(1);
    await clock.advance(1_000);
    expect((await store.range({ prefix: "/" })).entries).toEqual([]);
    database.restoreSnapshot(snapshot, { sameCluster: false });
    expect((await store.range({ prefix: "/" })).clusterId).not.toBe(before.clusterId);
    await store.close();
    database.close();
  });

  test("the revision that each watch would be resumed from can be compacted", async () => {
    const store = new MemoryStore({ clock });
    const heard = listen(store, 2);
    for (const key of ["/a", "/b"]) store.database.put(key, "1");
    await clock.advance(0);
    store.database.put("/c", "1");
    for (const revision of store.resumeRevisions) store.database.compact(revision);
    expect(store.database.compactRevision).toBe(3);
    await clock.advance(0);
    expect(heard.said).toEqual(["3 put /a put /b", "4 put /c"]);
    await store.close();
  });
});
