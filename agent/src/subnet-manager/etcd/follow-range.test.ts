import { afterEach, beforeEach, expect, test } from "vitest";
import { ManualClock } from "../../system/manual-clock.ts";
import { MemoryLog } from "../../system/memory-log.ts";
import { SeededRandom } from "../../system/seeded-random.ts";
import { followRange } from "./follow-range.ts";
import { keyOf, revisionOf } from "./key-value-store.ts";
import { MemoryStore } from "./memory-store.ts";
import { Outage } from "./outage.ts";

let clock: ManualClock;
let store: MemoryStore;
let log: MemoryLog;
let stop: AbortController;
/** What the follower was told: "keys at revision" for a list, else the events. */
let seen: string[];

beforeEach(() => {
  clock = new ManualClock();
  store = new MemoryStore({ clock });
  log = new MemoryLog();
  stop = new AbortController();
  seen = [];
});

afterEach(async () => {
  stop.abort(new Error("the test is over"));
  await store.close();
});

function follow(): Promise<unknown> {
  return followRange(
    { store, clock, random: new SeededRandom(1), log, outage: new Outage(clock, log) },
    { prefix: "/s/" },
    {
      list: ({ entries, revision }) =>
        void seen.push(`${entries.map(({ key }) => key).join(" ")} at ${revision}`),
      change: (events) =>
        seen.push(...events.map((event) => `${event.type} ${keyOf(event)} ${revisionOf(event)}`)),
    },
    stop.signal,
  ).catch((error: unknown) => error);
}

/** As agents write: with an etcd lease of its own. */
function putLeased(key: string): void {
  store.database.put(key, "1", store.database.grantLease(3600).leaseId);
}

async function reconnect(): Promise<void> {
  store.disconnectWatches();
  await clock.advance(10_000);
}

test("every event comes once and in order, however often the connection breaks", async () => {
  putLeased("/s/before");
  const following = follow();
  await clock.advance(100);
  for (const key of ["/s/a", "/elsewhere", "/s/b", "/s/c"]) {
    putLeased(key);
    await clock.advance(100);
    await reconnect();
  }
  store.database.delete("/s/a");
  await clock.advance(10_000);
  stop.abort(new Error("asked to stop"));
  expect(await following).toMatchObject({ message: "asked to stop" });
  expect(seen).toEqual([
    "/s/before at 2",
    "put /s/a 3",
    "put /s/b 5",
    "put /s/c 6",
    "delete /s/a 7",
  ]);
});

test("a lost connection costs no list, also when all before the last write is compacted", async () => {
  putLeased("/s/a");
  void follow();
  await clock.advance(100);
  putLeased("/s/b");
  await clock.advance(100);
  store.notifyProgress();
  store.database.compact(store.database.revision);
  const before = store.requests.length;
  await reconnect();
  expect(seen).toEqual(["/s/a at 2", "put /s/b 3"]);
  expect(store.requests.slice(before)).toEqual(["range", "watch"]);
});

test("C1: of a revision that comes in pieces nothing is told before all of it is there", async () => {
  const { leaseId } = store.database.grantLease(3600);
  for (const key of ["/s/a", "/s/b", "/s/c"]) store.database.put(key, "1", leaseId);
  store.framing = { revisions: () => 1, fragments: () => 3 };
  const told: number[] = [];
  void followRange(
    { store, clock, random: new SeededRandom(1), log, outage: new Outage(clock, log) },
    { prefix: "/s/" },
    { list: () => undefined, change: (events) => told.push(events.length) },
    stop.signal,
  ).catch(() => undefined);
  await clock.advance(100);
  store.database.expireLease(leaseId);
  await clock.advance(100);
  expect(told).toEqual([3]);
});

test.each([
  ["a deletion", (): void => store.database.delete("/s/a")],
  ["a write without an etcd lease", (): void => store.database.put("/s/c", "1")],
])("after %s it costs one: only an agent's write tells histories apart", async (_, act) => {
  putLeased("/s/a");
  putLeased("/s/b");
  void follow();
  await clock.advance(100);
  act();
  await clock.advance(100);
  await reconnect();
  expect(seen).toHaveLength(3);
  expect(seen.at(-1)).toMatch(/ at 4$/);
});

test("C9: a restore is noticed under the old name too, however far the store has come meanwhile", async () => {
  for (const name of ["a", "b", "c"]) putLeased(`/s/${name}`);
  void follow();
  await clock.advance(100);
  store.setConnected(false);
  store.database.restore(new Map([["/s/a", "1"]]), { sameCluster: true });
  for (let count = 0; count < 3; count++) putLeased("/elsewhere");
  store.setConnected(true);
  await clock.advance(10_000);
  expect(seen).toEqual(["/s/a /s/b /s/c at 4", "/s/a at 5"]);
});

test("C9: for some seconds a list older than what is known is not believed; then the store has gone back", async () => {
  for (let count = 0; count < 10; count++) store.database.put(`/s/${count}`, "1");
  void follow();
  await clock.advance(100);
  store.database.restore(new Map([["/s/0", "1"]]), { sameCluster: true });
  store.disconnectWatches();
  await clock.advance(3000);
  expect(seen).toHaveLength(1);
  await clock.advance(7000);
  expect(seen.slice(1)).toEqual(["/s/0 at 2"]);
  expect(log.lines.map((line) => line.message).at(-1)).toContain("starting over");
});
