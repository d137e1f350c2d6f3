import { expect, test } from "vitest";
import { ManualClock } from "../../system/manual-clock.ts";
import { MemoryLog } from "../../system/memory-log.ts";
import { SeededRandom } from "../../system/seeded-random.ts";
import { followRange } from "./follow-range.ts";
import { keyOf, revisionOf } from "./key-value-store.ts";
import { MemoryStore } from "./memory-store.ts";
import { Outage } from "./outage.ts";

test("every event comes once and in order, however often the connection breaks", async () => {
  const clock = new ManualClock();
  const store = new MemoryStore({ clock });
  const log = new MemoryLog();
  const stop = new AbortController();
  const seen: string[] = [];
  store.database.put("/s/before", "1");
  const following = followRange(
    { store, clock, random: new SeededRandom(1), log, outage: new Outage(clock, log) },
    { prefix: "/s/" },
    {
      list: ({ entries, revision }) => seen.push(`${entries.length} at ${revision}`),
      change: (events) =>
        seen.push(...events.map((event) => `${event.type} ${keyOf(event)} ${revisionOf(event)}`)),
    },
    stop.signal,
  ).catch((error: unknown) => error);
  await clock.advance(100);
  for (const key of ["/s/a", "/elsewhere", "/s/b", "/s/c"]) {
    store.database.put(key, "1");
    await clock.advance(100);
    store.disconnectWatches();
    await clock.advance(10_000);
  }
  store.database.delete("/s/a");
  await clock.advance(10_000);
  stop.abort(new Error("asked to stop"));
  expect(await following).toMatchObject({ message: "asked to stop" });
  expect(seen).toEqual(["1 at 2", "put /s/a 3", "put /s/b 5", "put /s/c 6", "delete /s/a 7"]);
  await store.close();
});

test("C9: for some seconds a list older than what is known is not believed; then the store has gone back", async () => {
  const clock = new ManualClock();
  const store = new MemoryStore({ clock });
  const log = new MemoryLog();
  const stop = new AbortController();
  const lists: number[] = [];
  for (let count = 0; count < 10; count++) store.database.put(`/s/${count}`, "1");
  const following = followRange(
    { store, clock, random: new SeededRandom(1), log, outage: new Outage(clock, log) },
    { prefix: "/s/" },
    { list: ({ entries }) => lists.push(entries.length), change: () => undefined },
    stop.signal,
  ).catch((error: unknown) => error);
  await clock.advance(100);
  store.database.restore(new Map([["/s/0", "1"]]), { sameCluster: true });
  store.disconnectWatches();
  await clock.advance(3000);
  expect(lists).toEqual([10]);
  await clock.advance(7000);
  expect(lists).toEqual([10, 1]);
  expect(log.lines.map((line) => line.message).at(-1)).toContain("starting over");
  stop.abort(new Error("asked to stop"));
  await following;
  await store.close();
});
