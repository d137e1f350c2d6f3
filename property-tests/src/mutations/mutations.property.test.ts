/**
 * Each known bug, put between an agent and its store or kernel, must be reported by the simulated world's checks, under the
 * invariant that it breaks; the same worlds without it must be green.
 */
import { afterAll, expect, test } from "vitest";
import { type Plan, type PlanLimits, planOfSeed } from "../sim/plan.ts";
import { type SimResult, simulate } from "../sim/simulate.ts";
import { KNOWN_BUGS, type KnownBug, MEASURED_SEEDS } from "./registry.ts";

/** A bug that no check reports in the worlds of these seeds has survived; without it they are all green. */
const SEEDS = [1, 2, 3];
/** Plans as `pnpm sim --minutes 10` plays them. */
const UNDIRECTED: PlanLimits = { nodes: { min: 2, max: 10 }, minutes: 10 };
/** Many runs are asked for: there is time to play plans that nobody made for a bug. */
const NIGHTLY = process.env["PROPERTY_RUNS"] !== undefined;
const NIGHTLY_MS = 900_000;

const rows: string[] = [];
/** What the worlds without a bug reported, by plan, provocation and seed: bugs share them. */
const healthy = new Map<string, Promise<SimResult>>();

function run(bug: KnownBug, seed: number, isOn: boolean): Promise<SimResult> {
  return simulateWith(bug, bug.plan(seed), isOn);
}

/** A world that has what befalls the bug's worlds, and the bug where it is on. */
function simulateWith(bug: KnownBug, plan: Plan, isOn: boolean): Promise<SimResult> {
  const { wrapStore, ...others } = isOn ? bug.wrap : {};
  return simulate(plan, {
    ...others,
    wrapStore: (store, node) => {
      const provoked = bug.provoke?.(store) ?? store;
      return wrapStore?.(provoked, node) ?? provoked;
    },
  });
}

function runHealthy(bug: KnownBug, seed: number): Promise<SimResult> {
  const name = [bug.plan.name, bug.provoke?.name, seed].join(" ");
  const result = healthy.get(name) ?? run(bug, seed, false);
  healthy.set(name, result);
  return result;
}

function reportOf({ violations }: SimResult): string {
  const [first] = violations;
  return first === undefined ? "" : `${first.id} at ${first.atMs} ms: ${first.detail}`;
}

test.each(KNOWN_BUGS)("$invariant: $name (corpus row $row) is caught", async (bug) => {
  const reported: string[] = [];
  let caught = 0;
  let first: number | undefined;
  for (const seed of SEEDS) {
    expect(reportOf(await runHealthy(bug, seed)), `seed ${seed} without the bug`).toBe("");
    const { violations } = await run(bug, seed, true);
    reported.push(violations.map(({ id }) => id).join(" ") || "nothing");
    if (!violations.some(({ id }) => id === bug.invariant)) continue;
    first ??= seed;
    caught++;
  }
  expect(first, `survived; its worlds reported: ${reported.join(", ")}`).toBeDefined();
  const { name, row: corpus, invariant, undirected } = bug;
  const within = undirected === undefined ? `not in ${MEASURED_SEEDS}` : `within ${undirected}`;
  rows.push(row(name, corpus, invariant, String(first), `${caught} of ${SEEDS.length}`, within));
});

test.each(NIGHTLY ? KNOWN_BUGS.filter(({ undirected }) => undirected !== undefined) : [])(
  "$name (corpus row $row) is caught within $undirected undirected plans",
  async ({ wrap, undirected = 0 }) => {
    const played = Array.from({ length: undirected }, (_, index) => index + 1);
    let caught: number | undefined;
    for (const seed of played) {
      const { violations } = await simulate(planOfSeed(seed, UNDIRECTED), wrap);
      if (violations.length > 0) caught ??= seed;
      if (caught !== undefined) break;
    }
    expect(caught, "survived").toBeDefined();
    const healthyWorld = await simulate(planOfSeed(caught ?? 0, UNDIRECTED));
    expect(reportOf(healthyWorld), `seed ${caught} without the bug`).toBe("");
  },
  NIGHTLY_MS,
);

afterAll(() => {
  const head = row("bug", "corpus row", "invariant", "first seed", "seeds", "undirected seeds");
  process.stdout.write(`\n${[head, ...rows].join("\n")}\n`);
});

function row(
  ...[name = "", corpus = "", invariant = "", first = "", seeds = "", undirected = ""]: string[]
): string {
  return `${name.padEnd(44)} ${corpus.padEnd(12)} ${invariant.padEnd(10)} ${first.padEnd(10)} ${seeds.padEnd(7)} ${undirected}`;
}
