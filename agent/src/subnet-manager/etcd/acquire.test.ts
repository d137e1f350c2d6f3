import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type Cidr, FAMILIES, type Ip, type PerFamily } from "../../core/ip.ts";
import type { Lease } from "../../core/lease.ts";
import type { NetworkConfig } from "../../core/network-config.ts";
import {
  type BenchNode,
  DUAL_STACK,
  MemoryBench,
  attributesOf,
  cidrOf,
  networkConfig,
  subnetOf,
  valueOf,
} from "./memory-bench.ts";

let bench: MemoryBench;
let node: BenchNode;

beforeEach(() => {
  bench = new MemoryBench();
  node = bench.open();
});

afterEach(() => bench.close());

const DAY_SECONDS = 86_400;
const CONFIG = networkConfig();
/** Exactly one subnet to lease: 10.3.5.0/24. */
const ONE_SUBNET = networkConfig({ SubnetMin: "10.3.5.0", SubnetMax: "10.3.5.0" });

function acquire(
  publicIp: string,
  options: {
    readonly config?: NetworkConfig;
    readonly preferred?: PerFamily<Cidr>;
    readonly from?: BenchNode;
    readonly publicIpv6?: string;
  } = {},
): Promise<Lease> {
  const { subnetManager } = options.from ?? node;
  return bench.run(
    subnetManager.acquireLease(
      options.config ?? CONFIG,
      attributesOf(publicIp, options.publicIpv6),
      options.preferred ?? {},
      bench.signal,
    ),
  );
}

const messages = (): string[] => node.lines.map((line) => `${line.level}: ${line.message}`);

describe("what is written", () => {
  test("key and value are the reference's, byte for byte, with a lease of a day", async () => {
    const lease = await acquire("192.168.64.3", { config: ONE_SUBNET });
    expect(subnetOf(lease)).toBe("10.3.5.0/24");
    expect(bench.keys).toEqual([
      'subnets/10.3.5.0-24 {"PublicIP":"192.168.64.3","PublicIPv6":null,"BackendType":"vxlan","BackendData":{"VNI":1,"VtepMAC":"02:aa:bb:cc:dd:03"}} [1]',
    ]);
    expect(bench.database.timeToLive("1")).toBeGreaterThan(DAY_SECONDS - 2);
    expect(messages()).toEqual([
      "info: Allocated lease (ip: 10.3.5.0/24 ipv6: ::/0) to current node (192.168.64.3)",
    ]);
  });

  test("dual stack has both subnets in the key and both data in the value", async () => {
    const config = networkConfig({
      SubnetMin: "10.3.5.0",
      SubnetMax: "10.3.5.0",
      EnableIPv6: true,
      IPv6Network: "fd00:12::/48",
      IPv6SubnetMin: "fd00:12:0:7::",
      IPv6SubnetMax: "fd00:12:0:7::",
    });
    await acquire("192.0.2.1", { config, publicIpv6: "fd00::2" });
    expect(bench.keys).toEqual([
      'subnets/10.3.5.0-24&fd00:12:0:7::-64 {"PublicIP":"192.0.2.1","PublicIPv6":"fd00::2","BackendType":"vxlan","BackendData":{"VNI":1,"VtepMAC":"02:aa:bb:cc:dd:01"},"BackendV6Data":{"VNI":1,"VtepMAC":"02:aa:bb:cc:dd:01"}} [1]',
    ]);
  });

  test("a prefix is cleaned of slashes too many", async () => {
    const other = bench.open({ prefix: "//coreos.com//network/" });
    await acquire("192.0.2.1", { config: ONE_SUBNET, from: other });
    expect(bench.keys).toHaveLength(1);
  });

  test("a node without an IPv4 address is refused: nothing would tell it apart", async () => {
    const attributes = { ...attributesOf("192.0.2.1"), publicIps: {} };
    await expect(
      bench.run(node.subnetManager.acquireLease(CONFIG, attributes, {}, bench.signal)),
    ).rejects.toMatchObject({ code: "config-invalid" });
  });
});

