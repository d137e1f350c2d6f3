import { Deferred, type InvariantCheck, type OpenCheck, type Violation } from "../check.ts";
import type { DumpedHost, DumpRound } from "../sightings.ts";
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
 * A check that looks at every dump of all hosts while no fault is on. What is as it must be counts as a look at once; what is
 * not is told only when it was quiet for long enough before, and withdrawn when something turns out to have changed
 * meanwhile.
 */
export function whenQuiet(
  definition: Pick<InvariantCheck, "id" | "claim" | "needs">,
  look: (facts: NetworkFactsOfRun, round: DumpRound, world: World) => Look,
): InvariantCheck {
  return {
    ...definition,
    open: (facts): OpenCheck => {
      let looked = 0;
      /** The last dump that showed all well, or that all there is to tell was told of. */
      let settledAt = Number.NEGATIVE_INFINITY;
      const waiting = new Deferred<Violation & { readonly until: number }>();
      return {
        looked: () => looked,
        // Agents that were restarted may not be ready yet: then there was nothing to look at.
        isSettled: (world) =>
          world.faults.size > 0 || (looked > 0 && settledAt >= world.lastChangeAt),
        see: (sighting, world) => {
          waiting.cancel(
            ({ at, until }) => world.lastChangeAt >= at && world.lastChangeAt <= until,
          );
          const due = waiting
            .takeDue(sighting.at)
            .map(({ until: _until, ...violation }) => violation);
          if (sighting.witness === "dump" && sighting.kind === "round" && world.faults.size === 0) {
            const seen = look(facts, sighting, world);
            const isQuiet = world.quietFor(QUIET_MS, sighting.at);
            if (isQuiet || seen.violations.length === 0) {
              looked += seen.looked;
            }
            settledAt = seen.violations.length === 0 ? sighting.at : Number.NEGATIVE_INFINITY;
            for (const violation of isQuiet ? seen.violations : []) {
              const until = sighting.endAt;
              waiting.add(until + WATCH_LAG_MS, { at: sighting.at, ...violation, until });
            }
          }
          settledAt = due.at(-1)?.at ?? settledAt;
          return due;
        },
      };
    },
  };
}

/** A host without a running agent keeps what it has, and one whose agent is not ready yet need not have anything. */
export function withReadyAgents(hosts: readonly DumpedHost[], world: World): readonly DumpedHost[] {
  return hosts.filter(({ host }) => world.isReady(host) && world.hosts.has(host));
}
