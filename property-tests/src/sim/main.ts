/**
 * Plays many simulated worlds: `pnpm sim --seeds 10000 --nodes 10 [--minutes 60] [--from 1] [--jobs 2] [--json]`, or one of them again:
 * `pnpm sim --seed 17`. `--nodes 10` is that many in every world, `--nodes 2..10` another number in each; a seed means a world only
 * together with the nodes and minutes it was drawn for. `pnpm sim --scenario all` plays scenarios of the lab instead (scenarios/command.ts).
 * Ends with 0 when all passed, 1 when a check failed, 3 when some check was never made (invariant F6), 64 for a
 * wrong word.
 */
import { parseArgs } from "node:util";
import { Worker } from "node:worker_threads";
import { INVARIANTS, type InvariantId } from "./invariants.ts";
import { FAULT_KINDS, type PlanLimits } from "./plan.ts";
import { isOfScenarios, playScenarios } from "./scenarios/command.ts";
import { type SeedReport, type Share, playShare } from "./sim-worker.ts";

interface Settings extends PlanLimits {
  readonly from: number;
  readonly seeds: number;
  readonly jobs: number;
  readonly json: boolean;
}

/** Failing seeds that are shown whole. */
const SHOWN_FAILURES = 3;
const PROGRESS_MS = 5_000;
const SEEDS_FOR_A_THREAD = 50;
/** Fewer seeds than this may leave a check or a fault out by chance. */
const SEEDS_FOR_COVERAGE = 200;

class Summary {
  readonly counts = new Map<string, number>();
  readonly hit = new Map<string, number>();
  readonly failures: SeedReport[] = [];
  seeds = 0;
  repeated = 0;
  virtualMs = 0;
  nodeMs = 0;
  /** Summed over all jobs. */
  realMs = 0;

  add(report: SeedReport): void {
    this.seeds++;
    this.virtualMs += report.virtualMs;
    this.nodeMs += report.virtualMs * report.nodes;
    this.realMs += report.realMs;
    if (report.repeated !== undefined) this.repeated++;
    for (const [id, count] of report.counts)
      this.counts.set(id, (this.counts.get(id) ?? 0) + count);
    for (const [kind, count] of report.hit) this.hit.set(kind, (this.hit.get(kind) ?? 0) + count);
    if (report.violations.length > 0 || report.repeated === false) this.failures.push(report);
  }

  get idle(): readonly string[] {
    return Object.keys(INVARIANTS).filter((id) => !this.counts.has(id));
  }

  get unhit(): readonly string[] {
    return FAULT_KINDS.filter((kind) => !this.hit.has(kind));
  }

  /** Virtual time against time of one core, for the worlds as they were. */
  get speed(): number {
    return this.virtualMs / this.realMs;
  }

  /** The same for worlds of ten agents. */
  get speedOfTen(): number {
    return this.nodeMs / 10 / this.realMs;
  }
}

async function play(settings: Settings, seen: (report: SeedReport) => void): Promise<void> {
  const { from, seeds, nodes, minutes, jobs } = settings;
  const shares = Array.from({ length: Math.min(jobs, seeds) }, (_, job): Share => ({
    from: from + job,
    to: from + seeds,
    step: jobs,
    nodes,
    minutes,
  }));
  const [only] = shares;
  if (shares.length === 1 && only !== undefined) {
    for await (const report of playShare(only)) seen(report);
    return;
  }
  await Promise.all(
    shares.map(async (share) => {
      for (const piece of piecesOf(share)) await playElsewhere(piece, seen);
    }),
  );
}

/** Worlds that are over keep some memory: agents that were killed never let go of what they waited for. A thread that ends does. */
function* piecesOf(share: Share): Generator<Share> {
  const width = SEEDS_FOR_A_THREAD * share.step;
  for (let from = share.from; from < share.to; from += width)
    yield { ...share, from, to: Math.min(share.to, from + width) };
}

function playElsewhere(share: Share, seen: (report: SeedReport) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL("sim-worker.ts", import.meta.url), { workerData: share });
    worker.on("message", seen);
    worker.on("error", reject);
    worker.on("exit", () => resolve());
  });
}

function printFailure(report: SeedReport, { nodes, minutes }: Settings): void {
  for (const { id, atMs, detail, trace } of report.violations) {
    write(`\nseed ${report.seed}: ${id} at ${(atMs / 1000).toFixed(3)} s: ${detail}`);
    write(`  ${id}: ${INVARIANTS[id]}`);
    for (const line of trace) write(`    ${line}`);
  }
  if (report.repeated === false)
    write(`\nseed ${report.seed}: F4: a second run did something else`);
  write(`replay: pnpm sim --seed ${report.seed} --nodes ${printRange(nodes)} --minutes ${minutes}`);
}

function printRange({ min, max }: PlanLimits["nodes"]): string {
  return min === max ? String(min) : `${min}..${max}`;
}

