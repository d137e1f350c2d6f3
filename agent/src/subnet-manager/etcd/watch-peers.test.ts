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

let bench: MemoryBench;
let node: BenchNode;
let own: Lease;
/** Each set of peers as it came: `subnet public-IP` of each. */
let sets: string[][];
let ended: { readonly error: unknown } | undefined;

beforeEach(async () => {
  bench = new MemoryBench();
  node = bench.open();
  sets = [];
  ended = undefined;
  own = await bench.run(
    node.subnetManager.acquireLease(
      networkConfig(),
      attributesOf("192.0.2.1"),
      { 4: cidrOf("10.3.1.0/24") },
      bench.signal,
    ),
  );
});

afterEach(() => bench.close());

const shown = (peers: readonly Lease[]): string[] =>
  peers.map((peer) => `${peer.subnets[4]} ${peer.publicIps[4]}`);

async function collect(): Promise<void> {
  for await (const peers of node.subnetManager.watchPeers(own, bench.signal))
    sets.push(shown(peers));
}

async function watch(): Promise<void> {
  collect().catch((error: unknown) => (ended = { error }));
  await bench.clock.advance(100);
}

const put = async (third: number, publicIp: string, leaseId?: string): Promise<void> => {
  bench.put(`10.3.${third}.0-24`, valueOf(publicIp), leaseId);
  await bench.clock.advance(100);
};
const remove = async (third: number): Promise<void> => {
  bench.database.delete(`${bench.prefix}/subnets/10.3.${third}.0-24`);
  await bench.clock.advance(100);
};

describe("the set of peers", () => {
  test("comes whole at once, also when there is none, and after each change", async () => {
    await watch();
    await put(2, "192.0.2.2");
    await put(3, "192.0.2.3");
    await remove(2);
    expect(sets).toEqual([
      [],
      ["10.3.2.0/24 192.0.2.2"],
      ["10.3.2.0/24 192.0.2.2", "10.3.3.0/24 192.0.2.3"],
      ["10.3.3.0/24 192.0.2.3"],
    ]);
  });

  test("C6: never has the own lease in it, nor another entry of this node", async () => {
    await put(2, "192.0.2.2");
    await watch();
    await put(1, "192.0.2.1");
    await put(9, "192.0.2.1");
    expect(sets).toEqual([["10.3.2.0/24 192.0.2.2"]]);
  });

  test("C6: changes at once with the address that this node publishes, though the store does not", async () => {
    await put(2, "192.0.2.2");
    await put(3, "192.0.2.3");
    await watch();
    const publish = async (address: string): Promise<void> => {
      // Nobody keeps the lease here, so that the store is not written.
      node.subnetManager.publish(attributesOf(address), bench.signal).catch(() => undefined);
      await bench.clock.advance(100);
    };
    await publish("192.0.2.3");
    await publish("192.0.2.2");
    await publish("192.0.2.4");
    const both = ["10.3.2.0/24 192.0.2.2", "10.3.3.0/24 192.0.2.3"];
    expect(sets).toEqual([both, both.slice(0, 1), both.slice(1), both]);
  });

  test("does not come again for a renewal, which says nothing new", async () => {
    await put(2, "192.0.2.2", bench.database.grantLease(60).leaseId);
    await watch();
    await put(2, "192.0.2.2", bench.database.grantLease(600).leaseId);
    expect(sets).toHaveLength(1);
  });

  test("comes again for new data under the same key", async () => {
    await put(2, "192.0.2.2");
    await watch();
    await put(2, "192.0.2.3");
    expect(sets).toEqual([["10.3.2.0/24 192.0.2.2"], ["10.3.2.0/24 192.0.2.3"]]);
  });

  test("loses a peer whose lease runs out", async () => {
    await put(2, "192.0.2.2", bench.database.grantLease(60).leaseId);
    await watch();
    await bench.clock.advance(61_000);
    expect(sets).toEqual([["10.3.2.0/24 192.0.2.2"], []]);
  });

  test("a reader that is slow gets the newest, not all that came before", async () => {
    const peers = node.subnetManager.watchPeers(own, bench.signal)[Symbol.asyncIterator]();
    expect((await bench.run(peers.next())).value).toEqual([]);
    for (let third = 2; third < 30; third++) await put(third, `192.0.2.${third}`);
    const next = await bench.run(peers.next());
    expect(shown(next.value ?? [])).toHaveLength(28);
    await peers.return?.();
  });

  test("C8: costs the store nothing per change: no look-up whose failure could drop a key", async () => {
    await watch();
    const before = node.store.requests.length;
    for (let third = 2; third < 30; third++) await put(third, `192.0.2.${third}`);
    expect(sets).toHaveLength(29);
    expect(node.store.requests.length).toBe(before);
  });
});

