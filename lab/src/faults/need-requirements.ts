import { FAULT_REQUIREMENTS, type Requirement } from "../requirements.ts";
import type { FaultNeed } from "./fault.ts";

/** For faults with one of these needs. A package is not all: kernels differ, and `lab doctor` tries each. */
const NEED_REQUIREMENTS: Readonly<Partial<Record<FaultNeed, readonly Requirement[]>>> = {
  "traffic-shaper": [{ name: "tc", what: { program: "tc" }, packages: ["iproute2"] }],
  // The program comes with the library, which has another place on each architecture.
  faketime: [{ name: "faketime", what: { program: "faketime" }, packages: ["faketime"] }],
};

/** What faults with these needs want of packages; nothing where there are none. */
export function requirementsOfNeeds(needs: ReadonlySet<FaultNeed>): readonly Requirement[] {
  return needs.size === 0
    ? []
    : [...FAULT_REQUIREMENTS, ...[...needs].flatMap((need) => NEED_REQUIREMENTS[need] ?? [])];
}