function printSummary(summary: Summary, { nodes, minutes }: Settings): void {
  const hours = (summary.virtualMs / 3_600_000).toFixed(1);
  const agents = printRange(nodes);
  write(
    `\n${summary.seeds} seeds of ${agents} nodes and ${minutes} minutes: ${hours} virtual hours, ${summary.speed.toFixed(0)} x real time on one core with these ${agents} agents`,
  );
  if (nodes.min !== 10 || nodes.max !== 10)
    write(`${summary.speedOfTen.toFixed(0)} x real time for 10 agents, by the number of agents`);
  write(`${summary.repeated} seeds ran twice`);
  write("\ncheck  times made");
  for (const id of Object.keys(INVARIANTS) as InvariantId[])
    write(
      `${id.padEnd(5)}  ${String(summary.counts.get(id) ?? 0).padStart(10)}  ${INVARIANTS[id]}`,
    );
  write("\nfault              times");
  for (const kind of FAULT_KINDS)
    write(`${kind.padEnd(17)}  ${String(summary.hit.get(kind) ?? 0).padStart(5)}`);
  if (summary.idle.length > 0) write(`\nF6: never checked: ${summary.idle.join(", ")}`);
  if (summary.unhit.length > 0) write(`F5: never struck: ${summary.unhit.join(", ")}`);
  write(`\n${summary.seeds - summary.failures.length} passed, ${summary.failures.length} failed`);
  if (summary.failures.length > 0)
    write(
      `failing seeds: ${summary.failures
        .slice(0, 50)
        .map(({ seed }) => seed)
        .join(" ")}`,
    );
}

function printJson(summary: Summary): void {
  const { seeds, repeated, virtualMs, speed, speedOfTen, idle, unhit } = summary;
  const failures = summary.failures.map(({ seed, violations }) => ({ seed, violations }));
  const counts = Object.fromEntries(summary.counts);
  const hit = Object.fromEntries(summary.hit);
  write(
    JSON.stringify({
      seeds,
      repeated,
      virtualMs,
      speed,
      speedOfTen,
      counts,
      hit,
      idle,
      unhit,
      failures,
    }),
  );
}

function write(line: string): void {
  process.stdout.write(`${line}\n`);
}

/** @throws TypeError for a word that is none of ours */
function readSettings(): Settings {
  const { values } = parseArgs({
    options: {
      seeds: { type: "string", default: "100" },
      seed: { type: "string" },
      from: { type: "string", default: "1" },
      nodes: { type: "string", default: "2..10" },
      minutes: { type: "string", default: "60" },
      jobs: { type: "string", default: "2" },
      json: { type: "boolean", default: false },
    },
  });
  const number = (name: string, text: string, least: number): number => {
    const value = Number(text);
    if (!Number.isSafeInteger(value) || value < least)
      throw new TypeError(`--${name} is ${text}: expected a whole number from ${least} on`);
    return value;
  };
  const readRange = (name: string, text: string): PlanLimits["nodes"] => {
    const [first = "", last = first, ...more] = text.split("..");
    const [min, max] = [number(name, first, 1), number(name, last, 1)];
    if (more.length > 0 || min > max)
      throw new TypeError(`--${name} is ${text}: expected a number, or two as in 2..10`);
    return { min, max };
  };
  const { seed } = values;
  return {
    from: number("seed", seed ?? values.from, 0),
    seeds: seed === undefined ? number("seeds", values.seeds, 1) : 1,
    nodes: readRange("nodes", values.nodes),
    minutes: number("minutes", values.minutes, 10),
    jobs: number("jobs", values.jobs, 1),
    json: values.json,
  };
}

async function run(settings: Settings): Promise<number> {
  const summary = new Summary();
  for (const signal of ["SIGINT", "SIGTERM"] as const)
    process.once(signal, () => {
      write(`\n${signal}: of ${settings.seeds} seeds`);
      printSummary(summary, settings);
      process.exit(1);
    });
  let lastMs = performance.now();
  await play(settings, (report) => {
    summary.add(report);
    const failed = report.violations.length > 0 || report.repeated === false;
    if (settings.json) return;
    if (failed && summary.failures.length <= SHOWN_FAILURES) printFailure(report, settings);
    if (performance.now() - lastMs < PROGRESS_MS) return;
    lastMs = performance.now();
    write(
      `${summary.seeds} of ${settings.seeds} seeds, ${summary.failures.length} failed, ${summary.speed.toFixed(0)} x real time`,
    );
  });
  if (settings.json) printJson(summary);
  else printSummary(summary, settings);
  if (summary.failures.length > 0) return 1;
  const gaps = summary.idle.length + summary.unhit.length;
  return settings.seeds >= SEEDS_FOR_COVERAGE && gaps > 0 ? 3 : 0;
}

function settingsOrExit(): Settings {
  try {
    return readSettings();
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    process.exit(64);
  }
}

const words = process.argv.slice(2);
process.exitCode = isOfScenarios(words)
  ? await playScenarios(words, process.stdout)
  : await run(settingsOrExit());
