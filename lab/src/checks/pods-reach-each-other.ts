import type { PingMatrix } from "../lab.ts";
import { type Finding, failIfAny, unknown } from "./verdict.ts";

/** Every pair that the topology lets reach each other lost no packet; a matrix without such pairs says nothing. */
export function podsReachEachOther(matrix: PingMatrix): Finding {
  const pairs = matrix.pairs.filter((pair) => pair.expected);
  if (pairs.length === 0 || pairs.some((pair) => pair.sent === 0)) {
    return unknown("no ping was sent between some of the pods");
  }
  const failed = pairs.filter((pair) => pair.received < pair.sent);
  return failIfAny(
    failed.map(
      (pair) =>
        `${pair.from} → ${pair.to} (${pair.family}): ${pair.received} of ${pair.sent} answers`,
    ),
    `${pairs.length} pairs answered`,
  );
}
