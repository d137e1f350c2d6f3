/**
 * Each known bug, put between an agent and its store or kernel, must be reported by the simulated world's checks, under the
 * invariant that it breaks; the same worlds without it must be green.
 */
import { afterAll, expect, test } from "vitest";
import { type SimResult, simulate } from "../sim/simulate.ts";
import { KNOWN_BUGS, type KnownBug } from "./registry.ts";

/** A bug that no check reports in the worlds of these seeds has survived; without it they are all green. */
const SEEDS = [1, 2, 3];

const rows: string[] = [];
/** What the worlds without a bug reported, by plan, provocation and seed: bugs share them. */
const healthy = new Map<string, Promise<SimResult>>();

function run(bug: KnownBug, seed: number, isOn: boolean): Promise<SimResult> {
  const { wrapStore, wrapKernel } = isOn ? bug.wrap : {};
  return simulate(bug.plan(seed), {
    wrapStore: (store, node) => {
      const provoked = bug.provoke?.(store) ?? store;
      return wrapStore?.(provoked, node) ?? provoked;
    },
    ...(wrapKernel === undefined ? {} : { wrapKernel }),
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
  rows.push(row(bug.name, bug.row, bug.invariant, String(first), `${caught} of ${SEEDS.length}`));
});

afterAll(() => {
  const head = row("bug", "corpus row", "invariant", "first seed", "seeds");
  process.stdout.write(`\n${[head, ...rows].join("\n")}\n`);
});

function row(
  ...[name = "", corpus = "", invariant = "", first = "", seeds = ""]: string[]
): string {
  return `${name.padEnd(44)} ${corpus.padEnd(12)} ${invariant.padEnd(10)} ${first.padEnd(10)} ${seeds}`;
}
