/** What a look at the traffic rules costs that finds them right: the agent's own processor time, and that of the programs it starts. */
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import type { Comparison } from "./figures.ts";
import type { Resync, Resyncs } from "./resync-subject.ts";

/** Source: issue 6, "What must hold". */
const CPU_LIMIT_MS = 3;
const PROCESSES_PER_FAMILY = 1;

/** Every firewall's with one family and with both. */
export function measureResyncs(runs: number): readonly Comparison[] {
  const command = [process.execPath, join(import.meta.dirname, "resync-subject.ts"), String(runs)];
  const text = execFileSync("unshare", ["-rn", ...command], { encoding: "utf8" });
  return (JSON.parse(text) as Resyncs).flatMap((one) => [cpuOf(one), processesOf(one)]);
}

function cpuOf({ firewall, families, quiet, stirred }: Resync): Comparison {
  return {
    title: `a look at right rules, ${firewall}, ${familyWord(families)}: processor time`,
    unit: "ms",
    ways: [{ name: "nothing changed", figures: quiet.map(({ cpuMs }) => cpuMs) }],
    also: [
      {
        name: "of it in programs",
        figures: quiet.map(({ childrenMs }) => childrenMs),
      },
      {
        name: "after others changed their rules",
        figures: stirred.map(({ cpuMs }) => cpuMs),
      },
    ],
    bars: [{ text: "processor time, ms", limit: CPU_LIMIT_MS }],
  };
}

function processesOf({ firewall, families, quiet, stirred }: Resync): Comparison {
  return {
    title: `a look at right rules, ${firewall}, ${familyWord(families)}: programs started`,
    unit: "processes",
    ways: [{ name: "nothing changed", figures: quiet.map(({ processes }) => processes) }],
    also: [
      {
        name: "after others changed their rules",
        figures: stirred.map(({ processes }) => processes),
      },
    ],
    bars: [{ text: "processes", limit: PROCESSES_PER_FAMILY * families }],
  };
}

function familyWord(families: number): string {
  return families === 1 ? "v4" : "v4 and v6";
}
