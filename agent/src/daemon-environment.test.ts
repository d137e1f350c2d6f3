import { expect, test } from "vitest";
import type { Cidr } from "./core/ip.ts";
import {
  type Agent,
  type Node,
  SUBNETS,
  SUBNET_FILE,
  VXLAN,
  World,
  twoNodes,
} from "./memory-world-bench.ts";

const DUAL = JSON.stringify({
  Network: "10.42.0.0/16",
  EnableIPv6: true,
  IPv6Network: "fd00:42::/56",
  Backend: { Type: "vxlan" },
});
const HOST_GW = '{"Network":"10.42.0.0/16","Backend":{"Type":"host-gw"}}';

const lines = (node: Node, pattern: RegExp): readonly string[] =>
  node.kernel
    .print()
    .split("\n")
    .filter((line) => pattern.test(line));
const deviceOf = (node: Node): string => lines(node, /^link flannel\.1 /)[0] ?? "none";
const macOf = (node: Node): string => /address (\S+)/.exec(deviceOf(node))?.[1] ?? "none";
const peersOf = (node: Node): readonly string[] => lines(node, /^(fdb|neigh|route 10\.42).* dev /);
const said = (node: Node, part: string): readonly string[] =>
  node.log.lines
    .filter(({ message }) => message.includes(part))
    .map(({ level, message }) => `${level}: ${message}`);

function exchange({ kernel }: Node, from: string, to: string): void {
  kernel.addAddress("eth0", to as Cidr);
  kernel.removeAddress("eth0", from as Cidr);
}

/** What the store says of each subnet. */
async function published(world: World): Promise<readonly string[]> {
  const { entries } = await world.store.range(SUBNETS);
  return entries.map((entry) => {
    const value = JSON.parse(entry.value) as Record<string, unknown>;
    const ips = [value["PublicIP"], value["PublicIPv6"]].filter((ip) => typeof ip === "string");
    return `${entry.key.slice(SUBNETS.prefix.length)} ${ips.join(" ")}`;
  });
}

async function stop(agents: readonly Agent[]): Promise<void> {
  expect(await Promise.all(agents.map((agent) => agent.stop()))).toEqual(
    agents.map(() => "stopped"),
  );
}

async function twoDualNodes(): Promise<{ world: World; nodes: [Node, Node]; agents: Agent[] }> {
  const world = new World();
  await world.configure(DUAL);
  const nodes: [Node, Node] = [
    world.node(["192.0.2.1/24", "2001:db8::1/64"]),
    world.node(["192.0.2.2/24", "2001:db8::2/64"]),
  ];
  const agents = nodes.map((node) => node.start());
  await world.clock.advance(2_000);
  expect(agents.map((agent) => agent.ready)).toEqual([true, true]);
  return { world, nodes, agents };
}

test("another MTU of the interface: the device has it at once, subnet.env tells it, nothing else moves", async () => {
  const { world, nodes, agents } = await twoNodes();
  const before = { kernel: nodes[0].kernel.print(), revision: world.database.revision };
  const env = nodes[0].files.texts.get(SUBNET_FILE);
  for (const mtu of [1400, 9000]) {
    nodes[0].kernel.setMtu("eth0", mtu);
    await world.clock.advance(1_000);
    expect(nodes[0].kernel.print()).toBe(
      before.kernel
        .replace(/(link flannel\.1 .*mtu) 1450/, `$1 ${mtu - 50}`)
        .replace(/(link eth0 .*mtu) 1500/, `$1 ${mtu}`),
    );
    expect(nodes[0].files.texts.get(SUBNET_FILE)).toBe(env?.replace("1450", String(mtu - 50)));
  }
  expect(world.database.revision).toBe(before.revision);
  expect(agents[0]?.ready).toBe(true);
  await stop(agents);
});

test("the device is not made anew for another MTU: whatever is on it stays", async () => {
  const { world, nodes, agents } = await twoNodes();
  const refused: string[] = [];
  nodes[0].kernel.refuse(({ action, object }) => {
    if (action === "remove" || object.kind !== "link") refused.push(`${action} ${object.kind}`);
    return false;
  }, "EPERM");
  nodes[0].kernel.setMtu("eth0", 1400);
  await world.clock.advance(1_000);
  expect(deviceOf(nodes[0])).toContain("mtu 1350");
  expect(refused).toEqual([]);
  await stop(agents);
});

