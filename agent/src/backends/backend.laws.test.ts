/** Laws that every registered backend obeys, in IPv4, IPv6 and both. */
import { describe, expect, test } from "vitest";
import { FAMILIES, addToIp, cidrAddress, containsIp, parseCidr, parseIp } from "../core/ip.ts";
import type { Lease } from "../core/lease.ts";
import { parseMac } from "../core/mac.ts";
import type { Change, KernelObject } from "../kernel/kernel.ts";
import { reconcile } from "../kernel/reconcile.ts";
import { withBlackholes } from "./blackholes.ts";
import { Cluster, NETWORKS, nodeIp, nodeSubnet, perFamily } from "./memory-cluster.ts";
import * as registry from "./registry.ts";

const VARIANTS = Object.values(registry).flatMap((definition) => [
  { name: definition.type, definition, hasBlackholes: false },
  {
    name: `${definition.type} with blackholes`,
    definition: withBlackholes(definition),
    hasBlackholes: true,
  },
]);

const CASES = VARIANTS.flatMap(({ name, ...variant }) =>
  ([[4], [6], [4, 6]] as const).map((families) => ({
    name: `${name} over IPv${families.join(" and IPv")}`,
    ...variant,
    families,
  })),
);

describe.each(CASES)("$name", ({ definition, families, hasBlackholes }) => {
  const cluster = new Cluster(definition, families);

  /** The printed kernel of a fresh node after one pass with these peers. */
  async function printed(peers: readonly Lease[]): Promise<string> {
    const node = await cluster.node();
    await node.pass(peers);
    return node.kernel.print();
  }

  test("every peer's subnet is routed, and the own one is not", async () => {
    const node = await cluster.node();
    const peers = await cluster.leases(2, 3, 4);
    await node.pass([...peers, node.own]);
    for (const family of families)
      for (const peer of [2, 3, 4])
        expect(node.kernel.print()).toContain(`route ${nodeSubnet(peer, family)} via `);
    for (const family of families)
      expect(node.kernel.print()).not.toContain(`route ${nodeSubnet(1, family)} via `);
  });

  test("what is sent to nobody in the own subnet is dropped as soon as it is leased, where that is asked for", async () => {
    const node = await cluster.node();
    const holes = (): readonly string[] =>
      node.kernel
        .print()
        .split("\n")
        .filter((line) => line.startsWith("blackhole"));
    await node.pass([]);
    const wanted = families.map(
      (family) => `blackhole ${nodeSubnet(1, family)} proto 116 metric 4294967295`,
    );
    expect(holes()).toEqual(hasBlackholes ? wanted.toSorted() : []);
    expect(node.kernel.print()).not.toContain(`route ${nodeSubnet(1, 4)}`);
  });

  test("reconciling twice changes nothing the second time", async () => {
    const node = await cluster.node();
    const peers = await cluster.leases(2, 3, 4);
    const first = await node.pass(peers);
    expect(first.changes.length).toBeGreaterThan(0);
    const once = node.kernel.print();
    expect(await node.pass(peers)).toEqual({ changes: [], failures: [], held: [] });
    expect(node.kernel.print()).toBe(once);
  });

  test("the order of peers does not matter", async () => {
    const peers = await cluster.leases(2, 3, 4, 5);
    const [a, b] = [await cluster.node(), await cluster.node()];
    expect((await a.plan(peers)).objects).toEqual((await b.plan(peers.toReversed())).objects);
    expect(await printed(peers)).toBe(await printed(peers.toReversed()));
  });

  test("a peer that left leaves nothing behind", async () => {
    const node = await cluster.node();
    const peers = await cluster.leases(2, 3, 4);
    await node.pass(peers);
    await node.pass(peers.slice(0, 1));
    expect(node.kernel.print()).toBe(await printed(peers.slice(0, 1)));
  });

  test("a peer that changes its public IP, data and subnet leaves nothing behind", async () => {
    const node = await cluster.node();
    const peers = await cluster.leases(2, 3);
    const [moved] = await cluster.leases(9);
    if (moved === undefined) throw new Error("node 9 has a lease");
    await node.pass(peers);
    const subnets = perFamily(families, (family) => nodeSubnet(3, family));
    const changed = [...peers.slice(0, 1), { ...moved, subnets }];
    await node.pass(changed);
    expect(node.kernel.print()).toBe(await printed(changed));
    await node.pass([...peers.slice(0, 1), moved]);
    expect(node.kernel.print()).toBe(await printed([...peers.slice(0, 1), moved]));
  });

  test("any object deleted behind its back comes back in one pass", async () => {
    const node = await cluster.node();
    const peers = await cluster.leases(2, 3, 4);
    const { objects } = await node.plan(peers);
    await node.pass(peers);
    const before = node.kernel.print();
    for (const object of objects.filter(({ kind }) => kind !== "sysctl")) {
      await node.kernel.apply([{ action: "remove", object }]);
      expect(node.kernel.print()).not.toBe(before);
      await node.pass(peers);
      expect(node.kernel.print()).toBe(before);
    }
  });

  test("any object altered behind its back is corrected in one pass", async () => {
    const node = await cluster.node();
    const peers = await cluster.leases(2, 3);
    const { objects } = await node.plan(peers);
    await node.pass(peers);
    const before = node.kernel.print();
    for (const object of objects.map(altered)) {
      await node.kernel.apply([{ action: "put", object }]);
      await node.pass(peers);
      expect(node.kernel.print()).toBe(before);
    }
  });

  test("an interface that goes down and up gets everything back", async () => {
    const node = await cluster.node();
    const peers = await cluster.leases(2, 3);
    await node.pass(peers);
    const before = node.kernel.print();
    node.kernel.setUp("eth0", false);
    node.kernel.setUp("eth0", true);
    for (const family of families)
      if (family === 6) node.kernel.addAddress("eth0", parseCidr(`${nodeIp(1, family)}/64`));
    await node.pass(peers);
    expect(node.kernel.print()).toBe(before);
  });

  test("closing leaves the data path up, and the next agent has nothing to change", async () => {
    const node = await cluster.node();
    const peers = await cluster.leases(2, 3);
    await node.pass(peers);
    const before = node.kernel.print();
    await node.backend.close();
    expect(node.kernel.print()).toBe(before);
    node.backend = await cluster.open(1, node.kernel, { seed: 77 });
    const { changes } = await reconcile(node.kernel, node.planWithoutLease());
    expect(changes).toEqual([]);
    expect(node.kernel.print()).toBe(before);
    expect((await node.pass(peers)).changes).toEqual([]);
  });

  test("published data survives a restart, and a reboot", async () => {
    const node = await cluster.node();
    await node.pass([]);
    const again = await cluster.open(1, node.kernel, { seed: 77 });
    expect(again.attributes).toEqual(node.backend.attributes);
    const rebooted = await cluster.open(1, cluster.kernel(1), { previous: node.own, seed: 77 });
    expect(rebooted.attributes).toEqual(node.backend.attributes);
  });

  test("on another address of the interface it is the same node, with every peer after one pass", async () => {
    const node = await cluster.node();
    const peers = await cluster.leases(2, 3, 4);
    await node.pass(peers);
    const before = { attributes: node.backend.attributes, kernel: node.kernel.print() };
    const move = async (to: number, from: number): Promise<void> => {
      const ips = perFamily(families, (family) => nodeIp(to, family));
      for (const address of cluster.cardAddresses(to)) node.kernel.addAddress("eth0", address);
      for (const address of cluster.cardAddresses(from)) node.kernel.removeAddress("eth0", address);
      node.backend = node.backend.onto({
        name: "eth0",
        mtu: 1500,
        addresses: ips,
        publicIps: ips,
      });
      await node.pass(peers);
      expect(node.backend.attributes).toEqual({ ...before.attributes, publicIps: ips });
      expect(await node.pass(peers)).toEqual({ changes: [], failures: [], held: [] });
    };
    await move(101, 1);
    for (const family of families)
      for (const peer of [2, 3, 4])
        expect(node.kernel.print()).toContain(`route ${nodeSubnet(peer, family)} via `);
    await move(1, 101);
    expect(node.kernel.print()).toBe(before.kernel);
  });

  test("leases of another backend are ignored, and named", async () => {
    const node = await cluster.node();
    const peers = await cluster.leases(2, 3);
    const [stranger] = await cluster.leases(4);
    if (stranger === undefined) throw new Error("node 4 has a lease");
    const foreign: Lease = { ...stranger, backendType: "something-else" };
    await node.pass([foreign, ...peers]);
    expect(node.kernel.print()).toBe(await printed(peers));
    const { rejected } = await node.plan([foreign, ...peers]);
    expect(new Set(rejected.map(({ peer }) => peer))).toEqual(new Set([foreign]));
  });

  test("a peer without usable addresses harms nobody else, and is named", async () => {
    const peers = await cluster.leases(2, 3);
    const [sound] = await cluster.leases(4);
    if (sound === undefined) throw new Error("node 4 has a lease");
    for (const bad of unusable(sound)) {
      const node = await cluster.node();
      await node.pass([bad, ...peers]);
      expect(node.kernel.print()).toBe(await printed(peers));
      const { rejected } = await node.plan([...peers, bad]);
      expect(rejected.map(({ peer }) => peer)).toContain(bad);
    }
  });

  test("peers that publish garbage harm nobody else", async () => {
    const peers = await cluster.leases(2, 3);
    const [sound] = await cluster.leases(4);
    if (sound === undefined) throw new Error("node 4 has a lease");
    const publishes = families.some((family) => sound.backendData[family] !== undefined);
    for (const garbage of GARBAGE) {
      const bad: Lease = { ...sound, backendData: perFamily(families, () => garbage) };
      const node = await cluster.node();
      await node.pass([bad, ...peers]);
      const { rejected } = await node.plan([bad, ...peers]);
      expect(new Set(rejected.map(({ peer }) => peer))).toEqual(new Set(publishes ? [bad] : []));
      expect(node.kernel.print()).toBe(await printed(publishes ? peers : [...peers, sound]));
    }
  });

  test("of two overlapping peers the one with the lower subnet stays, whatever the order", async () => {
    const [low, high] = await cluster.leases(2, 3);
    if (low === undefined || high === undefined) throw new Error("both nodes have a lease");
    const rival: Lease = { ...high, subnets: low.subnets };
    const node = await cluster.node();
    const [one, other] = [await node.plan([low, rival]), await node.plan([rival, low])];
    expect(one.objects).toEqual(other.objects);
    expect(one.rejected.map(({ peer }) => peer)).toEqual(families.map(() => rival));
    expect(one.rejected[0]?.reason).toContain(`overlaps`);
  });

  test("one refused change stops no other peer, and is made up for later", async () => {
    const peers = await cluster.leases(2, 3, 4);
    const wish = await (await cluster.node()).plan(peers);
    for (const refused of wish.objects.filter(({ kind }) => kind !== "link")) {
      const node = await cluster.node();
      const matches = ({ object }: Change): boolean =>
        JSON.stringify(object) === JSON.stringify(refused);
      const accept = node.kernel.refuse(matches, "ENOMEM");
      const { failures } = await node.try(peers);
      expect(failures.map(({ change }) => change.object)).toEqual([refused]);
      expectNoPartialPeer(await node.kernel.dump({ ...wish.scope, sysctls: [] }));
      accept();
      await node.pass(peers);
      expect(node.kernel.print()).toBe(await printed(peers));
    }
  });

  test("what somebody else put stays", async () => {
    const node = await cluster.node();
    for (const family of families) {
      const gateway = nodeIp(200, family);
      const outside = parseCidr(family === 4 ? "203.0.113.0/24" : "2001:db8:99::/64");
      for (const destination of [outside, nodeSubnet(99, family)])
        node.kernel.addRoute({ destination, gateway, link: "eth0", onlink: false, protocol: 4 });
    }
    node.kernel.addInterface({
      name: "cni0",
      type: "bridge",
      addresses: families.map((family) =>
        parseCidr(`${addToIp(cidrAddress(nodeSubnet(1, family)), 1n)}/${family === 4 ? 24 : 64}`),
      ),
    });
    const foreign = node.kernel.print().split("\n");
    const peers = await cluster.leases(2, 3);
    await node.pass(peers);
    await node.pass([]);
    expect(node.kernel.print().split("\n")).toEqual(expect.arrayContaining(foreign));
  });

  test("somebody else's route for a peer's subnet gives way", async () => {
    const node = await cluster.node();
    const peers = await cluster.leases(2, 3);
    for (const family of families)
      node.kernel.addRoute({
        destination: nodeSubnet(2, family),
        gateway: nodeIp(200, family),
        link: "eth0",
        onlink: false,
        protocol: 3,
      });
    await node.pass(peers);
    expect(node.kernel.print()).toBe(await printed(peers));
  });

  test("nothing is planned outside the scope, nor for a family that is not enabled", async () => {
    const node = await cluster.node();
    const { objects, scope } = await node.plan(await cluster.leases(2, 3));
    const stray = objects
      .filter((object) => object.kind === "route")
      .filter(({ destination }) =>
        scope.networks.every((network) => !containsIp(network, destination)),
      );
    expect(stray).toEqual([]);
    expect(scope.networks).toEqual(families.map((family) => NETWORKS[family]));
  });
});

