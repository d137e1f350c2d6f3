import { afterEach, beforeEach, expect, test } from "vitest";
import {
  type BenchNode,
  MemoryBench,
  attributesOf,
  cidrOf,
  networkConfig,
  valueOf,
} from "./memory-bench.ts";
import { MemoryMember } from "./memory-member.ts";

let bench: MemoryBench;
let member: MemoryMember;
let node: BenchNode;
/** How many peers there were, each time they changed. */
let counts: number[];

beforeEach(() => {
  bench = new MemoryBench();
  member = new MemoryMember(bench.database, bench.clock);
  node = bench.open();
  counts = [];
});

afterEach(() => bench.close());

const acquire = (): ReturnType<BenchNode["subnetManager"]["acquireLease"]> =>
  node.subnetManager.acquireLease(
    networkConfig(),
    attributesOf("192.0.2.1"),
    { 4: cidrOf("10.3.1.0/24") },
    bench.signal,
  );

async function collect(): Promise<void> {
  const own = await acquire();
  for await (const peers of node.subnetManager.watchPeers(own, bench.signal))
    counts.push(peers.length);
}

async function watchThreePeers(): Promise<void> {
  void collect().catch(() => undefined);
  await bench.clock.advance(1000);
  for (const third of [2, 3, 4]) {
    bench.put(`10.3.${third}.0-24`, valueOf(`192.0.2.${third}`));
    await bench.clock.advance(100);
  }
  expect(counts).toEqual([0, 1, 2, 3]);
}

test("C9: after a fail-over, what a member says that is older than what is known is not believed", async () => {
  member.lag({ revisions: 2, staleReads: true });
  await watchThreePeers();
  node.store.connectTo(member);
  await bench.clock.advance(3000);
  expect(counts).toEqual([0, 1, 2, 3]);
  member.catchUp();
  bench.put("10.3.5.0-24", valueOf("192.0.2.5"));
  await bench.clock.advance(5000);
  expect(counts).toEqual([0, 1, 2, 3, 4]);
});

test("C1: a fail-over to a member whose watches lag takes nothing back", async () => {
  member.lag({ ms: 4000 });
  await watchThreePeers();
  node.store.connectTo(member);
  await bench.clock.advance(10_000);
  bench.put("10.3.5.0-24", valueOf("192.0.2.5"));
  await bench.clock.advance(3000);
  expect(counts).toEqual([0, 1, 2, 3]);
  await bench.clock.advance(2000);
  expect(counts).toEqual([0, 1, 2, 3, 4]);
});

test("A5: a lease through a member that lags is one lease, however late its answers come", async () => {
  node = bench.open({ member });
  member.lag({ ms: 7000 });
  bench.put("10.3.9.0-24", valueOf("192.0.2.9"));
  const lease = await bench.run(acquire());
  expect(lease.subnets[4]).toBe("10.3.1.0/24");
  expect(bench.keys).toHaveLength(2);
  expect(bench.keys[0]).toContain(valueOf("192.0.2.1"));
});

test("an expired token costs a request or two, and nothing else", async () => {
  void collect().catch(() => undefined);
  await bench.clock.advance(1000);
  node.store.expireToken();
  node.store.disconnectWatches();
  bench.put("10.3.2.0-24", valueOf("192.0.2.2"));
  await bench.clock.advance(2000);
  expect(node.store.requests).toContain("authenticate");
  expect(counts).toEqual([0, 1]);
});