test("another address: device with its peers, lease and the peers' entries follow", async () => {
  const { world, nodes, agents } = await twoNodes();
  const [mac, peers] = [macOf(nodes[0]), peersOf(nodes[0])];
  const keys = await world.keys();
  exchange(nodes[0], "192.0.2.1/24", "192.0.2.101/24");
  await world.clock.advance(1_000);
  expect(deviceOf(nodes[0])).toContain("local 192.0.2.101");
  expect(macOf(nodes[0])).toBe(mac);
  expect(peersOf(nodes[0])).toEqual(peers);
  expect(await world.keys()).toEqual(keys);
  expect((await published(world)).map((line) => line.replace(/^\S+ /, "")).toSorted()).toEqual([
    "192.0.2.101",
    "192.0.2.2",
  ]);
  expect(lines(nodes[1], /^fdb/)).toEqual([
    `fdb ${mac} dev flannel.1 dst 192.0.2.101 self permanent`,
  ]);
  expect(agents.map((agent) => agent.ready)).toEqual([true, true]);
  await stop(agents);
});

test("host-gw: another address changes the peers' gateways", async () => {
  const { world, nodes, agents } = await twoNodes(HOST_GW);
  exchange(nodes[0], "192.0.2.1/24", "192.0.2.101/24");
  await world.clock.advance(1_000);
  expect(peersOf(nodes[1])).toEqual([expect.stringContaining("via 192.0.2.101 dev eth0")]);
  expect(peersOf(nodes[0])).toEqual([expect.stringContaining("via 192.0.2.2 dev eth0")]);
  await stop(agents);
});

test("an address that is given is published whatever the interface has", async () => {
  const world = new World();
  await world.configure(VXLAN);
  const node = world.node();
  const agent = node.start({ publicIp: "203.0.113.5" });
  await world.clock.advance(2_000);
  const { revision } = world.database;
  exchange(node, "192.0.2.1/24", "192.0.2.101/24");
  await world.clock.advance(1_000);
  expect(deviceOf(node)).toContain("local 192.0.2.101");
  expect(world.database.revision).toBe(revision);
  await stop([agent]);
});

test("addresses that come and go beside the chosen one change nothing", async () => {
  const { world, nodes, agents } = await twoNodes();
  const before = { device: deviceOf(nodes[0]), published: await published(world) };
  nodes[0].kernel.addAddress("eth0", "192.0.2.50/24" as Cidr);
  nodes[0].kernel.addAddress("eth0", "198.51.100.1/24" as Cidr);
  await world.clock.advance(20_000);
  nodes[0].kernel.removeAddress("eth0", "192.0.2.50/24" as Cidr);
  await world.clock.advance(20_000);
  expect({ device: deviceOf(nodes[0]), published: await published(world) }).toEqual(before);
  expect(said(nodes[0], "changed, following")).toEqual([]);
  await stop(agents);
});

test("without any address everything is kept, said once, and goes on when it is back", async () => {
  const { world, nodes, agents } = await twoNodes();
  const before = { kernel: nodes[0].kernel.print(), published: await published(world) };
  nodes[0].kernel.removeAddress("eth0", "192.0.2.1/24" as Cidr);
  await world.clock.advance(60_000);
  expect(deviceOf(nodes[0])).toContain("local 192.0.2.1");
  expect(await published(world)).toEqual(before.published);
  expect(said(nodes[0], "has lost its address")).toEqual([
    expect.stringMatching(/^warn: interface eth0 has lost its address 192\.0\.2\.1 .*: keeping/),
  ]);
  nodes[0].kernel.addAddress("eth0", "192.0.2.1/24" as Cidr);
  await world.clock.advance(1_000);
  expect(nodes[0].kernel.print()).toBe(before.kernel);
  expect(said(nodes[0], "no longer so")).toHaveLength(1);
  await stop(agents);
});

test.each([
  ["vxlan", VXLAN],
  ["host-gw", HOST_GW],
])("%s: what a link that was down has dropped is back when it is up", async (_, config) => {
  const { world, nodes, agents } = await twoNodes(config);
  const before = nodes[0].kernel.print();
  nodes[0].kernel.setUp("eth0", false);
  await world.clock.advance(30_000);
  expect(said(nodes[0], "is down")).toHaveLength(1);
  nodes[0].kernel.setUp("eth0", true);
  // Refused changes are tried again at the latest then.
  await world.clock.advance(10_000);
  expect(nodes[0].kernel.print()).toBe(before);
  await stop(agents);
});

