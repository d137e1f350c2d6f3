/** Plays its share of the seeds and reports each; started by main.ts, one for each job. */
import { parentPort, workerData } from "node:worker_threads";
import type { InvariantId, Violation } from "./invariants.ts";
import { type PlanLimits, planOfSeed } from "./plan.ts";
import { simulate } from "./simulate.ts";

export interface Share extends PlanLimits {
  readonly from: number;
  readonly to: number;
  /** Every how many seeds one is this worker's. */
  readonly step: number;
}

export interface SeedReport {
  readonly seed: number;
  readonly nodes: number;
  readonly virtualMs: number;
  /** Time of the machine. */
  readonly realMs: number;
  readonly traceHash: string;
  /** Whether a second run did the same; undefined when there was none (invariant F4). */
  readonly repeated: boolean | undefined;
  readonly counts: ReadonlyMap<InvariantId, number>;
  readonly hit: ReadonlyMap<string, number>;
  readonly violations: readonly Violation[];
}

/** One seed in so many is run twice. */
const REPEAT_ONE_IN = 20;

export async function* playShare(share: Share): AsyncGenerator<SeedReport> {
  for (let seed = share.from; seed < share.to; seed += share.step)
    yield await playSeed(seed, share);
}

async function playSeed(seed: number, { nodes, minutes }: Share): Promise<SeedReport> {
  const plan = planOfSeed(seed, { nodes, minutes });
  const startedMs = performance.now();
  const first = await simulate(plan);
  const realMs = performance.now() - startedMs;
  const { traceHash, virtualMs, counts, hit, violations } = first;
  const repeated =
    seed % REPEAT_ONE_IN === 0 ? (await simulate(plan)).traceHash === traceHash : undefined;
  return {
    seed,
    nodes: plan.nodes,
    virtualMs,
    realMs,
    traceHash,
    repeated,
    counts,
    hit,
    violations,
  };
}

if (parentPort !== null)
  for await (const report of playShare(workerData as Share)) parentPort.postMessage(report, []);
