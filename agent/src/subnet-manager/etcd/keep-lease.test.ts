import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Lease } from "../../core/lease.ts";
import {
  type BenchNode,
  MemoryBench,
  attributesOf,
  cidrOf,
  networkConfig,
  valueOf,
} from "./memory-bench.ts";

const HOUR_MS = 3_600_000;
const KEY = "10.3.6.0-24";

let bench: MemoryBench;
let node: BenchNode;
let lease: Lease;
/** What `keepLease` ended with. */
let ended: { readonly error: unknown } | undefined;
/** What it said of whether we hold the lease, in turn. */
let said: boolean[];

beforeEach(() => {
  bench = new MemoryBench();
  node = bench.open();
  ended = undefined;
  said = [];
});

afterEach(() => bench.close());

/** Acquires 10.3.6.0/24 for 192.0.2.1 and keeps it. */
async function keep(): Promise<void> {
  lease = await bench.run(
    node.subnetManager.acquireLease(
      networkConfig(),
      attributesOf("192.0.2.1"),
      { 4: cidrOf("10.3.6.0/24") },
      bench.signal,
    ),
  );
  keepOn();
  await bench.clock.advance(1000);
}

function keepOn(): void {
  node.subnetManager
    .keepLease(lease, (held) => void said.push(held), bench.signal)
    .catch((error: unknown) => (ended = { error }));
}

const messages = (): string[] => node.lines.map((line) => `${line.level}: ${line.message}`);
const remove = (): void => bench.database.delete(`${bench.prefix}/subnets/${KEY}`);

describe("renewal", () => {
  test("B5: comes an hour before the end of the day, and never stops", async () => {
    await keep();
    const before = bench.database.revision;
    await bench.clock.advance(22.9 * HOUR_MS);
    expect(bench.database.revision).toBe(before);
    await bench.clock.advance(0.2 * HOUR_MS);
    expect(bench.database.revision).toBe(before + 1);
    await bench.clock.advance(30 * 24 * HOUR_MS);
    expect(bench.keys).toEqual([expect.stringContaining(`${KEY} ${valueOf("192.0.2.1")}`)]);
    expect(ended).toBeUndefined();
  });

  test("B8: replaces the etcd lease and gives the old one back", async () => {
    await keep();
    await bench.clock.advance(23.1 * HOUR_MS);
    expect(bench.keys).toEqual([`subnets/${KEY} ${valueOf("192.0.2.1")} [2]`]);
    expect(bench.database.leaseIds).toEqual(["2"]);
    expect(messages().at(-1)).toBe("info: Lease renewed, new expiration: 2000-01-02T23:00:00.000Z");
  });

  test("B5: a lost answer costs no lease, however small the margin", async () => {
    node = bench.open({ renewMarginMinutes: 1, leaseTtlSeconds: 120 });
    await keep();
    const { leaseId } = bench.database.range({ prefix: "" }).entries[0] ?? {};
    node.store.fail(3, "grantLease");
    await bench.clock.advance(115_000);
    expect(bench.keys).toEqual([expect.stringContaining(`${KEY} ${valueOf("192.0.2.1")}`)]);
    expect(bench.keys).not.toEqual([expect.stringContaining(`[${leaseId}]`)]);
    const errors = messages().filter((line) => line.includes("Error renewing"));
    expect(errors).toEqual(["warn: Error renewing lease (trying again in 10 s)"]);
  });

  test("the margin is the operator's choice", async () => {
    node = bench.open({ renewMarginMinutes: 1439 });
    await keep();
    const before = bench.database.revision;
    await bench.clock.advance(90_000);
    expect(bench.database.revision).toBe(before + 1);
  });

  test.each([2, 60, 2_147_483_648])(
    "B7: a time to live of %d s makes neither a busy loop nor an overflow",
    async (leaseTtlSeconds) => {
      node = bench.open({ leaseTtlSeconds });
      await keep();
      const requests = node.store.requests.length;
      await bench.clock.advance(10_000);
      expect(node.store.requests.length - requests).toBeLessThan(40);
      expect(bench.keys).toHaveLength(1);
    },
  );

  test("without an answer it is tried again every minute, and the lost time is said once a minute", async () => {
    await keep();
    await bench.clock.advance(22.9 * HOUR_MS);
    node.store.setConnected(false);
    await bench.clock.advance(0.5 * HOUR_MS);
    node.store.setConnected(true);
    await bench.clock.advance(2 * 60_000);
    expect(bench.keys).toEqual([expect.stringMatching(/\[2\]$/)]);
    expect(messages()).toContain("warn: Error renewing lease (trying again in 1 min)");
    expect(messages().length).toBeLessThan(5 * 30);
    expect(ended).toBeUndefined();
  });

  test.each(["grantLease", "txn", "revokeLease"] as const)(
    "B9: a lost reply to %s loses neither the key nor, for longer than a day, a lease",
    async (verb) => {
      await keep();
      node.store.loseReplies(1, verb);
      await bench.clock.advance(23.1 * HOUR_MS);
      expect(bench.keys).toEqual([expect.stringContaining(valueOf("192.0.2.1"))]);
      expect(bench.database.leaseIds.length).toBeLessThanOrEqual(2);
      await bench.clock.advance(24 * HOUR_MS);
      expect(bench.keys).toHaveLength(1);
      expect(bench.database.leaseIds).toHaveLength(1);
      expect(ended).toBeUndefined();
    },
  );

  test("goes on when the watch does not", async () => {
    node = bench.open({ renewMarginMinutes: 1, leaseTtlSeconds: 120 });
    await keep();
    node.store.fail(Number.POSITIVE_INFINITY, "watch");
    node.store.disconnectWatches();
    await bench.clock.advance(100_000);
    expect(bench.keys).toEqual([expect.stringMatching(/\[2\]$/)]);
  });

  test("a lease kept without having been acquired here is renewed at once", async () => {
    await keep();
    bench.stop.abort(new Error("the first agent stopped"));
    const next = new MemoryBench();
    bench.close();
    bench = next;
    node = bench.open();
    bench.put(KEY, valueOf("192.0.2.1"), bench.database.grantLease(86_400).leaseId);
    keepOn();
    await bench.clock.advance(1000);
    expect(bench.keys).toEqual([`subnets/${KEY} ${valueOf("192.0.2.1")} [2]`]);
  });
});

