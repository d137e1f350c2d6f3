import { type Finding, failIfAny, unknown } from "./verdict.ts";

/** Subnets by host, as text in a fixed order of families. */
export type SubnetsByHost = ReadonlyMap<string, string>;

/** Compares what was remembered with what subnet.env and the store say now. */
export function subnetsAreKept(
  remembered: SubnetsByHost | undefined,
  now: { readonly files: SubnetsByHost; readonly store: SubnetsByHost },
): Finding {
  if (remembered === undefined || remembered.size === 0) {
    return unknown("nothing was remembered to compare with");
  }
  const violations: string[] = [];
  for (const [host, before] of remembered) {
    for (const [place, subnets] of [
      ["subnet.env", now.files],
      ["the store", now.store],
    ] as const) {
      const after = subnets.get(host);
      if (after !== before) {
        violations.push(`${host} had ${before}, ${place} says ${after ?? "nothing"}`);
      }
    }
  }
  return failIfAny(violations, `${remembered.size} nodes kept their subnets`);
}