/** What no node can publish as data. */
const GARBAGE: readonly unknown[] = [
  null,
  1,
  "text",
  [],
  {},
  { VtepMAC: 1 },
  { VtepMAC: "zz:00:00:00:00:00" },
  { VtepMAC: "00:00:00:00:00:00" },
  { VtepMAC: "01:00:5e:00:00:01" },
  { VNI: "1", VtepMAC: "0e:00:00:00:00:99" },
  { VNI: -1, VtepMAC: "0e:00:00:00:00:99" },
];

/** Leases that cannot be programmed, whatever the backend. */
function unusable(sound: Lease): readonly Lease[] {
  const families = FAMILIES.filter((family) => sound.subnets[family] !== undefined);
  const withIps = (v4: string, v6: string): Lease => ({
    ...sound,
    publicIps: perFamily(families, (family) => parseIp(family === 4 ? v4 : v6)),
  });
  const withSubnets = (v4: string, v6: string): Lease => ({
    ...sound,
    subnets: perFamily(families, (family) => parseCidr(family === 4 ? v4 : v6)),
  });
  return [
    { ...sound, publicIps: {} },
    withIps("127.0.0.1", "::1"),
    withIps("224.0.0.1", "ff02::1"),
    withIps("0.0.0.0", "::"),
    withIps("10.42.7.7", "2001:db8:42:7::7"),
    withIps("192.0.2.1", "2001:db8:1::1"),
    withSubnets("10.99.0.0/24", "2001:db8:99::/64"),
    withSubnets("10.42.0.0/16", "2001:db8:42::/48"),
    withSubnets("10.42.1.128/25", "2001:db8:42:1:8000::/65"),
  ];
}

