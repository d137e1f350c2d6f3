/** The mutations by the names that a command line takes. */
import { putsRoutesFirst } from "./kernel-bugs.ts";
import type { PortMutation } from "./port-mutation.ts";
import { relistsWithoutPause } from "./reading-bugs.ts";
import { KNOWN_BUGS } from "./registry.ts";

export interface NamedMutation {
  readonly name: string;
  /** What it breaks. */
  readonly invariant: string;
  readonly wrap: PortMutation;
}

/** What the simulated world has no check for. */
const REAL_ONLY: readonly NamedMutation[] = [
  { name: "puts routes first", invariant: "D3", wrap: { wrapKernel: putsRoutesFirst } },
  { name: "relists without pause", invariant: "C3", wrap: { wrapStore: relistsWithoutPause } },
];

/** `writes subnet.env once` → `writes-subnet-env-once` */
function flagName(name: string): string {
  return name.toLowerCase().replaceAll(/[^a-z0-9]+/g, "-");
}

export const NAMED_MUTATIONS: readonly NamedMutation[] = [...KNOWN_BUGS, ...REAL_ONLY].map(
  ({ name, invariant, wrap }) => ({ name: flagName(name), invariant, wrap }),
);
