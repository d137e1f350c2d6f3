import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Lease, LeaseAttributes } from "../../core/lease.ts";
import {
  type BenchNode,
  DUAL_STACK,
  MemoryBench,
  attributesOf,
  cidrOf,
  networkConfig,
  valueOf,
} from "./memory-bench.ts";

const HOUR_MS = 3_600_000;
const KEY = "10.3.6.0-24";
const MOVED = attributesOf("192.0.2.7");

let bench: MemoryBench;
let node: BenchNode;
let lease: Lease;
/** What `keepLease` ended with. */
let ended: { readonly error: unknown } | undefined;
/** What each `publish` so far came to: the rival's subnet, or "done". */
let answers: string[];

beforeEach(async () => {
  bench = new MemoryBench();
  node = bench.open();
  ended = undefined;
  answers = [];
});

afterEach(() => bench.close());

/** Acquires 10.3.6.0/24 for 192.0.2.1 and keeps it. */
async function keep(attributes: LeaseAttributes = attributesOf("192.0.2.1")): Promise<void> {
  const config = attributes.publicIps[6] === undefined ? networkConfig() : DUAL_STACK;
  lease = await bench.run(
    node.subnetManager.acquireLease(
      config,
      attributes,
      { 4: cidrOf("10.3.6.0/24"), 6: cidrOf("fd00:12:0:6::/64") },
      bench.signal,
    ),
  );
  node.subnetManager
    .keepLease(lease, () => undefined, bench.signal)
    .catch((error: unknown) => (ended = { error }));
  await bench.clock.advance(1000);
}

/** A node that keeps 10.3.9.0/24. */
async function keepAnother(address: string): Promise<BenchNode> {
  const other = bench.open();
  const preferred = { 4: cidrOf("10.3.9.0/24") };
  const another = await bench.run(
    other.subnetManager.acquireLease(
      networkConfig(),
      attributesOf(address),
      preferred,
      bench.signal,
    ),
  );
  other.subnetManager
    .keepLease(another, () => undefined, bench.signal)
    .catch((error: unknown) => (ended = { error }));
  await bench.clock.advance(1000);
  return other;
}

/** The value of a node that has no address of its own at present. */
function nameless(address: string): string {
  return valueOf(address).replace(`"PublicIP":"${address}"`, '"PublicIP":"0.0.0.0"');
}

function publish(attributes: LeaseAttributes): void {
  node.subnetManager.publish(attributes, bench.signal).then(
    (rival) => answers.push(rival === undefined ? "done" : String(rival.subnets[4])),
    (error: unknown) => answers.push(String(error)),
  );
}

async function move(attributes: LeaseAttributes = MOVED, ms = 1000): Promise<void> {
  publish(attributes);
  await bench.clock.advance(ms);
}

const leaseOfKey = (): string | undefined => /\[(.*)\]$/.exec(bench.keys[0] ?? "")?.[1];

