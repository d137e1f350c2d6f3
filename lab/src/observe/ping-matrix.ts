import type { IpFamily } from "../addresses.ts";
import type { PingPair } from "../lab.ts";
import { LabError } from "../errors.ts";
import { type Clock, deadlineIn } from "../system/clock.ts";
import { EchoLane } from "./echo-lane.ts";
import type { EchoFigures } from "./echo-ledger.ts";

/** A pod as the matrix needs it. */
export interface PingEnd {
  readonly name: string;
  readonly segment: number;
  readonly addresses: readonly { readonly family: IpFamily; readonly address: string }[];
  /** A process in the pod; undefined while there is no pod. */
  readonly pid: number | undefined;
}

/** What one pod is to ping. */
export interface PingPlan {
  readonly from: PingEnd;
  readonly targets: readonly PingTarget[];
}

export interface PingTarget {
  readonly to: string;
  readonly family: IpFamily;
  /** Undefined while the pod is not there. */
  readonly address: string | undefined;
  readonly expected: boolean;
}

export interface PingEffort {
  /** Packets per pair. */
  readonly count: number;
  /** How long to wait for the last answers. */
  readonly waitMs: number;
}

/** Only a few pods ping at once: each has a socket for every target. */
const SOURCES_AT_ONCE = 4;
/** Who has not answered by then has time until the end, while others are asked. */
const PATIENCE_MS = 5;
/** Between two packets of a pair. */
const INTERVAL_MS = 200;

/** Who pings whom: every ordered pair of different pods, in each family. */
export function planPings(
  ends: readonly PingEnd[],
  families: readonly IpFamily[],
  isExpected: (from: PingEnd, to: PingEnd) => boolean,
): PingPlan[] {
  return ends.map((from) => ({
    from,
    targets: ends
      .filter((to) => to.name !== from.name)
      .flatMap((to) =>
        families.map((family) => ({
          to: to.name,
          family,
          address: to.addresses.find((candidate) => candidate.family === family)?.address,
          expected: isExpected(from, to),
        })),
      ),
  }));
}

/** Up to so many hosts every pair is asked. */
export const WHOLE_MESH_HOSTS = 20;
const SAMPLED_PAIRS = 400;

/**
 * In a large lab each pod asks only the next ones in a ring, on both sides, so that all ask and are asked equally often. Two hosts whose
 * pods talk cost an ARP entry each, whoever asks, and Linux has room for 1,024 in all network namespaces together
 * (net.ipv4.neigh.default.gc_thresh3, of which there is only one): more than 32 hosts that all talk to all cannot be.
 */
export function sampled(plans: readonly PingPlan[]): PingPlan[] {
  const hosts = plans.length;
  if (hosts <= WHOLE_MESH_HOSTS) return [...plans];
  const reach = Math.max(1, Math.floor(SAMPLED_PAIRS / hosts / 2));
  const steps = Array.from({ length: reach }, (_, index) => index + 1).flatMap((to) => [to, -to]);
  return plans.map(({ from, targets }, index) => {
    const names = new Set(steps.map((step) => plans.at((index + step) % hosts)?.from.name));
    return { from, targets: targets.filter(({ to }) => names.has(to)) };
  });
}

/** Pings as planned. A pair of which one pod is missing, or goes, counts as sent and lost. */
export async function runPings(
  plans: readonly PingPlan[],
  effort: PingEffort,
  clock: Clock,
): Promise<PingPair[]> {
  const results: PingPair[][] = plans.map(() => []);
  const queue = plans.entries();
  const pinger = new Pinger(effort, clock);
  const work = async (): Promise<void> => {
    for (const [index, plan] of queue) {
      results[index] = await runPlan(plan, effort, pinger);
    }
  };
  await Promise.all(Array.from({ length: SOURCES_AT_ONCE }, work));
  return results.flat();
}

async function runPlan(
  { from, targets }: PingPlan,
  effort: PingEffort,
  pinger: Pinger,
): Promise<PingPair[]> {
  const addresses = targets.flatMap(({ address }) => (address === undefined ? [] : [address]));
  const figures =
    from.pid === undefined
      ? undefined
      : await pinger.from(from.pid, addresses).catch(nothingFromGonePod);
  return targets.map(({ to, family, address, expected }) => {
    const { received = 0, averageMs } = figures?.get(address ?? "") ?? {};
    return {
      from: from.name,
      to,
      family,
      sent: effort.count,
      received,
      ...(averageMs === undefined ? {} : { averageMs }),
      expected,
    };
  });
}

/** Asks one address at a time: what waits in this process for its turn would count as the network's time. */
class Pinger {
  readonly #effort: PingEffort;
  readonly #clock: Clock;
  #turn: Promise<void> = Promise.resolve();

  constructor(effort: PingEffort, clock: Clock) {
    this.#effort = effort;
    this.#clock = clock;
  }

  /** @throws LabError "command-failed" when the pod cannot be entered */
  async from(pid: number, addresses: readonly string[]): Promise<ReadonlyMap<string, EchoFigures>> {
    const { count, waitMs } = this.#effort;
    const lanes = await EchoLane.openAll(this.#clock, pid, addresses);
    try {
      for (let round = 0; round < count; round += 1) {
        const nextMs = this.#clock.nowMs() + INTERVAL_MS;
        await this.#inTurn(() => askEach(lanes));
        if (round < count - 1) {
          await this.#clock.sleep(Math.max(0, nextMs - this.#clock.nowMs()));
        }
      }
      const deadline = deadlineIn(this.#clock, waitMs);
      for (const lane of lanes) {
        await lane.answered(deadline.remainingMs());
      }
      return new Map(lanes.map(({ address, figures }) => [address, figures]));
    } finally {
      for (const lane of lanes) {
        lane.close();
      }
    }
  }

  #inTurn(work: () => Promise<void>): Promise<void> {
    this.#turn = this.#turn.then(work);
    return this.#turn;
  }
}

async function askEach(lanes: readonly EchoLane[]): Promise<void> {
  for (const lane of lanes) {
    lane.ask();
    await lane.answered(PATIENCE_MS);
  }
}

function nothingFromGonePod(error: unknown): undefined {
  if (!(error instanceof LabError) || error.code !== "command-failed") {
    throw error;
  }
}
