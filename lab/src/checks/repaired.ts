import type { RepairReport } from "../lab.ts";
import type { Finding } from "./verdict.ts";

export interface RepairLook {
  /** Whether the kernels were right in the last look. */
  readonly look: Finding;
  /** Read after that look. */
  readonly report: RepairReport;
  /** When the last look that found something wrong began, since the fault's effect; 0 when none did. */
  readonly lastWrongMs: number;
  readonly withinMs: number;
}

/**
 * How long it took from the effect of a fault until kernels were right again (invariants D10, D11). The moment is that of the
 * last change that kernels told of, read within a few milliseconds; where events cannot tell, the end of the first
 * dump that showed everything right, which is later than the truth by up to one look.
 */
export function repaired({ look, report, lastWrongMs, withinMs }: RepairLook): Finding {
  const { fault, elapsedMs, changesMs, complete } = report;
  if (look.verdict !== "pass") {
    const since = `${Math.round(elapsedMs)} ms after ${fault}:`;
    return { verdict: look.verdict, details: [since, ...look.details] };
  }
  const lastChangeMs = changesMs.at(-1);
  const byEvents = complete && lastChangeMs !== undefined && lastChangeMs >= lastWrongMs;
  const repairMs = byEvents ? lastChangeMs : elapsedMs;
  const how = byEvents
    ? `by kernel events, ${changesMs.length} of them; a dump that ended at ${elapsedMs.toFixed(0)} ms shows it`
    : `by dumps: the last wrong one began at ${lastWrongMs.toFixed(0)} ms`;
  return {
    verdict: repairMs <= withinMs ? "pass" : "fail",
    details: [`${fault}: repaired after ${repairMs.toFixed(1)} ms of ${withinMs} (${how})`],
    measured: { fault, repairMs, boundMs: elapsedMs, by: byEvents ? "events" : "dumps" },
  };
}