describe("other data", () => {
  test("come under the same key and the same etcd lease, and are renewed from then on", async () => {
    await keep();
    const [before] = bench.database.range({ prefix: "" }).entries;
    const requests = node.store.requests.length;
    await move();
    expect(node.store.requests.slice(requests)).toEqual(["range", "txn"]);
    const [after] = bench.database.range({ prefix: "" }).entries;
    expect(answers).toEqual(["done"]);
    expect(bench.keys).toEqual([`subnets/${KEY} ${valueOf("192.0.2.7")} [1]`]);
    expect(after?.createRevision).toBe(before?.createRevision);
    await bench.clock.advance(23.5 * HOUR_MS);
    expect(bench.keys).toEqual([`subnets/${KEY} ${valueOf("192.0.2.7")} [2]`]);
    expect(bench.database.leaseIds).toEqual(["2"]);
    expect(ended).toBeUndefined();
  });

  test("that are there already cost no write", async () => {
    await keep();
    const { revision } = bench.database;
    await move(attributesOf("192.0.2.1"));
    expect(answers).toEqual(["done"]);
    expect(bench.database.revision).toBe(revision);
  });

  test("leave a reservation one", async () => {
    await keep();
    bench.put(KEY, valueOf("192.0.2.1"));
    await bench.clock.advance(1000);
    await move();
    expect(bench.keys).toEqual([`subnets/${KEY} ${valueOf("192.0.2.7")} [none]`]);
    await bench.clock.advance(72 * HOUR_MS);
    expect(bench.keys).toEqual([`subnets/${KEY} ${valueOf("192.0.2.7")} [none]`]);
  });

  test("of several the last counts", async () => {
    await keep();
    publish(MOVED);
    await move(attributesOf("192.0.2.8"));
    expect(bench.keys).toEqual([expect.stringContaining(valueOf("192.0.2.8"))]);
    await move(attributesOf("192.0.2.1"));
    expect(bench.keys).toEqual([expect.stringContaining(valueOf("192.0.2.1"))]);
  });

  test("wait for the store, and end with the signal", async () => {
    await keep();
    node.store.setConnected(false);
    await move(MOVED, 60_000);
    expect(answers).toEqual([]);
    node.store.setConnected(true);
    await bench.clock.advance(2000);
    expect(answers).toEqual(["done"]);
    node.store.setConnected(false);
    await move(attributesOf("192.0.2.8"));
    bench.stop.abort(new Error("asked to stop"));
    await bench.clock.advance(1000);
    expect(answers).toEqual(["done", "Error: asked to stop"]);
  });
});

describe("what may be lost", () => {
  test.each(["range", "txn"] as const)("a request: %s", async (verb) => {
    await keep();
    node.store.fail(3, verb);
    await move(MOVED, 5000);
    expect(answers).toEqual(["done"]);
    expect(bench.keys).toEqual([`subnets/${KEY} ${valueOf("192.0.2.7")} [1]`]);
  });

  test.each(["range", "txn"] as const)("a reply: %s", async (verb) => {
    await keep();
    const { revision } = bench.database;
    node.store.loseReplies(2, verb);
    await move(MOVED, 5000);
    expect(answers).toEqual(["done"]);
    expect(bench.keys).toEqual([`subnets/${KEY} ${valueOf("192.0.2.7")} [1]`]);
    expect(bench.database.revision).toBe(revision + 1);
    await bench.clock.advance(48 * HOUR_MS);
    expect(bench.keys).toEqual([expect.stringContaining(valueOf("192.0.2.7"))]);
    expect(bench.database.leaseIds).toHaveLength(1);
    expect(ended).toBeUndefined();
  });

  test("the reply to the renewal before it, which was done all the same", async () => {
    await keep();
    await bench.clock.advance(22.99 * HOUR_MS);
    node.store.loseReplies(1, "txn");
    await bench.clock.advance(0.02 * HOUR_MS);
    expect(leaseOfKey()).toBe("2");
    await move();
    expect(bench.keys).toEqual([`subnets/${KEY} ${valueOf("192.0.2.7")} [2]`]);
    await bench.clock.advance(2000);
    expect(bench.database.leaseIds).toEqual(["2"]);
    expect(ended).toBeUndefined();
  });

  test("B6: the renewal before it, which comes when the new data are there already", async () => {
    await keep();
    await bench.clock.advance(22.99 * HOUR_MS);
    node.store.delayRequests(200_000, 1, "txn");
    await bench.clock.advance(0.02 * HOUR_MS + 10_000);
    await move(MOVED, 5000);
    expect(answers).toEqual(["done"]);
    await bench.clock.advance(10 * 60_000);
    expect(bench.keys).toEqual([expect.stringContaining(valueOf("192.0.2.7"))]);
    await bench.clock.advance(48 * HOUR_MS);
    expect(bench.keys).toEqual([expect.stringContaining(valueOf("192.0.2.7"))]);
    expect(bench.database.leaseIds).toHaveLength(1);
    expect(ended).toBeUndefined();
  });

  test("B6: a write that is late, when other data are there already", async () => {
    await keep();
    node.store.delayRequests(30_000, 1, "txn");
    await move(MOVED, 10_000);
    expect(answers).toEqual(["done"]);
    await move(attributesOf("192.0.2.8"));
    const { revision } = bench.database;
    await bench.clock.advance(60_000);
    expect(bench.database.revision).toBe(revision);
    expect(bench.keys).toEqual([`subnets/${KEY} ${valueOf("192.0.2.8")} [1]`]);
  });

  test("A3: the key: the same subnet is taken again with the new data", async () => {
    await keep();
    node.store.setConnected(false);
    await move();
    bench.database.expireLease("1");
    // Somebody else has the former address by now: that is no reason to give up the subnet.
    bench.put("10.3.9.0-24", valueOf("192.0.2.1"));
    const former: number[] = [];
    bench.database.onChange(() =>
      former.push(bench.keys.filter((key) => key.includes('"192.0.2.1"')).length),
    );
    node.store.setConnected(true);
    await bench.clock.advance(10_000);
    expect(new Set(former)).toEqual(new Set([1]));
    expect(bench.keys[0]).toMatch(new RegExp(`${KEY} .*"192.0.2.7".*\\[2\\]$`));
    expect(answers).toEqual(["done"]);
    expect(ended).toBeUndefined();
  });
});

