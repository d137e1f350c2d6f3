/** A lab of so many hosts with agents, from nothing until all is ready and reachable, and back to nothing. */
import { readFileSync } from "node:fs";
import type { Comparison } from "./figures.ts";
import { lab, type LabHost } from "./lab-program.ts";

const NAME = "bench-up";
const MS_PER_S = 1000;
/** By number of hosts, ms. Source: design.md section 10. */
const UP_LIMITS: ReadonlyMap<number, number> = new Map([
  [10, 2000],
  [50, 6000],
  [100, 10_000],
]);
const DOWN_LIMIT_MS = 1000;

/** One lab more than `runs`: the first fills caches and does not count. */
export async function measureLab(hosts: number, runs: number): Promise<readonly Comparison[]> {
  const [up, down, agents]: [number[], number[], number[]] = [[], [], []];
  for (let run = 0; run <= runs; run++) {
    const startedMs = performance.now();
    lab(NAME, "up", "--nodes", String(hosts), "--timeout", "300");
    const upMs = performance.now() - startedMs;
    const kib = agentsKib();
    const stoppedMs = performance.now();
    lab(NAME, "down");
    if (run === 0) continue;
    up.push(upMs);
    down.push(performance.now() - stoppedMs);
    agents.push(kib / hosts);
  }
  const limit = UP_LIMITS.get(hosts);
  return [
    {
      title: `lab up, ${hosts} hosts`,
      unit: "ms",
      ways: [{ name: "up", figures: up }],
      also: [],
      bars: limit === undefined ? [] : [{ text: `up, in ms (${limit / MS_PER_S} s)`, limit }],
    },
    {
      title: `lab down, ${hosts} hosts`,
      unit: "ms",
      ways: [{ name: "down", figures: down }],
      also: [],
      bars: [{ text: "down, in ms", limit: DOWN_LIMIT_MS }],
    },
    {
      title: `memory for each host (its agent's share, PSS), ${hosts} hosts`,
      unit: "KiB",
      ways: [{ name: "agent", figures: agents }],
      also: [],
      bars: [],
    },
  ];
}

/** Shared pages count by the share of each process. Source: proc(5) smaps_rollup. */
function agentsKib(): number {
  const { nodes } = JSON.parse(lab(NAME, "ps", "--json")) as { readonly nodes: readonly LabHost[] };
  const kib = nodes.map(({ pid }) => {
    const text = readFileSync(`/proc/${pid}/smaps_rollup`, "utf8");
    return Number(/^Pss:\s+(\d+) kB/m.exec(text)?.[1]);
  });
  return kib.reduce((sum, one) => sum + one, 0);
}
