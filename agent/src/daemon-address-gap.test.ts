import { expect, test } from "vitest";
import type { Cidr } from "./core/ip.ts";
import {
  type Agent,
  type Node,
  SUBNETS,
  VXLAN,
  type World,
  twoNodes,
} from "./memory-world-bench.ts";

const HOST_GW = '{"Network":"10.42.0.0/16","Backend":{"Type":"host-gw"}}';
/** From a kernel event to the end of the look into it. */
const LOOK_MS = 120;

/** The other address comes when a look has just found that the one is gone. */
async function exchange(
  world: World,
  { kernel, log }: Node,
  from: string,
  to: string,
): Promise<void> {
  kernel.removeAddress("eth0", from as Cidr);
  await world.clock.advance(LOOK_MS);
  const lost = log.lines.filter(({ message }) => message.includes("has lost its address"));
  expect(lost).toHaveLength(1);
  kernel.addAddress("eth0", to as Cidr);
  await world.clock.advance(LOOK_MS);
}

const peersOf = ({ kernel }: Node): readonly string[] =>
  kernel
    .print()
    .split("\n")
    .filter((line) => /^(fdb|neigh|route 10\.42).* dev /.test(line));

async function stop(agents: readonly Agent[]): Promise<void> {
  await Promise.all(agents.map((agent) => agent.stop()));
}

for (const config of [HOST_GW, VXLAN]) {
  const type = /"Type":"([\w-]+)"/.exec(config)?.[1];

  test(`${type}: an address that is gone at one look and another at the next: all follows within the burst of events`, async () => {
    const { world, nodes, agents } = await twoNodes(config);
    const peers = peersOf(nodes[0]);
    await exchange(world, nodes[0], "192.0.2.1/24", "192.0.2.101/24");
    expect(peersOf(nodes[0])).toEqual(peers);
    const { entries } = await world.store.range(SUBNETS);
    expect(entries.map(({ value }) => value).join("\n")).toContain('"192.0.2.101"');
    await stop(agents);
  });
}

test("host-gw: an address that is gone at one look and back at the next: the routes that went with it are there within the burst of events", async () => {
  const { world, nodes, agents } = await twoNodes(HOST_GW);
  const before = nodes[0].kernel.print();
  await exchange(world, nodes[0], "192.0.2.1/24", "192.0.2.1/24");
  expect(nodes[0].kernel.print()).toBe(before);
  await stop(agents);
});
