import { addQueue, demandNoQueue, egressesOf, removeQueue } from "./egress.ts";
import type { FaultDefinition, FaultSite, Sighting } from "./fault.ts";
import {
  beyond,
  demandAnswer,
  type Direction,
  directionOf,
  type PingEffort,
  type PingFindings,
  pingFrom,
} from "./packet-filter.ts";

/** What a fault by the kernel's network emulator hits. Source: tc-netem(8). */
export interface NetemTarget {
  readonly direction: Direction;
  /** The one number of the fault: milliseconds, or how many of a hundred. */
  readonly amount: number;
  readonly beyond: string;
}

interface Impairment {
  /** The parameter that says how much. */
  readonly parameter: string;
  /** The words after `netem`. */
  readonly words: (amount: number) => string;
  readonly effort: (amount: number) => PingEffort;
  /** What pings show of it, in words; undefined when they do not show it. */
  readonly shows: (pings: PingFindings, amount: number) => string | undefined;
}

type NetemFault = FaultDefinition<NetemTarget>;

/** All of a fault that emulates a worse link, at the ends of one host's. */
export function impairing(
  impairment: Impairment,
): Pick<
  NetemFault,
  "place" | "needs" | "timeLimitMs" | "aim" | "inject" | "verify" | "heal" | "verifyHealed"
> {
  const look = (site: FaultSite, target: NetemTarget): Promise<PingFindings> =>
    pingFrom(site.host(), target.beyond, impairment.effort(target.amount));
  return {
    place: "host",
    needs: "netem",
    timeLimitMs: 15_000,
    aim: async (site, { parameters }) => {
      const target: NetemTarget = {
        direction: directionOf(parameters),
        amount: Number(parameters[impairment.parameter]),
        beyond: beyond(site, "all"),
      };
      await demandNoQueue(egressesOf(site.host(), target.direction));
      await demandAnswer(site.host(), target.beyond);
      return target;
    },
    inject: (site, { direction, amount }) =>
      addQueue(egressesOf(site.host(), direction), [
        "netem",
        ...impairment.words(amount).split(" "),
      ]),
    verify: async (site, target): Promise<Sighting | undefined> => {
      const saw = impairment.shows(await look(site, target), target.amount);
      return saw === undefined
        ? undefined
        : { saw: `pings from ${site.host().name} to ${target.beyond}: ${saw}` };
    },
    heal: (site, { direction }) => removeQueue(egressesOf(site.host(), direction)),
    verifyHealed: async (site, target) => {
      const pings = await look(site, target);
      return pings.received === pings.sent && impairment.shows(pings, target.amount) === undefined
        ? { saw: `${pings.sent} pings from ${site.host().name} show none of it` }
        : undefined;
    },
  };
}

/** Enough pings that what strikes so many of a hundred strikes one: that it does not has a chance of e^-20. */
export function enoughFor(percent: number): PingEffort {
  return { count: Math.ceil(2000 / percent), intervalSeconds: 0.002 };
}