test("an interface that is gone takes the device along, and brings it back with its MAC and peers", async () => {
  const { world, nodes, agents } = await twoNodes();
  const [device, peers] = [deviceOf(nodes[0]), peersOf(nodes[0])];
  nodes[0].kernel.removeInterface("eth0");
  await world.clock.advance(60_000);
  expect(deviceOf(nodes[0])).toBe("none");
  expect(said(nodes[0], "interface eth0 is gone")).toHaveLength(1);
  nodes[0].kernel.addInterface({ name: "eth0", addresses: ["192.0.2.1/24" as Cidr] });
  await world.clock.advance(10_000);
  expect([deviceOf(nodes[0]), peersOf(nodes[0])]).toEqual([device, peers]);
  await stop(agents);
});

test("an interface that is gone for good is replaced by what the options lead to then", async () => {
  const world = new World();
  await world.configure(VXLAN);
  const node = world.node();
  const agent = node.start({ names: ["eth0", "eth1"] });
  await world.clock.advance(2_000);
  const mac = macOf(node);
  node.kernel.addInterface({ name: "eth1", addresses: ["198.51.100.1/24" as Cidr] });
  node.kernel.removeInterface("eth0");
  await world.clock.advance(9_000);
  expect(await published(world)).toEqual([expect.stringContaining("192.0.2.1")]);
  await world.clock.advance(11_000);
  expect(await published(world)).toEqual([expect.stringContaining("198.51.100.1")]);
  expect(deviceOf(node)).toContain("local 198.51.100.1 dev eth1");
  expect(macOf(node)).toBe(mac);
  // The former one is not gone back to.
  node.kernel.addInterface({ name: "eth0", addresses: ["192.0.2.1/24" as Cidr] });
  await world.clock.advance(20_000);
  expect(deviceOf(node)).toContain("local 198.51.100.1 dev eth1");
  await stop([agent]);
});

test("dual stack: one family that loses or changes its address leaves the other alone", async () => {
  const { world, nodes, agents } = await twoDualNodes();
  const before = lines(nodes[0], /flannel-v6/);
  const peers = lines(nodes[1], /flannel-v6/);
  nodes[0].kernel.removeAddress("eth0", "2001:db8::1/64" as Cidr);
  exchange(nodes[0], "192.0.2.1/24", "192.0.2.101/24");
  await world.clock.advance(30_000);
  expect(lines(nodes[0], /flannel-v6/)).toEqual(before);
  expect(lines(nodes[1], /flannel-v6/)).toEqual(peers);
  expect(deviceOf(nodes[0])).toContain("local 192.0.2.101");
  expect(await published(world)).toContainEqual(
    expect.stringMatching(/ 192\.0\.2\.101 2001:db8::1$/),
  );
  nodes[0].kernel.addAddress("eth0", "2001:db8::101/64" as Cidr);
  await world.clock.advance(1_000);
  expect(lines(nodes[0], /^link flannel-v6/)[0]).toContain("local 2001:db8::101");
  expect(lines(nodes[1], /^fdb.*flannel-v6/)[0]).toContain("dst 2001:db8::101");
  expect(await published(world)).toContainEqual(
    expect.stringMatching(/ 192\.0\.2\.101 2001:db8::101$/),
  );
  await stop(agents);
});

test("dual stack: the smaller of both devices is what pods are told", async () => {
  const { world, nodes, agents } = await twoDualNodes();
  const env = (): string => nodes[0].files.texts.get(SUBNET_FILE) ?? "";
  expect(env()).toContain("FLANNEL_MTU=1430");
  nodes[0].kernel.setMtu("eth0", 9000);
  await world.clock.advance(1_000);
  expect(env()).toContain("FLANNEL_MTU=8930");
  expect(lines(nodes[0], /^link flannel\.1 /)[0]).toContain("mtu 8950");
  expect(lines(nodes[0], /^link flannel-v6\.1 /)[0]).toContain("mtu 8930");
  await stop(agents);
});

