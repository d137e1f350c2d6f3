import { expect, test } from "vitest";
import { type Agent, type Node, VXLAN, World, twoNodes } from "./memory-world-bench.ts";
import type { AgentState } from "./daemon-vitals.ts";
import { difference } from "./kernel/reconcile.ts";

/** For a whole day of passes and looks, where both cores are busy. */
const A_DAY_MS = 30_000;

async function pair(): Promise<{
  world: World;
  node: Node;
  agent: Agent;
  state: () => AgentState;
  stop: () => Promise<unknown>;
}> {
  const { world, nodes, agents } = await twoNodes();
  const [agent] = agents;
  if (agent === undefined) throw new Error("no agent");
  return {
    world,
    node: nodes[0],
    agent,
    state: () => agent.vitals.state(world.clock.nowMs()),
    stop: () => Promise.all(agents.map((one) => one.stop())),
  };
}

test("an agent says what it waits for, and that it stops", async () => {
  const world = new World();
  const agent = world.node().start();
  await world.clock.advance(1_000);
  expect(agent.vitals.state(0)).toMatchObject({
    stage: "waiting for the network config",
    ready: false,
    hindrances: ["starting"],
    peers: [],
  });
  await world.configure(VXLAN);
  await world.clock.advance(5_000);
  expect(agent.vitals.state(0)).toMatchObject({ stage: "running", ready: true, hindrances: [] });
  await agent.stop();
  expect(agent.vitals.state(0)).toMatchObject({
    stage: "stopping",
    ready: false,
    hindrances: ["stopping"],
  });
});

test(
  "the lease runs out a day after it was asked for, and after each renewal",
  { timeout: A_DAY_MS },
  async () => {
    const { world, state, stop } = await pair();
    const left = (): unknown => state().store?.leaseSecondsLeft;
    expect(left()).toBeCloseTo(86_398, -1);
    await world.clock.advance(22 * 3_600_000);
    expect(left()).toBeCloseTo(7_198, -1);
    expect(state().store?.figures.store_lease_renewals_total).toBe(0);
    await world.clock.advance(3_600_000 + 60_000);
    expect(left()).toBeGreaterThan(86_000);
    expect(state().store?.figures.store_lease_renewals_total).toBe(1);
    await stop();
  },
);

test("a store that does not answer is told of with its time, and what failed is counted", async () => {
  const { world, agent, state, stop } = await pair();
  expect(state().store).not.toHaveProperty("outageSeconds");
  expect(state().store?.figures.store_request_failures_total.range).toBe(0);
  agent.store.setConnected(false);
  await world.clock.advance(60_000);
  expect(state().store?.outageSeconds).toBeGreaterThan(50);
  expect(state().store?.figures.store_request_failures_total.range).toBeGreaterThan(0);
  // Packets flow on: a store that is away is no reason for a node not to be ready.
  expect(state().ready).toBe(true);
  agent.store.setConnected(true);
  await world.clock.advance(10_000);
  expect(state().store).not.toHaveProperty("outageSeconds");
  await stop();
});

test("a watch that breaks off is counted, and the revision goes on", async () => {
  const { world, agent, state, stop } = await pair();
  const before = state().store;
  agent.store.disconnectWatches();
  await world.clock.advance(5_000);
  const restarts = state().store?.figures.store_watch_restarts_total;
  // The own key is followed by a watch of its own.
  expect((restarts?.resumed ?? 0) + (restarts?.relisted ?? 0)).toBe(2);
  for (const value of ["1", "2"]) {
    world.database.put("/coreos.com/network/subnets/other", value);
    await world.clock.advance(1_000);
  }
  expect(state().store?.revision).toBe((before?.revision ?? 0) + 2);
  await stop();
});

test("what the kernel refuses is named with its next try", async () => {
  const { world, node, state, stop } = await pair();
  const allow = node.kernel.refuse(
    ({ action, object }) => action === "put" && object.kind === "route",
    "EINVAL",
  );
  node.kernel.setUp("flannel.1", false);
  node.kernel.setUp("flannel.1", true);
  await world.clock.advance(2_000);
  const [refusal] = state().refusals;
  expect(refusal?.message).toMatch(/^cannot put route \S+ via \S+ dev flannel\.1 onlink: EINVAL/);
  expect(refusal?.nextTrySeconds).toBeGreaterThan(0);
  expect(refusal?.nextTrySeconds).toBeLessThanOrEqual(10);
  // One peer that is refused is no reason for the node not to be ready.
  await world.clock.advance(60_000);
  expect(state().ready).toBe(true);
  allow();
  await world.clock.advance(20_000);
  expect(state().refusals).toEqual([]);
  await stop();
});

test("a device that cannot be put back makes the node unready after half a minute, and ready again once it is", async () => {
  const { world, node, agent, state, stop } = await pair();
  const allow = node.kernel.refuse(
    ({ action, object }) => action === "put" && object.kind === "link",
    "EBUSY",
  );
  node.kernel.removeInterface("flannel.1");
  await world.clock.advance(20_000);
  expect(agent.ready).toBe(true);
  await world.clock.advance(25_000);
  expect(agent.ready).toBe(false);
  expect(state().hindrances).toEqual(["kernel behind"]);
  allow();
  await world.clock.advance(15_000);
  expect(agent.ready).toBe(true);
  await stop();
});

test("the wish is what the kernel holds, and passes are told by cause", async () => {
  const { node, agent, state, stop } = await pair();
  const wish = agent.vitals.wish();
  if (wish === undefined) throw new Error("no wish");
  expect(wish.objects).toHaveLength(6);
  expect(difference(await node.kernel.dump(wish.scope), wish)).toEqual([]);
  expect(state().passes.map(({ cause }) => cause)).toContain("start");
  await stop();
});
