/** Agents and an etcd that stop for a while and go on as if nothing had been: SIGSTOP and SIGCONT. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { EtcdServer, until } from "agent/subnet-manager/etcd/etcd3-test-server.ts";
import { afterEach, beforeEach, expect, test } from "vitest";
import { requires } from "linux/testing";
import { SUBNETS } from "../sim/actors.ts";
import { readStored } from "../sim/stored.ts";
import { untilAllEqual } from "./kernel-lines.ts";
import { Observer } from "./observer.ts";
import { NETWORK, Operator } from "./operator.ts";
import { WholeAgent, openMachine } from "./whole-agent.ts";

requires("etcd")("whole agents, pauses of etcd and of agents", () => {
  let server: EtcdServer;
  let operator: Operator;
  let observer: Observer;
  let agents: WholeAgent[];
  let processes: AgentProcess[];

  beforeEach(async () => {
    server = await EtcdServer.open();
    operator = new Operator(server);
    await operator.configure();
    observer = new Observer(() => true);
    await observer.open(server.url, SUBNETS);
    [agents, processes] = [[], []];
  });

  afterEach(async () => {
    for (const { child } of processes) child.kill("SIGKILL");
    await Promise.all([
      ...agents.map((agent) => agent.stop()),
      ...processes.map(({ ended }) => ended),
    ]);
    await observer.close();
    await server[Symbol.asyncDispose]();
  });

  const spawnAgent = (number: number, leaseTtlSeconds: number): AgentProcess => {
    const agent = openAgentProcess(server.url, number, leaseTtlSeconds);
    processes.push(agent);
    return agent;
  };
  const keyOf = (publicIp: string): string | undefined =>
    [...observer.live.values()].find((entry) => readStored(entry)?.owner === publicIp)?.key;

  test("B5, B8, B9: an etcd that comes and goes lets no lease run out, and no etcd leases pile up", async () => {
    agents = [1, 2, 3, 4, 5].map(
      (number) =>
        new WholeAgent(openMachine(number), { endpoints: [server.url], leaseTtlSeconds: 6 }),
    );
    await untilAllEqual(10_000, agents, () => operator.live());
    const sinceMs = performance.now();
    const counts: number[] = [];
    /** When each etcd lease that holds no key was first seen. */
    const idle = new Map<string, number>();
    let idleMs = 0;
    // Longer than a lease lives, and etcd is away for more than half of it.
    while (performance.now() - sinceMs < 8_000) {
      server.pause(true);
      await elapse(1500);
      server.pause(false);
      await elapse(1000);
      const ids = await operator.leaseIds();
      const used = new Set((await operator.live()).map(({ leaseId }) => leaseId));
      const nowMs = performance.now();
      for (const id of idle.keys()) if (!ids.includes(id) || used.has(id)) idle.delete(id);
      for (const id of ids) if (!used.has(id)) idle.set(id, idle.get(id) ?? nowMs);
      idleMs = Math.max(idleMs, ...[...idle.values()].map((firstMs) => nowMs - firstMs));
      counts.push(ids.length);
    }
    const renewals = [...observer.live.values()].map(({ version }) => version - 1);
    process.stdout.write(
      `5 agents, etcd away 1.5 s of every 2.5 s: ${Math.min(...renewals)} renewals at least, ${Math.max(...counts)} etcd leases at most, one without a key for ${Math.round(idleMs)} ms at most\n`,
    );
    expect(observer.removals).toEqual([]);
    expect(observer.violations).toEqual([]);
    expect(Math.min(...renewals)).toBeGreaterThanOrEqual(2);
    expect(Math.max(...counts)).toBeLessThanOrEqual(2 * agents.length);
    expect(idleMs).toBeLessThan(3000);
    expect(agents.every(({ ready, readiness }) => ready && readiness.length === 1)).toBe(true);
  });

  test("A4, B1, B3', B6: an agent that was paused past its lease, its subnet taken, writes nothing over it and says so", async () => {
    await operator.configure({ ...NETWORK, SubnetMin: "10.42.5.0", SubnetMax: "10.42.6.0" });
    const [robbed, lucky] = [spawnAgent(1, 3), spawnAgent(2, 3)];
    await Promise.all([robbed.ready, lucky.ready]);
    await until(5000, "the observer", () => observer.live.size === 2);
    const [robbedKey, luckyKey] = [keyOf("192.0.2.1") ?? "", keyOf("192.0.2.2") ?? ""];
    for (const { child } of [robbed, lucky]) child.kill("SIGSTOP");
    await until(15_000, "the leases to run out", () => observer.live.size === 0);
    // The one free subnet that the thief may choose is the one that the first had.
    const only = robbedKey.slice(SUBNETS.length).replace(/-24$/, "");
    await operator.configure({ ...NETWORK, SubnetMin: only, SubnetMax: only });
    const thief = new WholeAgent(openMachine(3), { endpoints: [server.url], leaseTtlSeconds: 60 });
    agents.push(thief);
    await until(10_000, "the thief to be ready", () => thief.ready);
    expect(keyOf("192.0.2.3")).toBe(robbedKey);
    const taken = observer.live.get(robbedKey);

    const sinceMs = performance.now();
    for (const { child } of [robbed, lucky]) child.kill("SIGCONT");
    await until(5000, "the robbed agent to end", () => robbed.child.exitCode !== null);
    const tookMs = performance.now() - sinceMs;
    const said = await robbed.ended;
    await until(5000, "the other's subnet again", () => keyOf("192.0.2.2") === luckyKey);
    process.stdout.write(`a robbed agent ended ${Math.round(tookMs)} ms after its pause\n`);
    expect(said).toContain("lease-lost");
    expect(tookMs).toBeLessThan(2000);
    expect(observer.live.get(robbedKey)).toEqual(taken);
    expect(observer.violations).toEqual([]);
    await until(5000, "the thief to know the other", () => thief.peers.at(-1)?.length === 1);
  });
});

/** A time that a fault lasts. */
function elapse(ms: number): Promise<void> {
  const sinceMs = performance.now();
  return until(ms + 10_000, "the time to pass", () => performance.now() - sinceMs >= ms);
}

interface AgentProcess {
  readonly child: ChildProcess;
  readonly ready: Promise<void>;
  /** Resolves to all it said. */
  readonly ended: Promise<string>;
}

/** A whole agent in a process of its own, which says `ready` and then, at its end, the code of its error. */
function openAgentProcess(url: string, number: number, leaseTtlSeconds: number): AgentProcess {
  const program = `
    const { WholeAgent, openMachine } = await import(${JSON.stringify(import.meta.resolve("./whole-agent.ts"))});
    const options = { endpoints: [process.argv[1]], leaseTtlSeconds: ${leaseTtlSeconds} };
    const agent = new WholeAgent(openMachine(${number}), options);
    const timer = setInterval(() => {
      if (!agent.ready) return;
      clearInterval(timer);
      process.stdout.write("ready ");
    }, 10);
    const error = await agent.ended;
    process.stdout.write("ended: " + error?.code, () => process.exit());`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", program, url], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  let said = "";
  const ready = Promise.withResolvers<void>();
  const hear = (text: string): void => {
    said += text;
    if (said.includes("ready")) ready.resolve();
  };
  child.stdout.setEncoding("utf8").on("data", hear);
  child.stderr.setEncoding("utf8").on("data", hear);
  const ended = once(child, "close").then(() => said);
  ended.then(
    () => ready.reject(new Error(`the agent ended: ${said}`)),
    (error: unknown) => ready.reject(error),
  );
  ready.promise.catch(() => undefined);
  return { child, ready: ready.promise, ended };
}