test("an MTU too small for the tunnel is said and changes nothing", async () => {
  const { world, nodes, agents } = await twoNodes();
  const before = deviceOf(nodes[0]);
  nodes[0].kernel.setMtu("eth0", 100);
  await world.clock.advance(30_000);
  expect(deviceOf(nodes[0])).toBe(before);
  expect(said(nodes[0], "interface eth0 has MTU 100")).toEqual([
    "warn: interface eth0 has MTU 100: vxlan over IPv4 needs at least 118: keeping data path and lease as they are until that changes",
  ]);
  nodes[0].kernel.setMtu("eth0", 1400);
  await world.clock.advance(1_000);
  expect(deviceOf(nodes[0])).toContain("mtu 1350");
  await stop(agents);
});

test("an address that another lease has: not ready, said once, published when that lease is gone", async () => {
  const { world, nodes, agents } = await twoNodes();
  const rival = `${SUBNETS.prefix}10.42.250.0-24`;
  const write = (
    action: { action: "put"; value: string } | { action: "delete" },
  ): Promise<unknown> =>
    world.store.txn({ compare: [], success: [{ key: rival, ...action }], failure: [] });
  await write({ action: "put", value: '{"PublicIP":"192.0.2.101","BackendType":"vxlan"}' });
  exchange(nodes[0], "192.0.2.1/24", "192.0.2.101/24");
  await world.clock.advance(60_000);
  expect(agents.map((agent) => agent.ready)).toEqual([false, true]);
  expect((await published(world)).map((line) => line.replace(/^\S+ /, "")).toSorted()).toEqual([
    "0.0.0.0",
    "192.0.2.101",
    "192.0.2.2",
  ]);
  expect(lines(nodes[1], /^fdb/)).toEqual([]);
  expect(said(nodes[0], "our new public IP")).toEqual([
    "error: our new public IP 192.0.2.101 is that of the lease of 10.42.250.0/24: peers send us nothing until it gives that up; if that node is gone, delete its lease from the store, else give each node an address of its own or a --public-ip",
  ]);
  await write({ action: "delete" });
  await world.clock.advance(10_000);
  expect(agents.map((agent) => agent.ready)).toEqual([true, true]);
  expect(lines(nodes[1], /^fdb/)[0]).toContain("dst 192.0.2.101");
  await stop(agents);
});

test("an address that another lease has is asked for again, also when the MTU changes meanwhile", async () => {
  const { world, nodes, agents } = await twoNodes();
  await agents[1]?.stop();
  exchange(nodes[0], "192.0.2.1/24", "192.0.2.2/24");
  await world.clock.advance(1_000);
  nodes[0].kernel.setMtu("eth0", 1400);
  await world.clock.advance(1_000);
  expect(agents[0]?.ready).toBe(false);
  const [rival] = (await published(world)).filter((line) => line.endsWith(" 192.0.2.2"));
  const key = `${SUBNETS.prefix}${rival?.split(" ")[0]}`;
  await world.store.txn({ compare: [], success: [{ action: "delete", key }], failure: [] });
  await world.clock.advance(10_000);
  expect(agents[0]?.ready).toBe(true);
  expect(await published(world)).toEqual([expect.stringContaining(" 192.0.2.2")]);
  await agents[0]?.stop();
});

test("an address that a node has left may be its peer's", async () => {
  const { world, nodes, agents } = await twoNodes();
  exchange(nodes[0], "192.0.2.1/24", "192.0.2.101/24");
  await world.clock.advance(1_000);
  exchange(nodes[1], "192.0.2.2/24", "192.0.2.1/24");
  await world.clock.advance(1_000);
  expect(lines(nodes[0], /^fdb/)).toEqual([
    `fdb ${macOf(nodes[1])} dev flannel.1 dst 192.0.2.1 self permanent`,
  ]);
  expect(peersOf(nodes[0])).toHaveLength(3);
  await stop(agents);
});

test("D1, A3, A4: two nodes exchange their addresses while both run, and reach each other again", async () => {
  const { world, nodes, agents } = await twoNodes();
  const before = await published(world);
  exchange(nodes[0], "192.0.2.1/24", "192.0.2.2/24");
  exchange(nodes[1], "192.0.2.2/24", "192.0.2.1/24");
  await world.clock.advance(1_000);
  expect(agents.map((agent) => agent.ready)).toEqual([true, true]);
  const swapped = before.map((line) =>
    line.replace(/192\.0\.2\.(\d)/, (_, last) => `192.0.2.${last === "1" ? 2 : 1}`),
  );
  expect(await published(world)).toEqual(swapped);
  expect(lines(nodes[0], /^fdb/)[0]).toContain("dst 192.0.2.1 ");
  expect(lines(nodes[1], /^fdb/)[0]).toContain("dst 192.0.2.2 ");
  await stop(agents);
});