describe("A10: which subnet", () => {
  test("the one the node has, whatever it would prefer, with a new lease instead of the old", async () => {
    const first = await acquire("192.0.2.1");
    const before = bench.database.revision;
    const again = bench.open();
    const second = await acquire("192.0.2.1", {
      from: again,
      preferred: { 4: cidrOf("10.3.200.0/24") },
    });
    expect(second).toEqual(first);
    expect(bench.database.revision).toBe(before + 1);
    expect(bench.database.leaseIds).toEqual(["2"]);
    expect(again.lines.map((line) => line.message)).toEqual([
      `Found lease (ip: ${subnetOf(first)} ipv6: ::/0) for current IP (192.0.2.1), reusing`,
    ]);
  });

  test("the preferred one when it is free", async () => {
    const lease = await acquire("192.0.2.1", { preferred: { 4: cidrOf("10.3.6.0/24") } });
    expect(subnetOf(lease)).toBe("10.3.6.0/24");
    expect(messages()).toEqual(["info: Found previously leased subnet (10.3.6.0/24), reusing"]);
  });

  test.each(["10.4.1.0/24", "10.3.6.0/25", "10.3.0.0/24"])(
    "not the preferred one when it does not fit: %s",
    async (subnet) => {
      const lease = await acquire("192.0.2.1", { preferred: { 4: cidrOf(subnet) } });
      expect(subnetOf(lease)).not.toBe(subnet);
    },
  );

  test("never one that another node has, also not a part of it", async () => {
    bench.put("10.3.0.0-17", valueOf("192.0.2.9"));
    const lease = await acquire("192.0.2.1", { preferred: { 4: cidrOf("10.3.6.0/24") } });
    expect(Number(subnetOf(lease).split(".")[2])).toBeGreaterThanOrEqual(128);
  });

  test("A3: five leases of one namesake: one is kept, the others go", async () => {
    for (const name of ["10.3.1.0-24", "10.3.2.0-24", "10.3.4.0-24", "10.3.5.0-24"])
      bench.put(name, valueOf("192.0.2.1"), bench.database.grantLease(DAY_SECONDS).leaseId);
    const lease = await acquire("192.0.2.1");
    expect(subnetOf(lease)).toBe("10.3.1.0/24");
    expect(bench.keys).toEqual([`subnets/10.3.1.0-24 ${valueOf("192.0.2.1")} [5]`]);
    expect(bench.database.leaseIds).toEqual(["5"]);
  });
});

describe("E9: another node with the same public IP", () => {
  const warnings = (from: BenchNode): string[] =>
    from.lines.filter((line) => line.level === "warn").map((line) => line.message);
  const other = { 4: "192.0.2.1" as Ip };

  test("is warned of when its lease is fresh and says something else", async () => {
    await acquire("192.0.2.1");
    const namesake = bench.open();
    const attributes = { publicIps: other, backendType: "host-gw", backendData: {} };
    const leasing = namesake.subnetManager.acquireLease(CONFIG, attributes, {}, bench.signal);
    await bench.run(leasing);
    expect(warnings(namesake)).toEqual([expect.stringContaining("--public-ip")]);
  });

  test("C8: a look-up that serves the warning alone holds up no claim", async () => {
    bench.put("10.3.5.0-24", '{"PublicIP":"192.0.2.1"}', bench.database.grantLease(60).leaseId);
    node.store.fail(Number.POSITIVE_INFINITY, "timeToLive");
    expect(subnetOf(await acquire("192.0.2.1"))).toBe("10.3.5.0/24");
  });

  test("a restart, or a changed backend after a while, is no other node", async () => {
    await acquire("192.0.2.1");
    const restarted = bench.open();
    await acquire("192.0.2.1", { from: restarted });
    await bench.clock.advance(120_000);
    const attributes = { publicIps: other, backendType: "host-gw", backendData: {} };
    await bench.run(restarted.subnetManager.acquireLease(CONFIG, attributes, {}, bench.signal));
    expect(warnings(restarted)).toEqual([]);
  });
});

