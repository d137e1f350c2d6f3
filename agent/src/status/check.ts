/** `flanneld check`: what the kernel holds, looked at by somebody else than the agent, against what the agent knows of the store. */
import { FAMILIES, addToIp, cidrAddress, cidrLength } from "../core/ip.ts";
import type { Ip } from "../core/ip.ts";
import { parseSubnetFile } from "../core/subnet-file.ts";
import type { AgentState, WishState } from "../daemon-vitals.ts";
import { ByIdentity } from "../kernel/by-identity.ts";
import type { ReadonlyByIdentity } from "../kernel/by-identity.ts";
import { compare, wishOf } from "../kernel/difference.ts";
import type { KernelObject, Route, RouteLookup } from "../kernel/kernel.ts";
import { printObject } from "../kernel/print.ts";
import { finish } from "../system/slices.ts";

/** What was looked at, all of it read by the command itself. */
export interface Evidence {
  /** A dump of the wish's scope. */
  readonly dumped: readonly KernelObject[];
  /** The kernel's answers for `probesOf`, in their order. */
  readonly ways: readonly (RouteLookup | undefined)[];
  /** Undefined where there is no such file. */
  readonly subnetFile: string | undefined;
}

/** Where a packet for a peer should go. */
interface Probe {
  readonly destination: Ip;
  readonly route: Route;
}

/** An address inside the subnet of each peer that should have a route: the kernel is asked where packets for it go. */
export function probesOf({ objects }: WishState): readonly Probe[] {
  return objects
    .filter((object) => object.kind === "route")
    .map((route) => {
      const first = cidrAddress(route.destination);
      const whole = cidrLength(route.destination) === (first.includes(":") ? 128 : 32);
      return { destination: whole ? first : addToIp(first, 1n), route };
    });
}

/** One line for each difference; none when all is as the store says. */
export function findDifferences(
  state: AgentState,
  wish: WishState,
  evidence: Evidence,
): readonly string[] {
  const { lines, missing } = kernelDifferences(wish, evidence.dumped);
  const misled = probesOf(wish).flatMap((probe, index) =>
    missing.has(probe.route) ? [] : wayDifference(probe, evidence.ways[index]),
  );
  return [...lines, ...misled, ...fileDifferences(state, evidence.subnetFile)];
}

function kernelDifferences(
  wish: WishState,
  dumped: readonly KernelObject[],
): { readonly lines: readonly string[]; readonly missing: ReadonlyByIdentity<true> } {
  const { stages, blocked, actual } = finish(compare(dumped, wishOf(wish)));
  const missing = new ByIdentity<true>();
  const replaced = new ByIdentity<true>();
  const changes = stages.flat();
  for (const { action, object } of changes) if (action === "put") missing.set(object, true);
  const lines = changes.flatMap(({ action, object }) => {
    if (action === "remove")
      return missing.has(object) ? [] : [`left over: ${printObject(object)}`];
    if (replaced.has(object)) return [];
    replaced.set(object, true);
    const found = actual.all(object).map(printObject);
    return found.length === 0
      ? [`missing: ${printObject(object)}`]
      : [`differs: ${printObject(object)} is wanted, ${found.join(" and ")} is there`];
  });
  for (const { wanted, obstacle } of blocked) {
    missing.set(wanted, true);
    lines.push(
      `blocked: ${printObject(wanted)} is wanted, the kernel's own ${printObject(obstacle)} stands there`,
    );
  }
  return { lines, missing };
}

/** A more specific route, a rule or another table may lead packets elsewhere although the wished route is there. */
function wayDifference(
  { destination, route }: Probe,
  way: RouteLookup | undefined,
): readonly string[] {
  const wanted = `${route.gateway === undefined ? "" : `via ${route.gateway} `}dev ${route.link}`;
  if (way === undefined) return [`misled: packets for ${destination} go nowhere, not ${wanted}`];
  if (way.link === route.link && way.gateway === route.gateway) return [];
  const found = `${way.gateway === undefined ? "" : `via ${way.gateway} `}dev ${way.link}`;
  return [`misled: packets for ${destination} go ${found}, not ${wanted}`];
}

function fileDifferences(
  { lease, backend }: AgentState,
  text: string | undefined,
): readonly string[] {
  if (lease === undefined || backend === undefined) return [];
  if (text === undefined) return ["subnet file: is not there"];
  const { subnets } = parseSubnetFile(text);
  const lines = FAMILIES.flatMap((family) =>
    backend.networks[family] === undefined || subnets[family] === lease.subnets[family]
      ? []
      : [
          `subnet file: says ${subnets[family] ?? "no subnet"} for IPv${family}, the lease is ${lease.subnets[family] ?? "none"}`,
        ],
  );
  const [, mtu = "no MTU"] = /^FLANNEL_MTU=(.*)$/m.exec(text) ?? [];
  return mtu === String(backend.mtu)
    ? lines
    : [...lines, `subnet file: says MTU ${mtu}, the backend's is ${backend.mtu}`];
}
