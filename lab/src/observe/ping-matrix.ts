import type { IpFamily } from "../addresses.ts";
import type { PingPair } from "../lab.ts";
import { run } from "../system/processes.ts";
import { parsePingOutput, PING_SCRIPT } from "./ping-output.ts";

/** A pod as the matrix needs it. */
export interface PingEnd {
  readonly name: string;
  readonly segment: number;
  readonly addresses: readonly { readonly family: IpFamily; readonly address: string }[];
  /** A process in the pod; undefined while there is no pod. */
  readonly pid: number | undefined;
  /** The command line that runs `argv` in the pod; undefined while there is no pod. */
  readonly enter: ((argv: readonly string[]) => string[]) | undefined;
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
  /** How long to wait for the last answer. */
  readonly waitSeconds: number;
}

/** Only a few pods ping at once, each all of its targets: every pair is a process for some milliseconds. */
const SOURCES_AT_ONCE = 4;
/** Between the packets of a pair; also in `PING_SCRIPT`. */
const INTERVAL_MS = 200;
const PROCESS_MARGIN_MS = 20_000;

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

/** Runs the plans. A pair of which one pod is missing counts as sent and lost. */
export async function runPings(
  plans: readonly PingPlan[],
  effort: PingEffort,
): Promise<PingPair[]> {
  const results: PingPair[][] = plans.map(() => []);
  const queue = plans.entries();
  const work = async (): Promise<void> => {
    for (const [index, plan] of queue) {
      results[index] = await runPlan(plan, effort);
    }
  };
  await Promise.all(Array.from({ length: SOURCES_AT_ONCE }, work));
  return results.flat();
}

async function runPlan({ from, targets }: PingPlan, effort: PingEffort): Promise<PingPair[]> {
  const addresses = targets.flatMap(({ address }) => (address === undefined ? [] : [address]));
  const counts =
    from.enter === undefined || addresses.length === 0
      ? undefined
      : await pingFrom(from.enter, addresses, effort);
  return targets.map(({ to, family, address, expected }) => ({
    from: from.name,
    to,
    family,
    sent: effort.count,
    received: 0,
    ...counts?.get(address ?? ""),
    expected,
  }));
}

async function pingFrom(
  enter: (argv: readonly string[]) => string[],
  addresses: readonly string[],
  { count, waitSeconds }: PingEffort,
): Promise<ReturnType<typeof parsePingOutput>> {
  const scriptArguments = [String(count), String(waitSeconds), ...addresses];
  const { stdout } = await run(enter(["sh", "-c", PING_SCRIPT, "ping", ...scriptArguments]), {
    timeoutMs: count * INTERVAL_MS + waitSeconds * 1000 + PROCESS_MARGIN_MS,
  });
  return parsePingOutput(stdout);
}
