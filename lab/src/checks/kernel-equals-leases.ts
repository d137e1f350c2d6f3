import { type IpFamily, formatAddress, networkOf, parseCidr } from "../addresses.ts";
import type { HostKernel, KernelRoute } from "../observe/kernel-state.ts";
import type { LeaseDetails } from "../observe/lease-details.ts";
import { type Finding, failIfAny, unknown } from "./verdict.ts";

export interface NetworkFactsOfRun {
  readonly backend: string;
  readonly directRouting: boolean;
  /** Prefix length of every underlay segment, per family. */
  readonly segmentLengths: Readonly<Record<IpFamily, number>>;
  readonly families: readonly IpFamily[];
  /** What subnets are leased from, before and after a renumbering: a route to anywhere else, not on a tunnel device, is somebody else's. */
  readonly networks: Readonly<Record<IpFamily, readonly string[]>>;
}

export interface HostView {
  readonly host: string;
  readonly publicIps: Readonly<Partial<Record<IpFamily, string>>>;
  readonly kernel: HostKernel;
}

/**
 * Both directions of invariant D1, per host and family: every live lease of another node has exactly its entries, and no
 * entry belongs to no live lease; the own device has the MAC that the own lease names. What the entries look like is flannel's visible state (vxlan: onlink route, permanent
 * neighbour, FDB entry; host-gw and direct routing: a plain route).
 */
export function kernelEqualsLeases(
  facts: NetworkFactsOfRun,
  leases: readonly LeaseDetails[],
  hosts: readonly HostView[],
): Finding {
  if (hosts.length < 2 || leases.length < 2) {
    return unknown(`only ${hosts.length} hosts and ${leases.length} leases to compare`);
  }
  let compared = 0;
  const violations: string[] = [];
  for (const view of hosts) {
    for (const family of facts.families) {
      const wanted = wantedLines(facts, view, leases, family);
      const found = foundLines(facts, view, family);
      compared += wanted.length;
      violations.push(
        ...wanted
          .filter((line) => !found.includes(line))
          .map((line) => `${view.host}: missing ${line}`),
        ...found
          .filter((line) => !wanted.includes(line))
          .map((line) => `${view.host}: stale ${line}`),
      );
    }
  }
  return failIfAny(
    violations,
    `${compared} kernel entries on ${hosts.length} hosts are those of ${leases.length} leases`,
  );
}

const DEVICES: Readonly<Record<IpFamily, string>> = { ipv4: "flannel.1", ipv6: "flannel-v6.1" };

function wantedLines(
  facts: NetworkFactsOfRun,
  view: HostView,
  leases: readonly LeaseDetails[],
  family: IpFamily,
): string[] {
  const own = view.publicIps[family];
  return leases.flatMap((lease) => {
    const subnet = lease.subnets[family];
    const publicIp = lease.publicIps[family];
    if (subnet === undefined || publicIp === undefined || own === undefined) {
      return [];
    }
    if (publicIp === own) {
      // Peers send to the MAC that the lease names: a device with another one throws their frames away.
      const ownMac = lease.vtepMacs[family];
      return ownMac === undefined || facts.backend !== "vxlan"
        ? []
        : [`device ${DEVICES[family]} address ${ownMac}`];
    }
    const onLink =
      sameSegment(own, publicIp, facts.segmentLengths[family]) &&
      !isDetoured(view.kernel.routes, publicIp);
    if (facts.backend === "host-gw" || (facts.directRouting && onLink)) {
      // A gateway behind a router cannot be a host-gw route's: the kernel refuses it, so nothing is wanted.
      return onLink ? [`route ${subnet} via ${publicIp} dev eth0`] : [];
    }
    const vtep = subnet.slice(0, subnet.indexOf("/"));
    const device = DEVICES[family];
    const mac = lease.vtepMacs[family] ?? "(no VtepMAC in the lease)";
    return [
      `route ${subnet} via ${vtep} dev ${device} onlink`,
      `neighbour ${vtep} dev ${device} lladdr ${mac}`,
      `fdb ${mac} dev ${device} dst ${publicIp}`,
    ];
  });
}

/** Entries of the own subnet are not excused: none may stand there (D9). */
function foundLines(facts: NetworkFactsOfRun, view: HostView, family: IpFamily): string[] {
  const device = DEVICES[family];
  const mine = (route: KernelRoute): boolean =>
    route.family === family &&
    route.protocol !== "kernel" &&
    (route.device === device ||
      (route.device === "eth0" &&
        route.gateway !== undefined &&
        facts.networks[family].some((network) => isInside(route.destination, network))));
  return [
    ...view.kernel.routes
      .filter((route) => mine(route) && route.destination !== "default")
      .map(
        ({ destination, gateway, device: routeDevice, onlink }) =>
          `route ${destination} via ${gateway ?? "nobody"} dev ${routeDevice}${onlink ? " onlink" : ""}`,
      ),
    ...view.kernel.neighbours
      .filter((entry) => entry.device === device && entry.family === family)
      .map((entry) => `neighbour ${entry.address} dev ${device} lladdr ${entry.mac}`),
    ...view.kernel.fdb
      .filter((entry) => entry.device === device)
      .map((entry) => `fdb ${entry.mac} dev ${device} dst ${entry.destination}`),
    ...view.kernel.vxlans
      .filter((link) => link.device === device)
      .map((link) => `device ${device} address ${link.mac}`),
  ];
}

/** Whether a route of its own leads to an address through a gateway: then it is not on the link, wherever it is. */
function isDetoured(routes: readonly KernelRoute[], address: string): boolean {
  return routes.some(
    ({ destination, gateway }) => destination === address && gateway !== undefined,
  );
}

function isInside(destination: string, network: string): boolean {
  const [inner, outer] = [parseCidr(destination), parseCidr(network)];
  return (
    inner !== undefined &&
    outer !== undefined &&
    networkOf({ ...inner, prefixLength: outer.prefixLength }).address.value === outer.address.value
  );
}

function sameSegment(a: string, b: string, length: number): boolean {
  const networks = [a, b].map((text) => {
    const cidr = parseCidr(`${text}/${length}`);
    return cidr === undefined ? text : formatAddress(networkOf(cidr).address);
  });
  return networks[0] === networks[1];
}
