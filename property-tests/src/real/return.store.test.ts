/** Whole agents whose store goes away and comes back, in two ways. */
import { monitorEventLoopDelay } from "node:perf_hooks";
import { EtcdServer, until } from "agent/subnet-manager/etcd/etcd3-test-server.ts";
import { afterEach, beforeEach, expect, test } from "vitest";
import { requires } from "linux/testing";
import { equalsLeases, untilAllEqual } from "./kernel-lines.ts";
import { Operator, leaseValue } from "./operator.ts";
import { WholeAgent, openMachine } from "./whole-agent.ts";

const NODES = 20;
/** Renewals come due half way, in the longer outage, and have as long again (invariant B5). */
const TTL_SECONDS = 16;
/** Invariants E5 and C2. */
const KNOWN_WITHIN_MS = 2000;
const REQUESTS_PER_SECOND_MAX = 2;
const LINES_PER_MINUTE_MAX = 10;

interface Way {
  readonly how: string;
  readonly outageMs: number;
  /** How long requests are counted after it. */
  readonly windowMs: number;
  readonly down: (server: EtcdServer) => Promise<void>;
  readonly up: (server: EtcdServer) => Promise<void>;
}

const WAYS: readonly Way[] = [
  {
    how: "stopped and continued",
    // Longer than a request waits for its answer, which is all that tells of it.
    outageMs: 6000,
    windowMs: 5000,
    down: async (server) => server.pause(true),
    up: async (server) => server.pause(false),
  },
  {
    how: "killed and started again on its data",
    outageMs: 4000,
    windowMs: 10_000,
    down: (server) => server.stop(),
    up: (server) => server.start(),
  },
];

requires("etcd")("twenty whole agents whose etcd", () => {
  let server: EtcdServer;
  let operator: Operator;
  let agents: readonly WholeAgent[];

  beforeEach(async () => {
    server = await EtcdServer.open();
    operator = new Operator(server);
    await operator.configure();
    agents = Array.from(
      { length: NODES },
      (_, index) =>
        new WholeAgent(openMachine(index + 1), {
          endpoints: [server.url],
          leaseTtlSeconds: TTL_SECONDS,
        }),
    );
  });

  afterEach(async () => {
    await Promise.all(agents.map((agent) => agent.stop()));
    await server[Symbol.asyncDispose]();
  });

  const isAnswering = (): Promise<boolean> =>
    operator.revision().then(
      () => true,
      () => false,
    );

  test.each(WAYS)(
    "E5, B5, C2, C7: is $how: all kernels equal the leases within two seconds, without a herd",
    async ({ down, up, outageMs, windowMs }) => {
      await untilAllEqual(10_000, agents, () => operator.live());
      const before = await operator.live();
      const linesBefore = agents.map(({ lines }) => lines.length);
      const removedBefore = agents.map(({ removed }) => removed.length);

      const downMs = performance.now();
      await down(server);
      await until(
        outageMs + 5000,
        "the outage to pass",
        () => performance.now() - downMs > outageMs,
      );
      expect(await Promise.race([isAnswering(), soon()])).toBe(false);
      const loop = monitorEventLoopDelay({ resolution: 10 });
      loop.enable();
      await up(server);
      await until(20_000, "a linearizable read", isAnswering);
      const upMs = performance.now();
      await operator.put("10.42.240.0-24", leaseValue("192.0.2.240", "02:00:00:00:00:f0"));
      const live = await operator.live();
      const afterMs = await timesUntilEqual(agents, live, upMs);
      loop.disable();

      await until(windowMs + 5000, "the herd's time", () => performance.now() - upMs > windowMs);
      const requests = agents.map(
        ({ requestsMs }) =>
          requestsMs.filter((atMs) => atMs > upMs && atMs <= upMs + windowMs).length,
      );
      const lines = agents.map((agent, index) => agent.lines.length - (linesBefore[index] ?? 0));
      const lateMs = loop.max / 1e6;
      process.stdout.write(
        `${NODES} agents after an outage of ${outageMs} ms: kernels equal after ${spread(afterMs)} ms (event loop late by ${Math.round(lateMs)} ms at most), ${spread(requests)} requests in ${windowMs} ms, ${spread(lines)} lines\n`,
      );
      expect(median(afterMs)).toBeLessThan(KNOWN_WITHIN_MS);
      // All of them share this one thread: what it was late is not the agents' doing.
      expect(Math.max(...afterMs)).toBeLessThan(KNOWN_WITHIN_MS + lateMs);
      expect(Math.max(...requests)).toBeLessThanOrEqual(
        (REQUESTS_PER_SECOND_MAX * windowMs) / 1000,
      );
      expect(Math.max(...lines)).toBeLessThanOrEqual(LINES_PER_MINUTE_MAX);
      // Nobody took an outage for an empty store (C7), and no lease ran out (B5).
      expect(agents.map(({ removed }) => removed.length)).toEqual(removedBefore);
      const created = new Map(
        (await operator.live()).map((entry) => [entry.key, entry.createRevision]),
      );
      expect(before.map(({ key }) => created.get(key))).toEqual(
        before.map(({ createRevision }) => createRevision),
      );
      expect(agents.every(({ ready }) => ready)).toBe(true);
    },
  );
});

/** For each agent, how long after `sinceMs` its kernel was changed into what the leases say. */
async function timesUntilEqual(
  agents: readonly WholeAgent[],
  live: Parameters<typeof equalsLeases>[1],
  sinceMs: number,
): Promise<readonly number[]> {
  const times = new Map<WholeAgent, number>();
  const looked = new Map<WholeAgent, number>();
  await until(10_000, "every kernel to show the newest lease", () => {
    for (const agent of agents) {
      if (times.has(agent) || looked.get(agent) === agent.changedMs) continue;
      looked.set(agent, agent.changedMs);
      if (equalsLeases(agent, live)) times.set(agent, agent.changedMs - sinceMs);
    }
    return times.size === agents.length;
  });
  return [...times.values()];
}

/** False after a moment. */
async function soon(): Promise<false> {
  const sinceMs = performance.now();
  await until(1000, "a moment", () => performance.now() - sinceMs > 200);
  return false;
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}

function spread(values: readonly number[]): string {
  return `${Math.round(median(values))} (median) and ${Math.round(Math.max(...values))} (most)`;
}
