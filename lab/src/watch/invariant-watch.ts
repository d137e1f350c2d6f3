import type { NetworkFactsOfRun } from "../checks/kernel-equals-leases.ts";
import type { InvariantChecked } from "../report/events.ts";
import type { InvariantCheck, OpenCheck, Violation } from "./check.ts";
import type { Sighting, WitnessName } from "./sightings.ts";
import { World } from "./world.ts";

export interface NamedViolation extends Violation {
  readonly id: string;
}

/** A broken invariant can be broken anew every second: so many different ones are told, no more. */
const MAX_TOLD = 20;

/** Runs checks over the sightings of a run, and says at its end what came of each. */
export class InvariantWatch {
  readonly world: World = new World();
  readonly #checks: readonly { readonly check: InvariantCheck; readonly open: OpenCheck }[];
  readonly #told: Map<string, Set<string>> = new Map();
  readonly #blind: Map<WitnessName, string> = new Map();
  readonly #seen: Set<WitnessName> = new Set();

  constructor(checks: readonly InvariantCheck[], facts: NetworkFactsOfRun) {
    this.#checks = checks
      .filter((check) => check.appliesTo?.(facts) ?? true)
      .map((check) => ({ check, open: check.open(facts) }));
  }

  /** What the sighting violates and was not told yet. */
  see(sighting: Sighting): readonly NamedViolation[] {
    if (sighting.kind === "blind") {
      this.#blind.set(sighting.witness, sighting.why);
    } else if (sighting.witness !== "stage") {
      this.#seen.add(sighting.witness);
    }
    this.world.see(sighting);
    return this.#checks.flatMap(({ check, open }) =>
      open
        .see(sighting, this.world)
        .map((violation) => ({ id: check.id, ...violation }))
        .filter((violation) => this.#isNew(violation)),
    );
  }

  /** Whether more time could not change what any check says, if nothing more happened. */
  isSettled(): boolean {
    return this.#checks.every(({ open }) => open.isSettled?.(this.world) ?? true);
  }

  conclude(at: number): readonly InvariantChecked[] {
    return this.#checks.map(({ check, open }) => {
      const { id, claim, needs } = check;
      const looked = open.looked();
      const blind = needs.find((witness) => this.#blind.has(witness));
      const result = {
        type: "invariant-checked",
        at,
        id,
        looked,
        blind: blind !== undefined,
      } as const;
      const violations = this.#told.get(id)?.size ?? 0;
      if (violations > 0) {
        return { ...result, verdict: "fail", detail: `${violations} violations: ${claim}` };
      }
      if (blind !== undefined) {
        const detail = `the ${blind} witness was blind: ${this.#blind.get(blind) ?? ""}`;
        return { ...result, verdict: "unknown", detail };
      }
      const missing = needs.find((witness) => !this.#seen.has(witness));
      if (missing !== undefined || looked === 0) {
        const detail =
          missing === undefined
            ? "there was nothing to look at"
            : `the ${missing} witness saw nothing`;
        return { ...result, verdict: "unknown", detail };
      }
      return { ...result, verdict: "pass", detail: claim };
    });
  }

  #isNew({ id, host, detail }: NamedViolation): boolean {
    const told = this.#told.get(id) ?? new Set();
    this.#told.set(id, told);
    const key = `${host ?? ""} ${detail}`;
    if (told.has(key) || told.size >= MAX_TOLD) {
      return false;
    }
    told.add(key);
    return true;
  }
}