/** The object as somebody might leave it who meant no good. */
function altered(object: KernelObject): KernelObject {
  switch (object.kind) {
    case "link":
      return { ...object, mtu: object.mtu - 100, mac: STRANGE_MAC, up: false };
    case "address":
      return object;
    case "neighbour":
      return { ...object, mac: STRANGE_MAC };
    case "fdb":
      return { ...object, destination: addToIp(object.destination, 100n) };
    case "nexthop":
    case "route":
      return { ...object, protocol: 4 };
    case "blackhole":
      return object;
    case "sysctl":
      return { ...object, value: "2" };
  }
}

const STRANGE_MAC = parseMac("0e:ff:ff:ff:ff:ff");

/** A route through a tunnel has its neighbour, and that its FDB entry (invariants D3, D12). */
function expectNoPartialPeer(objects: readonly KernelObject[]): void {
  const tunnels = new Set(objects.flatMap((object) => (object.kind === "link" ? object.name : [])));
  for (const route of objects) {
    if (route.kind !== "route" || route.gateway === undefined || !tunnels.has(route.link)) continue;
    const neighbour = objects.find(
      (object) => object.kind === "neighbour" && object.address === route.gateway,
    );
    expect(neighbour).toBeDefined();
    const mac = neighbour?.kind === "neighbour" ? neighbour.mac : undefined;
    expect(objects.some((object) => object.kind === "fdb" && object.mac === mac)).toBe(true);
  }
}