describe("A11: a changed configuration", () => {
  test("an own lease that fits no more is replaced in one step", async () => {
    await acquire("192.0.2.1");
    const before = bench.database.revision;
    const config = networkConfig({ Network: "10.4.0.0/16" });
    const lease = await acquire("192.0.2.1", { config });
    expect(subnetOf(lease)).toMatch(/^10\.4\./);
    expect(bench.keys).toHaveLength(1);
    expect(bench.database.revision).toBe(before + 1);
    expect(bench.database.leaseIds).toEqual(["2"]);
  });

  test("switching IPv6 on and off keeps the IPv4 subnet (E20)", async () => {
    const single = await acquire("192.0.2.1");
    const before = bench.database.revision;
    const dual = await acquire("192.0.2.1", { config: DUAL_STACK, publicIpv6: "2001:db8::1" });
    expect(dual.subnets[4]).toBe(single.subnets[4]);
    expect(dual.subnets[6]).toMatch(/^fd00:12:/);
    expect(bench.keys).toHaveLength(1);
    expect(bench.database.revision).toBe(before + 1);
    const back = await acquire("192.0.2.1");
    expect(back.subnets).toEqual(single.subnets);
    expect(bench.keys).toHaveLength(1);
    expect(bench.database.leaseIds).toHaveLength(1);
  });

  test("B9: an etcd lease that another node's key hangs on is not revoked with ours", async () => {
    const { leaseId } = bench.database.grantLease(DAY_SECONDS);
    bench.put("10.3.1.0-24", valueOf("192.0.2.1"), leaseId);
    bench.put("10.3.2.0-24", valueOf("192.0.2.2"), leaseId);
    await acquire("192.0.2.1");
    expect(bench.keys).toEqual([
      `subnets/10.3.1.0-24 ${valueOf("192.0.2.1")} [2]`,
      `subnets/10.3.2.0-24 ${valueOf("192.0.2.2")} [1]`,
    ]);
  });
});

describe("A9: a reservation", () => {
  test("is found by its public IP, and with nothing new to say nothing is written", async () => {
    bench.put("10.3.7.0-24", valueOf("192.0.2.1"));
    const before = bench.database.revision;
    expect(subnetOf(await acquire("192.0.2.1"))).toBe("10.3.7.0/24");
    expect(bench.database.revision).toBe(before);
    expect(bench.database.leaseIds).toEqual([]);
  });

  test("gets the node's data and still no etcd lease", async () => {
    bench.put("10.3.7.0-24", '{"PublicIP":"192.0.2.1"}');
    await acquire("192.0.2.1");
    expect(bench.keys).toEqual([`subnets/10.3.7.0-24 ${valueOf("192.0.2.1")} [none]`]);
  });

  test("comes before a lease the node also has", async () => {
    await acquire("192.0.2.1", { preferred: { 4: cidrOf("10.3.6.0/24") } });
    bench.put("10.3.7.0-24", valueOf("192.0.2.1"));
    expect(subnetOf(await acquire("192.0.2.1"))).toBe("10.3.7.0/24");
    expect(bench.keys).toEqual([`subnets/10.3.7.0-24 ${valueOf("192.0.2.1")} [none]`]);
  });

  test("of another node is never leased", async () => {
    bench.put("10.3.5.0-24", valueOf("192.0.2.9"));
    await expect(acquire("192.0.2.1", { config: ONE_SUBNET })).rejects.toMatchObject({
      code: "subnet-exhausted",
      message: expect.stringContaining("out of subnets"),
    });
    expect(bench.database.leaseIds).toEqual([]);
  });

  test("stays one when the node goes dual stack", async () => {
    bench.put("10.3.7.0-24", valueOf("192.0.2.1"));
    const lease = await acquire("192.0.2.1", { config: DUAL_STACK, publicIpv6: "2001:db8::1" });
    expect(lease.subnets[4]).toBe("10.3.7.0/24");
    expect(bench.keys).toEqual([expect.stringMatching(/^subnets\/10\.3\.7\.0-24&fd00.*\[none\]$/)]);
  });
});

