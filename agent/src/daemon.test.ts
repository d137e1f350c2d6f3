import { expect, test } from "vitest";
import { parseCidr, parseIp } from "./core/ip.ts";
import { type Node, SUBNETS, SUBNET_FILE, VXLAN, World, twoNodes } from "./memory-world-bench.ts";

const flannelRoutes = (node: Node): readonly string[] =>
  node.kernel
    .print()
    .split("\n")
    .filter((line) => line.startsWith("route") && line.includes("flannel.1"));

test("two nodes lease a subnet each, and each kernel holds the other's", async () => {
  const { world, nodes, agents } = await twoNodes();
  const keys = await world.keys();
  expect(keys).toHaveLength(2);
  for (const node of nodes) {
    const own = /FLANNEL_SUBNET=([\d.]+)\.1\/24/.exec(node.files.texts.get(SUBNET_FILE) ?? "")?.[1];
    const other = keys.find((key) => !key.startsWith(`${own}.0-`))?.replace("-24", "");
    expect(flannelRoutes(node)).toEqual([`route ${other}/24 via ${other} dev flannel.1 onlink`]);
  }
  await Promise.all(agents.map((agent) => agent.stop()));
});

test("subnet.env is written before ready, and says what was leased", async () => {
  const { world, nodes, agents } = await twoNodes();
  const [address] = (await world.keys()).map((key) => key.replace(".0-24", ".1/24"));
  expect([...nodes].map((node) => node.files.texts.get(SUBNET_FILE))).toContain(
    `FLANNEL_NETWORK=10.42.0.0/16\nFLANNEL_SUBNET=${address}\nFLANNEL_MTU=1450\nFLANNEL_IPMASQ=false\n`,
  );
  await Promise.all(agents.map((agent) => agent.stop()));
});

test("a lease that ends takes its kernel entries with it", async () => {
  const { world, nodes, agents } = await twoNodes();
  await agents[1]?.stop();
  const own = /FLANNEL_SUBNET=([\d.]+)\.1\//.exec(nodes[1].files.texts.get(SUBNET_FILE) ?? "")?.[1];
  await world.store.txn({
    compare: [],
    success: [{ action: "delete", key: `${SUBNETS.prefix}${own}.0-24` }],
    failure: [],
  });
  await world.clock.advance(1_000);
  expect(flannelRoutes(nodes[0])).toEqual([]);
  expect(nodes[0].kernel.print()).not.toMatch(/^(fdb|neigh)/m);
  await agents[0]?.stop();
});

test("B1: an agent whose key is gone is not ready until it has it again, though a full store takes hours", async () => {
  const { world, nodes, agents } = await twoNodes();
  const before = await world.keys();
  const own = /FLANNEL_SUBNET=([\d.]+)\.1\//.exec(nodes[1].files.texts.get(SUBNET_FILE) ?? "")?.[1];
  world.database.setOutOfSpace(true);
  world.database.delete(`${SUBNETS.prefix}${own}.0-24`);
  await world.clock.advance(1_000);
  expect(agents.map(({ ready }) => ready)).toEqual([true, false]);
  await world.clock.advance(2 * 3_600_000);
  expect(agents.map(({ ready }) => ready)).toEqual([true, false]);
  world.database.setOutOfSpace(false);
  await world.clock.advance(60_000);
  expect(agents.map(({ ready }) => ready)).toEqual([true, true]);
  expect(await world.keys()).toEqual(before);
  await Promise.all(agents.map((agent) => agent.stop()));
});

test("a device deleted behind its back is back within a second, with its address and every peer", async () => {
  const { world, nodes, agents } = await twoNodes();
  const before = nodes[0].kernel.print();
  nodes[0].kernel.removeInterface("flannel.1");
  expect(flannelRoutes(nodes[0])).toEqual([]);
  await world.clock.advance(1_000);
  expect(nodes[0].kernel.print()).toBe(before);
  await Promise.all(agents.map((agent) => agent.stop()));
});

test("stopping leaves data path, lease and subnet.env, and the next start changes none of them", async () => {
  const { world, nodes, agents } = await twoNodes();
  const before = {
    kernel: nodes[0].kernel.print(),
    keys: await world.keys(),
    env: nodes[0].files.texts.get(SUBNET_FILE),
  };
  expect(await agents[0]?.stop()).toBe("stopped");
  expect(agents[0]?.ready).toBe(false);
  expect(nodes[0].kernel.print()).toBe(before.kernel);
  expect(await world.keys()).toEqual(before.keys);

  const again = nodes[0].start();
  await world.clock.advance(2_000);
  expect(again.ready).toBe(true);
  expect({
    kernel: nodes[0].kernel.print(),
    keys: await world.keys(),
    env: nodes[0].files.texts.get(SUBNET_FILE),
  }).toEqual(before);
  await Promise.all([again.stop(), agents[1]?.stop()]);
});