describe("loss", () => {
  test("B10: a deleted key is taken again within moments", async () => {
    await keep();
    remove();
    await bench.clock.advance(1000);
    expect(bench.keys).toEqual([`subnets/${KEY} ${valueOf("192.0.2.1")} [2]`]);
    expect(bench.database.leaseIds).toEqual(["2"]);
    expect(messages()).toContain(
      "warn: our lease was removed from etcd, taking the same subnet again",
    );
    expect(ended).toBeUndefined();
  });

  test("B1: is said at once, and taken back with the key", async () => {
    await keep();
    expect(said).toEqual([]);
    remove();
    await bench.clock.advance(1000);
    expect(said).toEqual([false, true]);
  });

  test("B1: is said while a full store lets nobody take it again", async () => {
    await keep();
    bench.database.setOutOfSpace(true);
    remove();
    await bench.clock.advance(60_000);
    expect(said).toEqual([false]);
    expect(bench.keys).toEqual([]);
    bench.database.setOutOfSpace(false);
    await bench.clock.advance(60_000);
    expect(said).toEqual([false, true]);
    expect(bench.keys).toHaveLength(1);
    expect(ended).toBeUndefined();
  });

  test("B1: is said even while other data wait to be written", async () => {
    await keep();
    bench.database.setOutOfSpace(true);
    node.subnetManager.publish(attributesOf("192.0.2.5"), bench.signal).catch(() => undefined);
    await bench.clock.advance(10_000);
    remove();
    await bench.clock.advance(1000);
    expect(said).toEqual([false]);
  });

  test("B1: is said when a read does not tell to whom it went", async () => {
    await keep();
    node.store.fail(Number.POSITIVE_INFINITY, "range");
    bench.put(KEY, valueOf("192.0.2.9"));
    await bench.clock.advance(1000);
    expect(said).toEqual([false]);
    expect(ended).toBeUndefined();
  });

  test("an expired etcd lease likewise", async () => {
    await keep();
    bench.database.expireLease("1");
    await bench.clock.advance(1000);
    expect(bench.keys).toEqual([`subnets/${KEY} ${valueOf("192.0.2.1")} [2]`]);
  });

  test("B1: another owner's key ends it, and is not touched", async () => {
    await keep();
    bench.put(KEY, valueOf("192.0.2.9"));
    await bench.clock.advance(1000);
    expect(ended?.error).toMatchObject({
      code: "lease-lost",
      message: expect.stringContaining(`${KEY} belongs to node 192.0.2.9`),
    });
    expect(bench.keys).toEqual([`subnets/${KEY} ${valueOf("192.0.2.9")} [none]`]);
  });

  test("B3': what another owner wrote unnoticed is not renewed over", async () => {
    node = bench.open({ renewMarginMinutes: 1, leaseTtlSeconds: 120 });
    await keep();
    node.store.fail(Number.POSITIVE_INFINITY, "watch");
    node.store.disconnectWatches();
    node.store.fail(Number.POSITIVE_INFINITY, "range");
    bench.put(KEY, valueOf("192.0.2.9"));
    await bench.clock.advance(90_000);
    expect(bench.keys).toEqual([`subnets/${KEY} ${valueOf("192.0.2.9")} [none]`]);
    node.store.fail(0, "range");
    await bench.clock.advance(60_000);
    expect(ended?.error).toMatchObject({ code: "lease-lost" });
    expect(bench.keys).toEqual([`subnets/${KEY} ${valueOf("192.0.2.9")} [none]`]);
  });

  test("B6: a node that slept past the end of its lease overwrites nobody", async () => {
    node = bench.open({ renewMarginMinutes: 1, leaseTtlSeconds: 120 });
    await keep();
    node.store.setConnected(false);
    await bench.clock.advance(150_000);
    expect(bench.keys).toEqual([]);
    bench.put("10.3.6.0-25", valueOf("192.0.2.9"));
    const before = bench.database.revision;
    node.store.setConnected(true);
    await bench.clock.advance(2 * 60_000);
    expect(ended?.error).toMatchObject({ code: "lease-lost" });
    expect(bench.database.revision).toBe(before);
  });

  test("the end of an outage longer than the lease brings the same subnet back", async () => {
    node = bench.open({ renewMarginMinutes: 1, leaseTtlSeconds: 120 });
    await keep();
    node.store.setConnected(false);
    await bench.clock.advance(0.5 * HOUR_MS);
    node.store.setConnected(true);
    await bench.clock.advance(2 * 60_000);
    expect(bench.keys).toEqual([expect.stringContaining(`${KEY} ${valueOf("192.0.2.1")}`)]);
    expect(ended).toBeUndefined();
  });

  test("a deletion that the watch missed is seen after it reconnects", async () => {
    await keep();
    node.store.setConnected(false);
    remove();
    bench.database.compact(bench.database.revision);
    await bench.clock.advance(5000);
    node.store.setConnected(true);
    await bench.clock.advance(10_000);
    expect(bench.keys).toHaveLength(1);
    expect(ended).toBeUndefined();
  });
});

