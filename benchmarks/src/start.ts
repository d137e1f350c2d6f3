/** From the start of the agent's process until it answers, and until it is ready, in each way that it is shipped. */
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import type { Comparison } from "./figures.ts";
import type { Start, Starts } from "./start-subject.ts";

/** Source: design.md section 10. */
const READY_LIMIT_MS = 300;

const SHOWN: readonly {
  readonly what: keyof Start;
  readonly title: string;
  readonly unit: Comparison["unit"];
  readonly limit?: number;
}[] = [
  { what: "versionMs", title: "from start to --version", unit: "ms" },
  { what: "readyMs", title: "from start to ready, store up", unit: "ms", limit: READY_LIMIT_MS },
  { what: "cpuMs", title: "processor time from start to ready", unit: "ms" },
  { what: "residentKib", title: "resident memory when ready", unit: "KiB" },
];

/** @param directory is filled with what is shipped */
export function measureStarts(runs: number, directory: string): readonly Comparison[] {
  const build = join(import.meta.dirname, "../../shipping/src/main.ts");
  execFileSync(process.execPath, [build, "--out", directory, "--single-file"], {
    stdio: ["ignore", "ignore", "inherit"],
  });
  const subject = join(import.meta.dirname, "start-subject.ts");
  const command = [process.execPath, subject, String(runs), directory];
  const starts = JSON.parse(
    execFileSync("unshare", ["-rn", ...command], { encoding: "utf8" }),
  ) as Starts;
  return SHOWN.map(({ what, title, unit, limit }) => ({
    title,
    unit,
    ways: Object.entries(starts).map(([name, all]) => ({
      name,
      figures: all.map((one) => one[what]),
    })),
    also: [],
    bars: limit === undefined ? [] : [{ text: `${title}, in ms`, limit }],
  }));
}