describe("A13: nonsense", () => {
  test("C7: is left out and named once; everybody else stays", async () => {
    await put(2, "192.0.2.2");
    await watch();
    bench.put("10.3.3.0-24hi", valueOf("192.0.2.3"));
    bench.put("10.3.4.0-24", '{"PublicIP":null}');
    bench.put("10.3.5.0-32", valueOf("192.0.2.5"));
    await bench.clock.advance(100);
    expect(sets).toEqual([["10.3.2.0/24 192.0.2.2"]]);
    node.store.disconnectWatches();
    bench.database.compact(bench.database.revision);
    await bench.clock.advance(10_000);
    expect(node.lines.filter((line) => line.message.startsWith("Ignoring bad"))).toHaveLength(3);
  });

  test("C4: a peer whose value becomes unreadable is gone, whether by the watch or by a list", async () => {
    await put(2, "192.0.2.2");
    await watch();
    bench.put("10.3.2.0-24", "{");
    await bench.clock.advance(100);
    expect(sets).toEqual([["10.3.2.0/24 192.0.2.2"], []]);
    await put(2, "192.0.2.2");
    expect(sets.at(-1)).toEqual(["10.3.2.0/24 192.0.2.2"]);
  });
});

describe("gaps", () => {
  test("C3, C5: compaction while cut off: one list, with changed data and without what left", async () => {
    await put(2, "192.0.2.2");
    await put(3, "192.0.2.3");
    await watch();
    node.store.setConnected(false);
    await put(2, "192.0.2.22");
    await remove(3);
    bench.database.compact(bench.database.revision);
    const before = node.store.requests.length;
    node.store.setConnected(true);
    await bench.clock.advance(10_000);
    expect(sets).toEqual([
      ["10.3.2.0/24 192.0.2.2", "10.3.3.0/24 192.0.2.3"],
      ["10.3.2.0/24 192.0.2.22"],
    ]);
    const since = node.store.requests.slice(before);
    expect(since.filter((verb) => verb === "range").length).toBeLessThanOrEqual(3);
  });

  test("C3: a deletion at the very revision that was compacted is not missed", async () => {
    await put(2, "192.0.2.2");
    await watch();
    node.store.setConnected(false);
    await remove(2);
    bench.database.compact(bench.database.revision);
    node.store.setConnected(true);
    await bench.clock.advance(10_000);
    expect(sets.at(-1)).toEqual([]);
  });

  test("a lost connection is resumed where it was, without a list, also when all before is compacted", async () => {
    await put(2, "192.0.2.2");
    await watch();
    for (let third = 3; third < 8; third++) {
      bench.database.compact(bench.database.revision);
      const before = node.store.requests.length;
      node.store.disconnectWatches();
      await bench.clock.advance(1000);
      expect(node.store.requests.slice(before)).toEqual(["range", "watch"]);
      await put(third, `192.0.2.${third}`);
      await bench.clock.advance(10_000);
    }
    expect(sets).toHaveLength(6);
    expect(sets.at(-1)).toHaveLength(6);
    expect(ended).toBeUndefined();
  });

  test("C7: nothing that fails is taken for an empty store", async () => {
    await put(2, "192.0.2.2");
    await watch();
    node.store.fail(3, "range");
    node.store.fail(3, "watch");
    node.store.disconnectWatches();
    await bench.clock.advance(60_000);
    expect(sets).toEqual([["10.3.2.0/24 192.0.2.2"]]);
  });

  test("E5: a store that cannot be watched costs few requests and few lines", async () => {
    await watch();
    node.store.fail(Number.POSITIVE_INFINITY, "watch");
    node.store.disconnectWatches();
    const [requests, lines] = [node.store.requests.length, node.lines.length];
    await bench.clock.advance(600_000);
    expect(node.store.requests.length - requests).toBeLessThan(2 * 600);
    expect(node.lines.length - lines).toBeLessThan(30);
  });

  test("C9: a cluster made anew is read anew", async () => {
    await put(2, "192.0.2.2");
    await put(3, "192.0.2.3");
    await watch();
    bench.database.restore(
      new Map([[`${bench.prefix}/subnets/10.3.2.0-24`, valueOf("192.0.2.2")]]),
    );
    node.store.disconnectWatches();
    await bench.clock.advance(10_000);
    expect(sets.at(-1)).toEqual(["10.3.2.0/24 192.0.2.2"]);
    await put(4, "192.0.2.4");
    expect(sets.at(-1)).toEqual(["10.3.2.0/24 192.0.2.2", "10.3.4.0/24 192.0.2.4"]);
  });
});

test("watching ends with the signal's own reason", async () => {
  await watch();
  bench.stop.abort(new Error("asked to stop"));
  await bench.clock.advance(0);
  expect(ended?.error).toMatchObject({ message: "asked to stop" });
});

test("a closed store ends it with an error, not with silence", async () => {
  await watch();
  await node.store.close();
  await bench.clock.advance(60_000);
  expect(ended?.error).toMatchObject({ code: "store-unavailable", retryable: false });
});
