import type { FaultReport } from "../lab.ts";
import { type Finding, failIfAny, unknown } from "./verdict.ts";

/** What the `foreign-…` faults made is there as they made it (invariant D2). The reports are of a look just now. */
export function foreignObjectsStay(reports: readonly FaultReport[]): Finding {
  const foreign = reports.filter(({ fault }) => fault.startsWith("foreign-"));
  if (foreign.length === 0) {
    return unknown("there is nothing of somebody else to look at");
  }
  return failIfAny(
    foreign
      .filter(({ saw }) => saw === undefined)
      .map(({ text }) => `what ${text} made was changed or removed`),
    foreign.map(({ saw }) => saw ?? "").join("; "),
  );
}
