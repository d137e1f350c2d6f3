import { networkText, type HostSeen } from "../observe/host-seen.ts";
import { entryLine, resolveRoute, routeLine } from "./route-paths.ts";

/** What `lab graph` draws. Everything is in the order of the hosts, so that one state gives one drawing. */
export interface LabGraph {
  readonly segments: readonly GraphSegment[];
  readonly hosts: readonly GraphHost[];
  /** Of every pair of hosts in both directions, as far as there is one or should be one. */
  readonly ways: readonly Way[];
}

export interface GraphSegment {
  /** The networks that its hosts' external interfaces are in, one per family. */
  readonly networks: readonly string[];
  readonly hosts: readonly string[];
}

export interface GraphHost {
  readonly name: string;
  readonly addresses: readonly string[];
  readonly podSubnets: readonly string[];
  /** Routes, neighbours and FDB entries that lead to no peer's pods, as ip(8) and bridge(8) say them. */
  readonly others: readonly string[];
}

/** How the kernel of one host sends to the pods of another. */
export interface Way {
  readonly from: string;
  readonly to: string;
  /** `vxlan`, `route` for a plain one, or the device that packets leave through to where nobody can look. */
  readonly carrier: string;
  /** whole: every pod subnet is led to. missing: something is not there. wrong: something leads elsewhere. */
  readonly state: "whole" | "missing" | "wrong";
  /** The entries it consists of. */
  readonly lines: readonly string[];
  /** What is missing or wrong, in words. */
  readonly faults: readonly string[];
}

/** Follows every route of every host to where it leads. `isExpected` says which pairs must have a way. */
export function graphOf(
  hosts: readonly HostSeen[],
  isExpected: (from: HostSeen, to: HostSeen) => boolean,
): LabGraph {
  const ways: Way[] = [];
  const drawn: GraphHost[] = [];
  for (const from of hosts) {
    const used = new Set<string>();
    for (const to of hosts) {
      const way = from === to ? undefined : wayOf(from, to, hosts);
      way?.lines.forEach((line) => used.add(line));
      if (way !== undefined && (way.lines.length > 0 || isExpected(from, to))) {
        ways.push(way);
      }
    }
    const { name, addresses, podSubnets } = from;
    drawn.push({ name, addresses, podSubnets, others: othersOf(from, used) });
  }
  return { segments: segmentsOf(hosts), hosts: drawn, ways };
}

/** Whether the first network of two hosts is the same. */
export function onSameSegment(a: HostSeen, b: HostSeen): boolean {
  return segmentKey(a) === segmentKey(b);
}

/** Undefined when the other host has no pods to reach. */
function wayOf(from: HostSeen, to: HostSeen, hosts: readonly HostSeen[]): Way | undefined {
  const carriers = new Set<string>();
  const lines: string[] = [];
  const missing: string[] = [];
  const wrong: string[] = [];
  for (const subnet of to.podSubnets) {
    const routes = from.kernel.routes.filter(({ destination }) => destination === subnet);
    if (routes.length === 0) {
      missing.push(`no route to ${subnet}`);
    }
    for (const route of routes) {
      const found = resolveRoute(route, from, to, hosts);
      carriers.add(found.carrier);
      lines.push(...found.lines);
      missing.push(...found.missing);
      wrong.push(...found.wrong);
    }
  }
  return to.podSubnets.length === 0
    ? undefined
    : {
        from: from.name,
        to: to.name,
        carrier: [...carriers].join(" and "),
        state: wrong.length > 0 ? "wrong" : missing.length > 0 ? "missing" : "whole",
        lines,
        faults: [...wrong, ...missing],
      };
}

/** What an agent may have put, a person, or nobody any more; what the kernel itself put is left out. */
function othersOf({ kernel }: HostSeen, used: ReadonlySet<string>): string[] {
  const tunnels = new Set(kernel.vxlans.map(({ device }) => device));
  return [
    ...kernel.routes
      .filter(({ protocol, destination }) => protocol !== "kernel" && destination !== "default")
      .map(routeLine),
    ...kernel.neighbours.filter(({ device }) => tunnels.has(device)).map(entryLine.neighbour),
    ...kernel.fdb.filter(({ device }) => tunnels.has(device)).map(entryLine.fdb),
  ]
    .filter((line) => !used.has(line))
    .toSorted();
}

function segmentsOf(hosts: readonly HostSeen[]): GraphSegment[] {
  const segments = new Map<string, { networks: Set<string>; hosts: string[] }>();
  for (const host of hosts) {
    const key = segmentKey(host);
    const segment = segments.get(key) ?? { networks: new Set(), hosts: [] };
    segments.set(key, segment);
    host.addresses.forEach((address) => segment.networks.add(networkText(address)));
    segment.hosts.push(host.name);
  }
  return [...segments.values()].map((segment) => ({
    networks: [...segment.networks],
    hosts: segment.hosts,
  }));
}

function segmentKey({ addresses }: HostSeen): string {
  return networkText(addresses[0] ?? "");
}
