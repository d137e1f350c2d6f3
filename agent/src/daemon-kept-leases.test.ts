import { expect, test } from "vitest";
import { keptStatePath } from "./core/kept-state.ts";
import {
  type Agent,
  type Node,
  STATE_DIRECTORY,
  SUBNETS,
  SUBNET_FILE,
  VXLAN,
  World,
  twoNodes,
} from "./memory-world-bench.ts";

const STATE_FILE = keptStatePath(STATE_DIRECTORY, "/coreos.com/network");
/** So long a start waits for the store, and a little more. */
const STARTED_MS = 4_000;
/** Much longer than anything here takes. */
const LONG_MS = 600_000;
const WITHOUT_STORE =
  "the store does not answer: starting with the lease and the peers of the state file";

const textOf = ({ files }: Node): string => files.texts.get(STATE_FILE) ?? "";
const routesOf = ({ kernel }: Node): readonly string[] =>
  kernel
    .print()
    .split("\n")
    .filter((line) => /^(route|neigh|fdb|link) .*flannel\.1/.test(line));

function said({ log }: Node, message: string): number {
  return log.lines.filter((line) => line.message.includes(message)).length;
}

/** Two nodes whose files know all there is, the first of them stopped, and then no store. */
async function oneStopped(): Promise<{ world: World; nodes: [Node, Node]; second: Agent }> {
  const { world, nodes, agents } = await twoNodes();
  const [first, second] = agents;
  await world.clock.advance(60_000);
  await first?.stop();
  world.setStore(false);
  if (second === undefined) throw new Error("two nodes have two agents");
  return { world, nodes, second };
}

test("D1: a node that boots while the store is down has its device, its peers and subnet.env as before", async () => {
  const { world, nodes, second } = await oneStopped();
  const [node] = nodes;
  const before = { env: node.files.texts.get(SUBNET_FILE), routes: routesOf(node) };
  expect(before.routes).toHaveLength(4);
  node.reboot();
  const agent = node.start();
  await world.clock.advance(STARTED_MS);
  expect({ env: node.files.texts.get(SUBNET_FILE), routes: routesOf(node) }).toEqual(before);
  expect(agent.ready).toBe(false);
  expect(agent.vitals.readiness.hindrances).toEqual(["lease unconfirmed"]);
  expect(agent.vitals.readiness.serves).toBe(true);
  expect(agent.vitals.state(world.clock.nowMs()).store?.leaseSecondsLeft).toBeCloseTo(
    86_400 - 66,
    -1,
  );
  await world.clock.advance(LONG_MS);
  expect(said(node, WITHOUT_STORE)).toBe(1);
  await Promise.all([agent.stop(), second.stop()]);
});

test("E5: as long as the store is down, one question at a time is asked, twice a second at most", async () => {
  const { world, nodes, second } = await oneStopped();
  const agent = nodes[0].start();
  await world.clock.advance(STARTED_MS);
  const failed = (): number =>
    agent.vitals.state(world.clock.nowMs()).store?.figures.store_request_failures_total.range ?? 0;
  const before = failed();
  await world.clock.advance(LONG_MS);
  const perMinute = (failed() - before) / (LONG_MS / 60_000);
  expect(perMinute).toBeGreaterThan(30);
  expect(perMinute).toBeLessThanOrEqual(120);
  await Promise.all([agent.stop(), second.stop()]);
});

test("A10: when the store is back it has the same leases, and the node is ready", async () => {
  const { world, nodes, second } = await oneStopped();
  const [node] = nodes;
  const keys = await world.keys();
  node.reboot();
  const agent = node.start();
  await world.clock.advance(LONG_MS);
  const before = node.kernel.print();
  world.setStore(true);
  await world.clock.advance(3_000);
  expect(agent.ready).toBe(true);
  expect(await world.keys()).toEqual(keys);
  expect(node.kernel.print()).toBe(before);
  // What the key hung on before is given back (B8), and the new lease is written down.
  expect(world.database.leaseIds).toHaveLength(2);
  expect(textOf(node)).toContain('"leaseSecondsLeft":86');
  await Promise.all([agent.stop(), second.stop()]);
});

test("D1: peers that left and peers that came meanwhile are seen when the store is back", async () => {
  const { world, nodes, second } = await oneStopped();
  const [node, other] = nodes;
  const agent = node.start();
  await world.clock.advance(STARTED_MS);
  await second.stop();
  const subnetOf = (one: Node): string =>
    /FLANNEL_SUBNET=([\d.]+)\.1\//.exec(one.files.texts.get(SUBNET_FILE) ?? "")?.[1] ?? "";
  world.database.delete(`${SUBNETS.prefix}${subnetOf(other)}.0-24`);
  world.database.put(
    `${SUBNETS.prefix}10.42.222.0-24`,
    '{"PublicIP":"192.0.2.9","PublicIPv6":null,"BackendType":"vxlan","BackendData":{"VNI":1,"VtepMAC":"0e:00:00:00:00:09"}}',
  );
  world.setStore(true);
  await world.clock.advance(3_000);
  expect(routesOf(node).filter((line) => line.startsWith("route"))).toEqual([
    "route 10.42.222.0/24 via 10.42.222.0 dev flannel.1 onlink",
  ]);
  await agent.stop();
});