test("D1: what a predecessor left under another configuration, or of peers that left meanwhile, goes; everybody else's stays", async () => {
  const world = new World();
  await world.configure(VXLAN);
  const node = world.node();
  const { kernel } = node;
  const route = { link: "eth0", onlink: false, gateway: parseIp("192.0.2.77"), protocol: 3 };
  const peerRoute = { ...route, destination: parseCidr("10.42.77.0/24") };
  kernel.addInterface({ name: "flannel.7", type: "vxlan", addresses: [parseCidr("10.42.8.0/32")] });
  kernel.addRoute(peerRoute);
  kernel.addInterface({ name: "flannel.8", type: "vxlan", addresses: [parseCidr("10.99.8.0/32")] });
  kernel.addRoute({ ...route, destination: parseCidr("10.42.78.0/25") });
  kernel.addRoute({ ...route, destination: parseCidr("10.42.79.0/24"), protocol: 4 });
  const agent = node.start();
  await world.clock.advance(2_000);
  expect(agent.ready).toBe(true);
  const printed = kernel.print();
  expect(printed).not.toMatch(/flannel\.7|10\.42\.77\.0/);
  expect(printed).toMatch(/flannel\.8/);
  expect(printed).toContain("route 10.42.78.0/25 via 192.0.2.77 dev eth0");
  expect(printed).toContain("route 10.42.79.0/24 via 192.0.2.77 dev eth0");
  // Later on a route without our mark is an operator's.
  kernel.addRoute(peerRoute);
  await world.clock.advance(30_000);
  expect(kernel.print()).toContain("route 10.42.77.0/24 via 192.0.2.77 dev eth0");
  await agent.stop();
});

test("a subnet that was in use before the key vanished is asked for again", async () => {
  const { world, nodes, agents } = await twoNodes();
  await agents[0]?.stop();
  const keys = await world.keys();
  const own = /FLANNEL_SUBNET=([\d.]+)\.1\//.exec(nodes[0].files.texts.get(SUBNET_FILE) ?? "")?.[1];
  await world.store.txn({
    compare: [],
    success: [{ action: "delete", key: `${SUBNETS.prefix}${own}.0-24` }],
    failure: [],
  });
  const again = nodes[0].start();
  await world.clock.advance(2_000);
  expect(await world.keys()).toEqual(keys);
  await Promise.all([again.stop(), agents[1]?.stop()]);
});

test.each(["vxlan", "host-gw"])(
  "%s: after the network is changed, the next start leaves nothing of the old one in the kernel",
  async (type) => {
    const configOf = (network: string): string =>
      JSON.stringify({ Network: network, Backend: { Type: type } });
    const { world, nodes, agents } = await twoNodes(configOf("10.42.0.0/16"));
    expect(nodes[0].kernel.print()).toContain("10.42.");
    await world.configure(configOf("10.43.0.0/16"));
    await Promise.all(agents.map((agent) => agent.stop()));
    const again = nodes.map((node) => node.start());
    await world.clock.advance(2_000);
    expect(nodes[0].kernel.print()).toContain("route 10.43.");
    expect(nodes[0].kernel.print()).not.toContain("10.42.");
    await Promise.all(again.map((agent) => agent.stop()));
  },
);

test("a bad peer is named once and harms nobody else", async () => {
  const { world, nodes, agents } = await twoNodes();
  const before = nodes[0].kernel.print();
  await world.store.txn({
    compare: [],
    success: [
      {
        action: "put",
        key: `${SUBNETS.prefix}10.42.250.0-24`,
        value: '{"PublicIP":"127.0.0.1","BackendType":"vxlan"}',
      },
      { action: "put", key: `${SUBNETS.prefix}10.42.251.0-24`, value: "not json" },
      {
        action: "put",
        key: `${SUBNETS.prefix}10.42.252.0-24`,
        value:
          '{"PublicIP":"192.0.2.99","BackendType":"vxlan","BackendData":{"VNI":1,"VtepMAC":"what"}}',
      },
    ],
    failure: [],
  });
  await world.clock.advance(30_000);
  expect(nodes[0].kernel.print()).toBe(before);
  for (const subnet of ["10.42.250.0", "10.42.251.0", "10.42.252.0"]) {
    const lines = nodes[0].log.lines.filter((line) => JSON.stringify(line).includes(subnet));
    expect(lines.map((line) => line.level)).toEqual(["warn"]);
  }
  await Promise.all(agents.map((agent) => agent.stop()));
});

test("an unknown backend ends the start, naming the known ones", async () => {
  const world = new World();
  await world.configure('{"Network":"10.42.0.0/16","Backend":{"Type":"gre"}}');
  const agent = world.node().start();
  await world.clock.advance(1_000);
  expect(String(await agent.ended)).toContain('unknown backend type: "gre"');
  expect(String(await agent.ended)).toContain("host-gw, vxlan");
  expect(await world.keys()).toEqual([]);
});

test("a node whose kernel refuses the device takes no subnet", async () => {
  const world = new World();
  await world.configure(VXLAN);
  const node = world.node();
  node.kernel.refuse(({ object }) => object.kind === "link", "EOPNOTSUPP");
  const agent = node.start();
  await world.clock.advance(1_000);
  expect(String(await agent.ended)).toContain("cannot put link flannel.1");
  expect(await world.keys()).toEqual([]);
});

