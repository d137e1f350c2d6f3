import type { FrameFate } from "linux";
import type { LabHost } from "../hosts/host.ts";
import { environmentVariable } from "../system/machine.ts";
import { run } from "../system/processes.ts";
import { addQueue, demandNoQueue, egressesOf, removeQueue } from "./egress.ts";
import type { FaultDefinition, FaultSite, Sighting } from "./fault.ts";
import {
  ANSWER_SECONDS,
  demandAnswer,
  type Direction,
  directionOf,
  type PingEffort,
  type PingFindings,
  pingFrom,
} from "./packet-filter.ts";
import { type Decide, fatesOf } from "./wire-fates.ts";
import { Wire } from "./wire.ts";

/** What a fault hits that makes a link worse. */
export interface ImpairmentTarget {
  readonly host: LabHost;
  readonly means: Means;
  /** The one number of the fault: milliseconds, or how many of a hundred. */
  readonly amount: number;
  readonly beyond: string;
}

/** Who does it to the frames. */
interface Means {
  /** @throws LabError "wrong-state" where another fault is in its place */
  demandFree(): Promise<void>;
  begin(): Promise<void>;
  end(): Promise<void>;
  /** When nobody sees it any more. */
  clear(): Promise<void>;
}

interface Impairment {
  /** The parameter that says how much. */
  readonly parameter: string;
  /** The words after `netem`. */
  readonly words: (amount: number) => string;
  /** The same for the userspace wire, frame by frame. */
  readonly decide: (amount: number) => Decide;
  readonly effort: (amount: number) => PingEffort;
  /** What pings show of it, in words; undefined when they do not show it. */
  readonly shows: (pings: PingFindings, amount: number) => string | undefined;
}

type ImpairmentFault = FaultDefinition<ImpairmentTarget>;

/** For sh(1), in a network namespace of its own: whether the kernel has netem. */
export const NETEM_TRIAL = "ip link set lo up && tc qdisc add dev lo root netem delay 1ms";
/** Where it is set the wire does it, also where the kernel has netem. */
export const WIRE_VARIABLE = "TWILL_LAB_WIRE";

/** All of a fault that makes a link worse, at the ends of one host's: by netem where the kernel has it, else by a wire. */
export function impairing(
  impairment: Impairment,
): Pick<
  ImpairmentFault,
  "place" | "needs" | "timeLimitMs" | "aim" | "inject" | "verify" | "heal" | "verifyHealed"
> {
  const look = (site: FaultSite, target: ImpairmentTarget): Promise<PingFindings> =>
    pingFrom(site.host(), target.beyond, impairment.effort(target.amount));
  return {
    place: "host",
    needs: "impairment",
    timeLimitMs: 15_000,
    aim: async (site, { parameters }) => {
      const host = site.host();
      const amount = Number(parameters[impairment.parameter]);
      const direction = directionOf(parameters);
      const means = (await hasNetem())
        ? byNetem(host, direction, impairment.words(amount))
        : byWire(host, direction, site.id, (flowNumber) =>
            fatesOf(impairment.decide(amount), 2 * Number(parameters["seed"] ?? 0) + flowNumber),
          );
      await means.demandFree();
      // Not another host: what that one's link does is not to be taken for this one's.
      const target = { host, means, amount, beyond: host.plan.addresses[0]?.router ?? "" };
      await demandAnswer(host, target.beyond);
      return target;
    },
    inject: (_site, { means }) => means.begin(),
    verify: async (site, target): Promise<Sighting | undefined> => {
      const saw = impairment.shows(await look(site, target), target.amount);
      return saw === undefined
        ? undefined
        : { saw: `pings from ${site.host().name} to ${target.beyond}: ${saw}` };
    },
    heal: (_site, { means }) => means.end(),
    verifyHealed: async (site, target) => {
      const pings = await look(site, target);
      if (pings.received < pings.sent || impairment.shows(pings, target.amount) !== undefined) {
        return undefined;
      }
      await target.means.clear();
      return { saw: `${pings.sent} pings from ${site.host().name} show none of it` };
    },
  };
}

/** Enough pings that what strikes so many of a hundred strikes one: that it does not has a chance of e^-20. */
export function enoughFor(percent: number): PingEffort {
  return { count: Math.ceil(2000 / percent), intervalSeconds: 0.002, waitSeconds: ANSWER_SECONDS };
}

/** How long an answer may take where frames of both directions come that much later. */
export function answerSeconds(delayMs: number): number {
  return ANSWER_SECONDS + (2 * delayMs) / 1000;
}

/** Tried each time: it costs less than the pings before it, and the module may have been loaded meanwhile. */
async function hasNetem(): Promise<boolean> {
  if (environmentVariable(WIRE_VARIABLE) !== undefined) {
    return false;
  }
  const { exitCode } = await run(["unshare", "--net", "sh", "-c", NETEM_TRIAL]);
  return exitCode === 0;
}

function byNetem(host: LabHost, direction: Direction, words: string): Means {
  const egresses = egressesOf(host, direction);
  return {
    demandFree: () => demandNoQueue(egresses),
    begin: () => addQueue(egresses, ["netem", ...words.split(" ")]),
    end: () => removeQueue(egresses),
    clear: async () => undefined,
  };
}

function byWire(
  host: LabHost,
  direction: Direction,
  id: string,
  fates: (flowNumber: number) => readonly FrameFate[],
): Means {
  const wire = new Wire({ table: `lab_${id}`, port: host.name, direction });
  return {
    demandFree: async () => wire.demandFree(),
    begin: () => wire.begin(host, fates),
    end: () => wire.end(),
    clear: () => wire.clear(),
  };
}
