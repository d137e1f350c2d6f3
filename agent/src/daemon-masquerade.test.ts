/** An agent with `-ip-masq`: what it tells others, and what a firewall that refuses costs. */
import { expect, test } from "vitest";
import { SUBNET_FILE, VXLAN, World, type Agent, type Node } from "./memory-world-bench.ts";
import { MemoryFirewalls } from "./traffic-manager/memory-firewalls.ts";

async function started(
  config: string = VXLAN,
  firewalls: MemoryFirewalls = new MemoryFirewalls(),
): Promise<{ readonly world: World; readonly node: Node; readonly agent: Agent }> {
  const world = new World();
  await world.configure(config);
  // A peer without rules, so that there is a data path.
  world.node().start();
  const node = world.node();
  node.firewalls = firewalls;
  const agent = node.start();
  await world.clock.advance(2_000);
  return { world, node, agent };
}

const rulesOf = (node: Node): string => node.firewalls?.iptables[4].save() ?? "";
const env = (node: Node): string => node.files.texts.get(SUBNET_FILE) ?? "";

test("rules stand before subnet.env tells of them", async () => {
  const firewalls = new MemoryFirewalls();
  const told: boolean[] = [];
  let node: Node | undefined;
  firewalls.beforeCommand = () => told.push(node?.files.texts.has(SUBNET_FILE) ?? false);
  const world = new World();
  await world.configure(VXLAN);
  node = world.node();
  node.firewalls = firewalls;
  const agent = node.start();
  await world.clock.advance(200);
  expect(agent.ready).toBe(true);
  expect(told.slice(0, 3)).toEqual([false, false, false]);
  expect(env(node)).toContain("FLANNEL_IPMASQ=true\n");
  const subnet = /FLANNEL_SUBNET=([\d.]+)\.1\/24/.exec(env(node))?.[1];
  expect(rulesOf(node)).toContain(`-A FLANNEL-POSTRTG -s ${subnet}.0/24 -d 10.42.0.0/16`);
  await agent.stop();
});

test("a firewall that refuses costs readiness, but neither lease nor data path nor subnet.env", async () => {
  const firewalls = new MemoryFirewalls();
  firewalls.refusals.set("iptables-restore", "iptables-restore: line 3 failed");
  const { world, node, agent } = await started(VXLAN, firewalls);
  expect(agent.ready).toBe(false);
  expect(agent.vitals.state(0)).toMatchObject({
    hindrances: ["not masquerading"],
    complaints: [expect.stringMatching(/^cannot keep the traffic rules.*line 3 failed/)],
  });
  expect(await world.keys()).toHaveLength(2);
  expect(node.kernel.print()).toContain("dev flannel.1 onlink");
  expect(env(node)).toContain("FLANNEL_IPMASQ=true\n");
  expect(node.log.lines.map(({ message }) => message)).toContain(
    "cannot keep the traffic rules, so that pods may not reach what is outside: iptables-restore --noflush --wait=5: iptables-restore: line 3 failed",
  );
  firewalls.refusals.clear();
  await world.clock.advance(10_000);
  expect(agent.ready).toBe(true);
  // What stands already is no reason to be not ready.
  firewalls.refusals.set("iptables-save", "Another app is currently holding the xtables lock");
  await world.clock.advance(60_000);
  expect(agent.ready).toBe(true);
  await agent.stop();
});

test("rules outlive the agent, and the next one writes none of them", async () => {
  const { world, node, agent } = await started();
  const rules = rulesOf(node);
  expect(rules).toContain("FLANNEL-POSTRTG");
  await agent.stop();
  expect(rulesOf(node)).toBe(rules);
  node.firewalls?.commands.splice(0);
  const next = node.start();
  await world.clock.advance(2_000);
  expect(next.ready).toBe(true);
  expect(node.firewalls?.commands.filter((one) => /restore|-f/.test(one))).toEqual([]);
  expect(rulesOf(node)).toBe(rules);
  await next.stop();
});

test("another network and another firewall between two starts: of the former nothing is left", async () => {
  const { world, node, agent } = await started();
  await agent.stop();
  await world.configure(
    '{"Network":"10.50.0.0/16","EnableNFTables":true,"Backend":{"Type":"vxlan"}}',
  );
  const next = node.start();
  await world.clock.advance(2_000);
  expect(next.ready).toBe(true);
  expect(rulesOf(node)).not.toMatch(/FLANNEL|10\.42\./);
  const listed = node.firewalls?.nftables.list("ip", "flannel-ipv4") ?? "";
  expect(listed).toContain("10.50.0.0");
  expect(listed).not.toContain("10.42.");
  await next.stop();
});