describe("A13: nonsense in the store", () => {
  test("is skipped, named once, and its subnet is nobody's to take", async () => {
    bench.put("10.3.5.0-24", "{not json");
    bench.put("10.3.6.0-24hi", valueOf("192.0.2.9"));
    bench.put("&2001::-56", valueOf("192.0.2.9"));
    bench.database.put(`${bench.prefix}/subnets-old/10.3.5.0-24`, valueOf("192.0.2.1"));
    await expect(acquire("192.0.2.1", { config: ONE_SUBNET })).rejects.toMatchObject({
      code: "subnet-exhausted",
    });
    expect(await acquire("192.0.2.1")).toBeDefined();
    const warnings = messages().filter((line) => line.startsWith("warn"));
    expect(warnings).toHaveLength(3);
    expect(warnings.join("\n")).toContain(
      'Ignoring bad subnet node: "/coreos.com/network/subnets/10.3.5.0-24"',
    );
  });
});

describe("A8: many at once", () => {
  test.each([CONFIG, DUAL_STACK])("fifty nodes all get a subnet of their own", async (config) => {
    const nodes = Array.from({ length: 50 }, () => bench.open());
    const leases = await bench.run(
      Promise.all(
        nodes.map(({ subnetManager }, index) =>
          subnetManager.acquireLease(
            config,
            attributesOf(`192.0.2.${index + 1}`),
            {},
            bench.signal,
          ),
        ),
      ),
    );
    for (const family of FAMILIES.filter((each) => config.ranges[each] !== undefined))
      expect(new Set(leases.map((lease) => lease.subnets[family])).size).toBe(50);
    expect(bench.clock.nowMs()).toBeLessThan(5000);
    expect(bench.database.leaseIds).toHaveLength(50);
  });

  test("one subnet left: one wins, the others say out of subnets and leave nothing", async () => {
    const nodes = Array.from({ length: 10 }, () => bench.open());
    const results = await bench.run(
      Promise.allSettled(
        nodes.map(({ subnetManager }, index) =>
          subnetManager.acquireLease(
            ONE_SUBNET,
            attributesOf(`192.0.2.${index + 1}`),
            {},
            bench.signal,
          ),
        ),
      ),
    );
    const losers = results.filter((result) => result.status === "rejected");
    expect(losers.map((loser: { reason: { code: string } }) => loser.reason.code)).toEqual(
      Array.from({ length: 9 }, () => "subnet-exhausted"),
    );
    expect(bench.database.leaseIds).toHaveLength(1);
  });
});

