/** Whole agents whose etcd comes back as an older one, or as another one. */
import { cp, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { EtcdServer, until } from "agent/subnet-manager/etcd/etcd3-test-server.ts";
import { afterEach, beforeEach, expect, test } from "vitest";
import { requires } from "linux/testing";
import { readStored } from "../sim/stored.ts";
import { peerLines, untilAllEqual } from "./kernel-lines.ts";
import { Operator, leaseValue } from "./operator.ts";
import { HeldClock, WholeAgent, type WholeAgentOptions, openMachine } from "./whole-agent.ts";

/** Invariant C9. */
const RESYNCED_WITHIN_MS = 10_000;
const PEER = leaseValue("192.0.2.201", "02:00:00:00:00:c9");
const LATER_PEER = leaseValue("192.0.2.202", "02:00:00:00:00:ca");

requires("etcd")("whole agents whose etcd was restored", () => {
  let directory: string;
  let server: EtcdServer;
  let operator: Operator;
  let agents: WholeAgent[];

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), "etcd-restore-"));
    server = await EtcdServer.open({ flags: { "data-dir": join(directory, "data") } });
    operator = new Operator(server);
    await operator.configure();
    agents = [];
  });

  afterEach(async () => {
    await Promise.all(agents.map((agent) => agent.stop()));
    await server[Symbol.asyncDispose]();
    await rm(directory, { recursive: true });
  });

  const startReady = async (
    number: number,
    options: Partial<WholeAgentOptions> = {},
  ): Promise<WholeAgent> => {
    const agent = new WholeAgent(openMachine(number), { endpoints: [server.url], ...options });
    agents.push(agent);
    await until(10_000, "the agent to be ready", () => agent.ready);
    return agent;
  };
  /** A backup of a stopped member is its data directory. */
  const backUp = async (): Promise<void> => {
    await server.stop();
    await cp(join(directory, "data"), join(directory, "backup"), { recursive: true });
    await server.start();
  };
  const restore = async (): Promise<void> => {
    await server.stop();
    await rm(join(directory, "data"), { recursive: true });
    await cp(join(directory, "backup"), join(directory, "data"), { recursive: true });
    await server.start();
  };
  const subnets = async (): Promise<readonly string[]> =>
    (await operator.live()).map((entry) => `${readStored(entry)?.owner} ${entry.key}`).toSorted();
  const says = (agent: WholeAgent, publicIp: string): boolean =>
    peerLines(agent.machine).join("\n").includes(`dst ${publicIp} `);

  test("C9, A3: a backup of the same cluster: everybody starts over from it, and who is not in it takes its subnet again", async () => {
    await Promise.all([1, 2, 3].map((number) => startReady(number)));
    await operator.put("10.42.201.0-24", PEER);
    await untilAllEqual(10_000, agents, () => operator.live());
    await backUp();
    await operator.remove("10.42.201.0-24");
    await operator.put("10.42.202.0-24", LATER_PEER);
    await startReady(4);
    await operator.bump(50);
    await untilAllEqual(10_000, agents, () => operator.live());
    const before = (await subnets()).filter((one) => !one.startsWith("192.0.2.202"));

    await restore();
    const upMs = performance.now();
    await until(2 * RESYNCED_WITHIN_MS, "the fourth node's key", async () =>
      (await subnets()).some((one) => one.startsWith("192.0.2.4 ")),
    );
    await untilAllEqual(2 * RESYNCED_WITHIN_MS, agents, () => operator.live());
    const tookMs = performance.now() - upMs;
    process.stdout.write(`kernels equal a restored backup after ${Math.round(tookMs)} ms\n`);
    expect(tookMs).toBeLessThan(RESYNCED_WITHIN_MS);
    expect(await subnets()).toEqual(
      [...before, "192.0.2.201 /coreos.com/network/subnets/10.42.201.0-24"].toSorted(),
    );
    // Who has no key is not ready until it has it again.
    await until(RESYNCED_WITHIN_MS, "readiness", async () => agents.every(({ ready }) => ready));
    expect(agents.map(({ readiness }) => readiness.length)).toEqual([1, 1, 1, 3]);
  });

  test("C9: another cluster under the same address: everybody starts over, with the subnets they had", async () => {
    await Promise.all([1, 2, 3].map((number) => startReady(number)));
    await operator.put("10.42.201.0-24", PEER);
    await untilAllEqual(10_000, agents, () => operator.live());
    const before = (await subnets()).filter((one) => !one.startsWith("192.0.2.201"));
    await server.stop();
    const flags = { "listen-client-urls": server.url, "advertise-client-urls": server.url };
    await using other = await EtcdServer.open({ flags });
    expect(other.url).not.toBe(server.url);
    const upMs = performance.now();
    await operator.configure();
    await operator.put("10.42.202.0-24", LATER_PEER);
    await operator.bump(50);
    await until(
      2 * RESYNCED_WITHIN_MS,
      "the nodes' keys",
      async () => (await subnets()).length === 4,
    );
    await untilAllEqual(2 * RESYNCED_WITHIN_MS, agents, () => operator.live());
    const tookMs = performance.now() - upMs;
    process.stdout.write(`kernels equal another cluster after ${Math.round(tookMs)} ms\n`);
    expect(tookMs).toBeLessThan(RESYNCED_WITHIN_MS);
    expect(await subnets()).toEqual(
      [...before, "192.0.2.202 /coreos.com/network/subnets/10.42.202.0-24"].toSorted(),
    );
    await until(RESYNCED_WITHIN_MS, "readiness", async () => agents.every(({ ready }) => ready));
    expect(agents.map(({ readiness }) => readiness.length)).toEqual([3, 3, 3]);
    await Promise.all(agents.map((agent) => agent.stop()));
  });

  test("C9: a backup of the same cluster that was written past what an agent knew, before the agent came back", async () => {
    const clock = new HeldClock();
    const agent = await startReady(1, { clock });
    await operator.put("10.42.201.0-24", PEER);
    await untilAllEqual(10_000, agents, () => operator.live());
    await backUp();
    await operator.remove("10.42.201.0-24");
    // The last write that the agent sees hangs on an etcd lease, as a node's does.
    await operator.put("10.42.202.0-24", LATER_PEER, await operator.grant(600));
    await untilAllEqual(10_000, agents, () => operator.live());
    expect([says(agent, "192.0.2.201"), says(agent, "192.0.2.202")]).toEqual([false, true]);
    const known = await operator.revision();

    // The agent notices the loss and is kept from connecting again until the backup is ahead of what it knew.
    const release = clock.hold();
    await restore();
    await operator.bump(known - (await operator.revision()) + 5);
    expect(await operator.revision()).toBeGreaterThan(known);
    release();
    await untilAllEqual(RESYNCED_WITHIN_MS, agents, () => operator.live());
    expect([says(agent, "192.0.2.201"), says(agent, "192.0.2.202")]).toEqual([true, false]);
  });
});