describe("an own key that somebody else writes", () => {
  test("A9: rewritten without an etcd lease it is a reservation, and stays one", async () => {
    await keep();
    bench.put(KEY, valueOf("192.0.2.1"));
    await bench.clock.advance(72 * HOUR_MS);
    expect(bench.keys).toEqual([`subnets/${KEY} ${valueOf("192.0.2.1")} [none]`]);
    expect(bench.database.leaseIds).toEqual([]);
    expect(ended).toBeUndefined();
    expect(said).toEqual([]);
  });

  test.each([true, false])(
    "a restored store that counts up to the same revision again is noticed, under the same name: %s",
    async (sameCluster) => {
      await keep();
      const kept = new Map([[`${bench.prefix}/subnets/${KEY}`, valueOf("192.0.2.1")]]);
      bench.database.restore(kept, { sameCluster });
      node.store.disconnectWatches();
      await bench.clock.advance(23.5 * HOUR_MS);
      expect(bench.keys).toEqual([`subnets/${KEY} ${valueOf("192.0.2.1")} [none]`]);
    },
  );

  test("A9: a renewal that comes before the news of a restore does not write over what is a reservation since", async () => {
    node = bench.open({ renewMarginMinutes: 1, leaseTtlSeconds: 120 });
    await keep();
    const before = bench.database.range({ prefix: "" });
    node.store.fail(1_000_000, "range");
    node.store.fail(1_000_000, "watch");
    const kept = new Map([[`${bench.prefix}/subnets/${KEY}`, valueOf("192.0.2.1")]]);
    bench.database.restore(kept, { sameCluster: true });
    const restored = bench.database.range({ prefix: "" });
    expect(restored.entries[0]?.modRevision).toBe(before.entries[0]?.modRevision);
    await bench.clock.advance(90_000);
    expect(node.store.requests.filter((verb) => verb === "txn").length).toBeGreaterThan(1);
    expect(bench.keys).toEqual([`subnets/${KEY} ${valueOf("192.0.2.1")} [none]`]);
    expect(ended).toBeUndefined();
  });

  test("B1: another's reservation that a restore puts at the revision of ours is not taken for it", async () => {
    await keep();
    bench.put(KEY, valueOf("192.0.2.1"));
    await bench.clock.advance(1000);
    const before = bench.database.range({ prefix: "" });
    const restored = new Map([
      [`${bench.prefix}/config`, "{}"],
      [`${bench.prefix}/subnets/${KEY}`, valueOf("192.0.2.9")],
    ]);
    bench.database.restore(restored, { sameCluster: true });
    const after = bench.database.range({ prefix: `${bench.prefix}/subnets/` });
    expect(after.entries[0]?.modRevision).toBe(before.entries[0]?.modRevision);
    await bench.clock.advance(10_000);
    expect(ended?.error).toMatchObject({ code: "lease-lost" });
    expect(bench.keys).toEqual([`subnets/${KEY} ${valueOf("192.0.2.9")} [none]`]);
  });

  test("A9: a reservation with other data gets ours, still without an etcd lease", async () => {
    await keep();
    bench.put(KEY, '{"PublicIP":"192.0.2.1"}');
    await bench.clock.advance(1000);
    expect(bench.keys).toEqual([`subnets/${KEY} ${valueOf("192.0.2.1")} [none]`]);
  });

  test.each(["{not json", "null", "{}"])(
    "the value %s is replaced by ours: it names no other owner",
    async (value) => {
      await keep();
      bench.put(KEY, value);
      await bench.clock.advance(1000);
      expect(bench.keys).toEqual([expect.stringMatching(`${KEY} .*192.0.2.1.*\\[2\\]$`)]);
      expect(ended).toBeUndefined();
    },
  );

  test("the same value under another etcd lease is renewed before that one ends", async () => {
    await keep();
    bench.put(KEY, valueOf("192.0.2.1"), bench.database.grantLease(7200).leaseId);
    await bench.clock.advance(1000);
    expect(bench.database.leaseIds).toEqual(["2"]);
    await bench.clock.advance(1.1 * HOUR_MS);
    expect(bench.keys).toEqual([expect.stringMatching(/\[3\]$/)]);
  });

  test("C8: it is renewed at once when nobody says how long that one lives", async () => {
    await keep();
    node.store.fail(Number.POSITIVE_INFINITY, "timeToLive");
    bench.put(KEY, valueOf("192.0.2.1"), bench.database.grantLease(10).leaseId);
    await bench.clock.advance(20_000);
    expect(bench.keys).toEqual([`subnets/${KEY} ${valueOf("192.0.2.1")} [3]`]);
  });

  test("E9: two nodes with one public IP do not write against each other in a loop", async () => {
    await keep();
    const namesake = '{"PublicIP":"192.0.2.1","PublicIPv6":null}';
    bench.put(KEY, namesake, bench.database.grantLease(86_400).leaseId);
    await bench.clock.advance(10_000);
    expect(bench.keys).toEqual([expect.stringContaining(namesake)]);
    expect(messages().filter((line) => line.includes("same public IP"))).toHaveLength(1);
    await bench.clock.advance(60_000);
    expect(bench.keys).toEqual([expect.stringContaining(valueOf("192.0.2.1"))]);
  });
});

test("keeping ends with the signal's own reason", async () => {
  await keep();
  bench.stop.abort(new Error("asked to stop"));
  await bench.clock.advance(0);
  expect(ended?.error).toMatchObject({ message: "asked to stop" });
  expect(bench.keys).toHaveLength(1);
});