test("what an operator put back of before the change is ours, and changed again", async () => {
  await keep();
  await move();
  node.store.setConnected(false);
  await move(attributesOf("192.0.2.8"));
  bench.database.delete(`${bench.prefix}/subnets/${KEY}`);
  bench.put(KEY, valueOf("192.0.2.7"));
  node.store.setConnected(true);
  await bench.clock.advance(10_000);
  expect(bench.keys).toEqual([`subnets/${KEY} ${valueOf("192.0.2.8")} [none]`]);
  expect(ended).toBeUndefined();
});

describe("an address that another lease has", () => {
  test("A3, A4: is not published; everything else is, and once it is free it is too", async () => {
    await keep();
    bench.put("10.3.9.0-24", valueOf("192.0.2.7"));
    const { revision } = bench.database;
    await move(attributesOf("192.0.2.7"));
    expect(answers).toEqual(["10.3.9.0/24"]);
    // The data of the backend are new, and the former address is ours no more.
    expect(bench.database.revision).toBe(revision + 1);
    expect(bench.keys[0]).toContain('"PublicIP":"0.0.0.0"');
    expect(bench.keys[0]).toContain("02:aa:bb:cc:dd:07");
    await move(attributesOf("192.0.2.7"));
    expect(bench.database.revision).toBe(revision + 1);
    bench.database.delete(`${bench.prefix}/subnets/10.3.9.0-24`);
    await move(attributesOf("192.0.2.7"));
    expect(answers).toEqual(["10.3.9.0/24", "10.3.9.0/24", "done"]);
    expect(bench.keys).toEqual([expect.stringContaining(valueOf("192.0.2.7"))]);
  });

  test("keeps no renewal from being made, with what is published", async () => {
    await keep();
    bench.put("10.3.9.0-24", valueOf("192.0.2.7"));
    await move({ ...attributesOf("192.0.2.1"), publicIps: MOVED.publicIps });
    await bench.clock.advance(24 * HOUR_MS);
    expect(bench.keys[0]).toBe(`subnets/${KEY} ${nameless("192.0.2.1")} [2]`);
    expect(ended).toBeUndefined();
  });

  test("and a key that was removed meanwhile: the same subnet is taken again", async () => {
    await keep();
    bench.put("10.3.9.0-24", valueOf("192.0.2.7"));
    await move();
    bench.database.delete(`${bench.prefix}/subnets/${KEY}`);
    await bench.clock.advance(5000);
    expect(bench.keys[0]).toBe(`subnets/${KEY} ${nameless("192.0.2.7")} [2]`);
    expect(ended).toBeUndefined();
  });

  test("A3, A4: two nodes that exchange their addresses get them, and keep their subnets", async () => {
    await keep();
    const second = await keepAnother("192.0.2.2");
    const swap = (wanted: BenchNode, address: string): Promise<Lease | undefined> =>
      wanted.subnetManager.publish(attributesOf(address), bench.signal);
    for (let round = 0; round < 2; round++) {
      const both = [swap(node, "192.0.2.2"), swap(second, "192.0.2.1")];
      await bench.clock.advance(5000);
      await Promise.all(both);
    }
    expect(bench.keys.map((key) => key.replace(/ \[.*/, ""))).toEqual([
      `subnets/${KEY} ${valueOf("192.0.2.2")}`,
      `subnets/10.3.9.0-24 ${valueOf("192.0.2.1")}`,
    ]);
    expect(ended).toBeUndefined();
  });

  test("A3: of two nodes that come to one address at once one gets it", async () => {
    await keep();
    const second = await keepAnother("192.0.2.2");
    const both = [node, second].map(({ subnetManager }) =>
      subnetManager.publish(MOVED, bench.signal),
    );
    await bench.clock.advance(5000);
    const rivals = (await Promise.all(both)).filter((rival) => rival !== undefined);
    expect(rivals).toHaveLength(1);
    expect(bench.keys.filter((key) => key.includes('"192.0.2.7"'))).toHaveLength(1);
  });

  test("in one family stops the other family not", async () => {
    await keep(attributesOf("192.0.2.1", "2001:db8::1"));
    bench.put("10.3.9.0-24", '{"PublicIP":"192.0.2.9","PublicIPv6":"2001:db8::7"}');
    await move(attributesOf("192.0.2.7", "2001:db8::7"));
    expect(answers).toEqual(["10.3.9.0/24"]);
    expect(bench.keys[0]).toContain('"PublicIP":"192.0.2.7","PublicIPv6":null');
  });
});

describe("who else writes our key", () => {
  test("B3': a node that has our former address owns what it wrote", async () => {
    await keep();
    node.store.setConnected(false);
    await move();
    const namesake = '{"PublicIP":"192.0.2.1","PublicIPv6":null,"BackendType":"host-gw"}';
    bench.put(KEY, namesake);
    node.store.setConnected(true);
    await bench.clock.advance(10_000);
    expect(ended?.error).toMatchObject({ code: "lease-lost" });
    expect(bench.keys).toEqual([`subnets/${KEY} ${namesake} [none]`]);
  });

  test("B1: another owner's key ends it, and is not touched", async () => {
    await keep();
    await move();
    bench.put(KEY, valueOf("192.0.2.1"));
    await bench.clock.advance(1000);
    expect(ended?.error).toMatchObject({ code: "lease-lost" });
    expect(bench.keys).toEqual([`subnets/${KEY} ${valueOf("192.0.2.1")} [none]`]);
  });
});

test.each([
  ["which is published", MOVED],
  ["which a rival has", { ...attributesOf("192.0.2.1"), publicIps: MOVED.publicIps }],
])("peers are all nodes but this one, whatever its address, %s", async (_, moved) => {
  const sets: string[] = [];
  await keep();
  bench.put("10.3.8.0-24", valueOf("192.0.2.7"));
  bench.put("10.3.9.0-24", valueOf("192.0.2.9"));
  const watch = async (): Promise<void> => {
    for await (const peers of node.subnetManager.watchPeers(lease, bench.signal))
      sets.push(peers.map(({ publicIps }) => publicIps[4]).join(" "));
  };
  watch().catch(() => undefined);
  await bench.clock.advance(1000);
  await move(moved);
  // The former address may go to another node.
  bench.put("10.3.9.0-24", valueOf("192.0.2.1"));
  await bench.clock.advance(1000);
  expect(sets).toEqual(["192.0.2.7 192.0.2.9", "192.0.2.9", "192.0.2.1"]);
});