describe("trouble with the store", () => {
  test("E8: an own key that another node takes between our read and our write is not overwritten", async () => {
    const { leaseId } = bench.database.grantLease(DAY_SECONDS);
    bench.put("10.3.5.0-24", valueOf("192.0.2.1"), leaseId);
    const slow = bench.open({
      pace: async (step) => {
        if (step === "txn request") bench.put("10.3.5.0-24", valueOf("192.0.2.9"));
      },
    });
    await expect(acquire("192.0.2.1", { from: slow, config: ONE_SUBNET })).rejects.toMatchObject({
      code: "subnet-exhausted",
    });
    expect(bench.keys).toEqual([`subnets/10.3.5.0-24 ${valueOf("192.0.2.9")} [none]`]);
  });

  test("every request lost once changes nothing but the time", async () => {
    for (const verb of ["range", "grantLease", "txn"] as const) node.store.fail(1, verb);
    const lease = await acquire("192.0.2.1");
    expect(bench.keys).toHaveLength(1);
    expect(subnetOf(lease)).toBeTruthy();
  });

  test("B9: a lost reply to the write is no lost write, and nothing is revoked", async () => {
    node.store.loseReplies(1, "txn");
    const lease = await acquire("192.0.2.1");
    expect(bench.keys).toEqual([expect.stringContaining(subnetOf(lease).replace("/", "-"))]);
    expect(bench.database.leaseIds).toEqual(["1"]);
    await node.store.close();
  });

  test("B9: a lost reply to the write that reuses the own key keeps the key", async () => {
    const first = await acquire("192.0.2.1");
    const again = bench.open();
    again.store.loseReplies(2, "txn");
    const second = await acquire("192.0.2.1", { from: again });
    expect(second).toEqual(first);
    expect(bench.keys).toEqual([expect.stringMatching(/\[2\]$/)]);
    expect(bench.database.leaseIds).toEqual(["2"]);
  });

  test("an abort ends the wait for a dead store with the signal's reason", async () => {
    node.store.setConnected(false);
    const waiting = node.subnetManager.acquireLease(
      CONFIG,
      attributesOf("192.0.2.1"),
      {},
      bench.signal,
    );
    const [result] = await Promise.allSettled([
      waiting,
      bench.clock.advance(10_000).then(() => bench.stop.abort(new Error("asked to stop"))),
    ]);
    expect(result).toMatchObject({ reason: { message: "asked to stop" } });
  });

  test("E5: an hour of silence is a line a minute, and its end is one more", async () => {
    node.store.setConnected(false);
    const waiting = node.subnetManager.acquireLease(
      CONFIG,
      attributesOf("192.0.2.1"),
      {},
      bench.signal,
    );
    await bench.clock.advance(3_600_000);
    const lines = messages();
    expect(lines[0]).toBe(
      "warn: cannot range: etcd at http://192.0.2.1:2379: request lost; trying again until it answers",
    );
    expect(lines.length).toBeGreaterThan(50);
    expect(lines.length).toBeLessThan(70);
    expect(node.store.requests.length).toBeLessThan(2 * 3600);
    node.store.setConnected(true);
    await bench.run(waiting);
    expect(messages().slice(lines.length)[0]).toBe("info: etcd answers again");
  });
});

describe("the previous lease", () => {
  test("is the one under the same public IP, and the others are all others", async () => {
    const lease = await acquire("192.0.2.1");
    const other = await acquire("192.0.2.2");
    const found = node.subnetManager.previousLeases(lease.publicIps, bench.signal);
    expect(await bench.run(found)).toEqual({ own: lease, others: [other] });
    const unknown = node.subnetManager.previousLeases(
      attributesOf("192.0.2.3").publicIps,
      bench.signal,
    );
    const { own, others } = await bench.run(unknown);
    expect(own).toBeUndefined();
    expect(others).toHaveLength(2);
  });

  test("the manager's name says what subnet.env had", () => {
    expect(node.subnetManager.name).toBe("Etcd Local Manager with Previous Subnet: None");
    const other = bench.open({ previousSubnets: { 4: cidrOf("10.3.6.0/24") } });
    expect(other.subnetManager.name).toBe("Etcd Local Manager with Previous Subnet: 10.3.6.0/24");
  });
});

test("A1: a store made anew from a backup while a lease is claimed is read again, whatever its revisions say", async () => {
  bench.put("10.3.5.0-25", valueOf("192.168.64.9"));
  const backup = bench.database.snapshot();
  bench.database.delete("/coreos.com/network/subnets/10.3.5.0-25");
  let restored = false;
  const from = bench.open({
    pace: async (step) => {
      if (restored || step !== "grantLease request") return;
      restored = true;
      bench.database.restoreSnapshot(backup, { sameCluster: true });
    },
  });
  const acquiring = acquire("192.168.64.3", { config: ONE_SUBNET, from });
  await expect(acquiring).rejects.toMatchObject({ code: "subnet-exhausted" });
  expect(bench.keys).toEqual([`subnets/10.3.5.0-25 ${valueOf("192.168.64.9")} [none]`]);
});
