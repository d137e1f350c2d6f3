import { Deferred, type InvariantCheck, type OpenCheck, type Violation } from "../check.ts";
import type { DumpRound } from "../sightings.ts";
import type { World } from "../world.ts";
import type { NetworkFactsOfRun } from "../../checks/kernel-equals-leases.ts";

/** So long nothing may have changed before kernels must be as the leases say. Source: invariant D1. */
const QUIET_MS = 2000;
/** What the store's watch tells later than this is too late to excuse a dump. */
const WATCH_LAG_MS = 500;

export interface Look {
  readonly violations: readonly Omit<Violation, "at">[];
  /** How many things were compared. */
  readonly looked: number;
}

/**
 * A check that looks at a dump of all hosts when it was quiet before it, and withdraws what it says when something turns
 * out to have changed meanwhile.
 */
export function whenQuiet(
  definition: Pick<InvariantCheck, "id" | "claim" | "needs">,
  look: (facts: NetworkFactsOfRun, round: DumpRound, world: World) => Look,
): InvariantCheck {
  return {
    ...definition,
    open: (facts): OpenCheck => {
      let looked = 0;
      const waiting = new Deferred<Violation & { readonly until: number }>();
      return {
        looked: () => looked,
        see: (sighting, world) => {
          waiting.cancel(
            ({ at, until }) => world.lastChangeAt >= at && world.lastChangeAt <= until,
          );
          const due = waiting
            .takeDue(sighting.at)
            .map(({ until: _until, ...violation }) => violation);
          if (
            sighting.witness === "dump" &&
            sighting.kind === "round" &&
            world.quietFor(QUIET_MS, sighting.at)
          ) {
            const seen = look(facts, sighting, world);
            looked += seen.looked;
            for (const violation of seen.violations) {
              const until = sighting.endAt;
              waiting.add(until + WATCH_LAG_MS, { at: sighting.at, ...violation, until });
            }
          }
          return due;
        },
      };
    },
  };
}
