import { expect, test } from "vitest";
import { ManualClock } from "../../system/manual-clock.ts";
import { keyValueStoreContract } from "./key-value-store.contract.ts";
import { MemoryDatabase } from "./memory-database.ts";
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