test.each([
  ["its watch", 0],
  ["its own look", 2],
])(
  "B3': a subnet that another node took meanwhile is lost, whether it hears of it from %s first",
  async (_, late) => {
    const { world, nodes, second } = await oneStopped();
    const [node] = nodes;
    const agent = node.start();
    await world.clock.advance(STARTED_MS);
    const [, key = ""] = /"lease":\["([^"]+)"/.exec(textOf(node)) ?? [];
    world.database.delete(SUBNETS.prefix + key);
    world.database.put(SUBNETS.prefix + key, '{"PublicIP":"192.0.2.9","PublicIPv6":null}');
    world.setStore(true);
    // The answers to the questions for the config and for what there is to watch.
    agent.store.delayReplies(500, late, "range");
    await world.clock.advance(5_000);
    expect(await agent.ended).toMatchObject({ code: "lease-lost" });
    expect(node.files.texts.has(STATE_FILE)).toBe(false);
    await second.stop();
  },
);

test("a key that is gone when the store is back is taken again, with the same subnet", async () => {
  const { world, nodes, second } = await oneStopped();
  const [node] = nodes;
  const keys = await world.keys();
  const agent = node.start();
  await world.clock.advance(STARTED_MS);
  const [, key = ""] = /"lease":\["([^"]+)"/.exec(textOf(node)) ?? [];
  world.database.delete(SUBNETS.prefix + key);
  world.setStore(true);
  await world.clock.advance(5_000);
  expect(await world.keys()).toEqual(keys);
  expect(agent.ready).toBe(true);
  await Promise.all([agent.stop(), second.stop()]);
});

test("another network config ends an agent that started with the former one", async () => {
  const { world, nodes, second } = await oneStopped();
  const [node] = nodes;
  const agent = node.start();
  await world.clock.advance(STARTED_MS);
  await world.configure('{"Network":"10.43.0.0/16","Backend":{"Type":"vxlan"}}');
  world.setStore(true);
  await world.clock.advance(3_000);
  expect(await agent.ended).toMatchObject({ code: "config-changed" });
  expect(node.files.texts.has(STATE_FILE)).toBe(false);
  await second.stop();
});

test.each<[string, (node: Node) => Promise<void> | void, RegExp]>([
  ["cut", (node) => void node.files.texts.set(STATE_FILE, textOf(node).slice(0, -9)), /unusable/],
  [
    "of another version",
    (node) =>
      void node.files.texts.set(STATE_FILE, textOf(node).replace('"version":1', '"version":2')),
    /unusable/,
  ],
  [
    "of another cluster",
    (node) => void (node.endpoints = ["http://198.51.100.1:2379"]),
    /it is of the cluster at http:\/\/192\.0\.2\.200:2379, prefix \/coreos/,
  ],
  [
    "of another address",
    (node) => node.reboot(["192.0.2.77/24"]),
    /it is of the public IP 192\.0\.2\.1, and this node has 192\.0\.2\.77/,
  ],
])(
  "a file that is %s is not used: one line, and the store is waited for",
  async (_, spoil, reason) => {
    const { world, nodes, second } = await oneStopped();
    const [node] = nodes;
    await spoil(node);
    const agent = node.start();
    await world.clock.advance(LONG_MS);
    const warnings = node.log.lines.filter(({ message }) =>
      message.startsWith("cannot start from the state file"),
    );
    expect(warnings.map(({ message }) => message)).toEqual([expect.stringMatching(reason)]);
    expect(said(node, WITHOUT_STORE)).toBe(0);
    expect(agent.vitals.stage).not.toBe("running");
    world.setStore(true);
    await world.clock.advance(STARTED_MS);
    expect(agent.ready).toBe(true);
    await Promise.all([agent.stop(), second.stop()]);
  },
);

test("a lease that ran out while the node was off is not used", async () => {
  const { world, nodes, second } = await oneStopped();
  const [node] = nodes;
  node.files.texts.set(STATE_FILE, textOf(node).replace(/(?<="leaseSecondsLeft":)\d+/, "600"));
  await world.clock.advance(LONG_MS);
  const agent = node.start();
  await world.clock.advance(STARTED_MS);
  expect(said(node, "has run out")).toBe(1);
  expect(agent.vitals.stage).toBe("waiting for the network config");
  await Promise.all([agent.stop(), second.stop()]);
});

test("without a file a start waits for the store as ever, and a store that is there is asked and nothing else", async () => {
  const { world, nodes, second } = await oneStopped();
  const [node] = nodes;
  node.files.texts.delete(STATE_FILE);
  const agent = node.start();
  await world.clock.advance(LONG_MS);
  expect(agent.vitals.stage).toBe("waiting for the network config");
  world.setStore(true);
  await world.clock.advance(STARTED_MS);
  expect(agent.ready).toBe(true);
  await agent.stop();
  node.files.texts.set(STATE_FILE, "nonsense");
  const again = node.start();
  await world.clock.advance(2_000);
  expect(again.ready).toBe(true);
  expect(said(node, "state file")).toBe(0);
  await Promise.all([again.stop(), second.stop()]);
});

test("a config that is late is no store that is down", async () => {
  const world = new World();
  const node = world.node();
  node.files.texts.set(STATE_FILE, "nonsense");
  const agent = node.start();
  await world.clock.advance(60_000);
  expect(said(node, "state file")).toBe(0);
  await world.configure(VXLAN);
  await world.clock.advance(2_000);
  expect(agent.ready).toBe(true);
  await agent.stop();
});