test("an address that another lease has is given up when the own one is back", async () => {
  const { world, nodes, agents } = await twoNodes();
  exchange(nodes[0], "192.0.2.1/24", "192.0.2.2/24");
  await world.clock.advance(15_000);
  expect(agents.map((agent) => agent.ready)).toEqual([false, true]);
  exchange(nodes[0], "192.0.2.2/24", "192.0.2.1/24");
  await world.clock.advance(1_000);
  expect(agents.map((agent) => agent.ready)).toEqual([true, true]);
  expect((await published(world)).map((line) => line.replace(/^\S+ /, "")).toSorted()).toEqual([
    "192.0.2.1",
    "192.0.2.2",
  ]);
  expect(lines(nodes[1], /^fdb/)[0]).toContain("dst 192.0.2.1 ");
  expect(peersOf(nodes[0])).toHaveLength(3);
  await stop(agents);
});

test("while the store is away the device follows, and the lease as soon as it is back", async () => {
  const { world, nodes, agents } = await twoNodes();
  agents[0]?.store.setConnected(false);
  exchange(nodes[0], "192.0.2.1/24", "192.0.2.101/24");
  await world.clock.advance(5_000);
  exchange(nodes[0], "192.0.2.101/24", "192.0.2.102/24");
  await world.clock.advance(60_000);
  expect(deviceOf(nodes[0])).toContain("local 192.0.2.102");
  const { revision } = world.database;
  agents[0]?.store.setConnected(true);
  await world.clock.advance(2_000);
  expect(lines(nodes[1], /^fdb/)[0]).toContain("dst 192.0.2.102");
  expect(world.database.revision).toBe(revision + 1);
  await stop(agents);
});

test("a subnet.env that cannot be written gets the newest MTU when it can", async () => {
  const { world, nodes, agents } = await twoNodes();
  nodes[0].files.refuse(SUBNET_FILE, "ENOSPC");
  nodes[0].kernel.setMtu("eth0", 1400);
  await world.clock.advance(2_000);
  nodes[0].kernel.setMtu("eth0", 1300);
  await world.clock.advance(2_000);
  nodes[0].files.allow(SUBNET_FILE);
  await world.clock.advance(2_000);
  expect(nodes[0].files.texts.get(SUBNET_FILE)).toContain("FLANNEL_MTU=1250");
  await stop(agents);
});

test("A10, B3': an address that changed while no agent ran means another subnet: the old key is not ours to tell", async () => {
  const { world, nodes, agents } = await twoNodes();
  await agents[0]?.stop();
  const before = await published(world);
  const mac = macOf(nodes[0]);
  exchange(nodes[0], "192.0.2.1/24", "192.0.2.101/24");
  const again = nodes[0].start();
  await world.clock.advance(2_000);
  const after = await published(world);
  expect(after).toEqual(expect.arrayContaining([...before]));
  expect(after).toHaveLength(3);
  expect(again.ready).toBe(true);
  // With the old MAC, peers could not tell the two leases apart.
  expect(macOf(nodes[0])).not.toBe(mac);
  await Promise.all([again.stop(), agents[1]?.stop()]);
});

test("an agent that ends before its new address is published leaves no MAC in two leases", async () => {
  const { world, nodes, agents } = await twoNodes();
  agents[0]?.store.setConnected(false);
  exchange(nodes[0], "192.0.2.1/24", "192.0.2.101/24");
  await world.clock.advance(5_000);
  const mac = macOf(nodes[0]);
  expect(deviceOf(nodes[0])).toContain("local 192.0.2.101");
  await agents[0]?.stop();
  const again = nodes[0].start();
  await world.clock.advance(2_000);
  expect(again.ready).toBe(true);
  expect(macOf(nodes[0])).not.toBe(mac);
  expect(lines(nodes[1], /^fdb/)).toEqual(
    [
      `fdb ${mac} dev flannel.1 dst 192.0.2.1 self permanent`,
      `fdb ${macOf(nodes[0])} dev flannel.1 dst 192.0.2.101 self permanent`,
    ].toSorted(),
  );
  await Promise.all([again.stop(), agents[1]?.stop()]);
});