test("a kernel whose sysctls cannot be written, as in a container, costs no more than a warning", async () => {
  const world = new World();
  await world.configure(VXLAN);
  const node = world.node();
  node.kernel.refuse(({ object }) => object.kind === "sysctl", "EROFS");
  const agent = node.start();
  await world.clock.advance(60_000);
  expect(agent.ready).toBe(true);
  const warned = node.log.lines.filter(({ message }) => message.includes("cannot put sysctl"));
  expect(warned.map(({ level }) => level)).toEqual(["warn"]);
  expect(warned[0]?.message).toContain("accept_ra = 0: EROFS");
  await agent.stop();
});

test("a node that finds no free subnet leaves no device, but keeps one it found", async () => {
  const world = new World();
  await world.configure('{"Network":"10.42.0.0/28","Backend":{"Type":"vxlan"}}');
  for (const last of [4, 8, 12])
    await world.store.txn({
      compare: [],
      success: [
        {
          action: "put",
          key: `${SUBNETS.prefix}10.42.0.${last}-30`,
          value: `{"PublicIP":"198.51.100.${last}"}`,
        },
      ],
      failure: [],
    });
  const node = world.node();
  const before = node.kernel.print();
  const agent = node.start();
  await world.clock.advance(1_000);
  expect(await agent.ended).toMatchObject({ code: "subnet-exhausted" });
  expect(node.kernel.print()).toBe(before);

  await world.configure(VXLAN);
  const lucky = node.start();
  await world.clock.advance(1_000);
  await lucky.stop();
  await world.configure('{"Network":"10.42.0.0/28","Backend":{"Type":"vxlan"}}');
  const unlucky = node.start();
  await world.clock.advance(1_000);
  expect(await unlucky.ended).toMatchObject({ code: "subnet-exhausted" });
  expect(node.kernel.print()).toContain("link flannel.1");
});

test("what the kernel refuses is tried again, said once, and said to be over", async () => {
  const { world, nodes, agents } = await twoNodes();
  const before = nodes[0].kernel.print();
  const allow = nodes[0].kernel.refuse(({ object }) => object.kind === "route", "ENOMEM");
  nodes[0].kernel.removeInterface("flannel.1");
  await world.clock.advance(30_000);
  expect(flannelRoutes(nodes[0])).toEqual([]);
  allow();
  await world.clock.advance(10_000);
  expect(nodes[0].kernel.print()).toBe(before);
  const said = nodes[0].log.lines.filter((line) => line.message.includes("ENOMEM"));
  expect(said).toHaveLength(1);
  expect(nodes[0].log.lines.some((line) => line.message === "no longer so")).toBe(true);
  await Promise.all(agents.map((agent) => agent.stop()));
});

test("a node that loses its subnet to another ends with lease-lost and is not ready", async () => {
  const { world, nodes, agents } = await twoNodes();
  const own = /FLANNEL_SUBNET=([\d.]+)\.1\//.exec(nodes[0].files.texts.get(SUBNET_FILE) ?? "")?.[1];
  await world.store.txn({
    compare: [],
    success: [
      {
        action: "put",
        key: `${SUBNETS.prefix}${own}.0-24`,
        value: '{"PublicIP":"192.0.2.77","PublicIPv6":null,"BackendType":"vxlan"}',
      },
    ],
    failure: [],
  });
  await world.clock.advance(2_000);
  expect(await agents[0]?.ended).toMatchObject({ code: "lease-lost" });
  expect(agents[0]?.ready).toBe(false);
  await agents[1]?.stop();
});

test("a subnet file that cannot be written keeps the node from being ready until it can", async () => {
  const world = new World();
  await world.configure(VXLAN);
  const node = world.node();
  node.files.refuse(SUBNET_FILE, "EROFS: read-only file system");
  const agent = node.start();
  await world.clock.advance(5_000);
  expect(agent.ready).toBe(false);
  expect(node.log.lines.filter((line) => line.level === "error")).toHaveLength(1);
  node.files.allow(SUBNET_FILE);
  await world.clock.advance(2_000);
  expect(agent.ready).toBe(true);
  await agent.stop();
});

test("a peer that the kernel keeps refusing does not make the loop spin on its own echoes", async () => {
  const { world, nodes, agents } = await twoNodes();
  nodes[0].kernel.refuse(({ object }) => object.kind === "route", "ENOMEM");
  nodes[0].kernel.removeInterface("flannel.1");
  let dumps = 0;
  const dump = nodes[0].kernel.dump.bind(nodes[0].kernel);
  nodes[0].kernel.dump = (scope) => {
    dumps++;
    // Somebody else's change, again and again: a reason to look, at a bounded rate.
    nodes[0].kernel.overrun();
    return dump(scope);
  };
  await world.clock.advance(30_000);
  expect(dumps).toBeGreaterThan(2);
  // Two a second.
  expect(dumps).toBeLessThanOrEqual(61);
  await Promise.all(agents.map((agent) => agent.stop()));
});
