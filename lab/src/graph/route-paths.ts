import type { HostSeen } from "../observe/host-seen.ts";
import type { KernelFdbEntry, KernelNeighbour, KernelRoute } from "../observe/kernel-state.ts";

/** Where a route leads, and what keeps it from leading to the host that it should. */
export interface RoutePath {
  readonly carrier: string;
  /** The entries that packets follow. */
  readonly lines: readonly string[];
  readonly missing: readonly string[];
  readonly wrong: readonly string[];
}

/**
 * Follows a route as the kernel does: a plain one to its gateway; one over a vxlan device from its gateway by the neighbour
 * entry to a MAC, and by the FDB entry to a public address. Source: RFC 7348, flannel pkg/backend/vxlan/vxlan.go.
 */
export function resolveRoute(
  route: KernelRoute,
  from: HostSeen,
  to: HostSeen,
  hosts: readonly HostSeen[],
): RoutePath {
  const lines = [routeLine(route)];
  const { device, gateway, destination } = route;
  if (from.kernel.vxlans.some((vxlan) => vxlan.device === device)) {
    return resolveTunnel(route, from, to, hosts);
  }
  if (gateway === undefined) {
    // A TUN or WireGuard device: what is behind it is not in the main tables.
    return { carrier: device, lines, missing: [], wrong: [] };
  }
  const wrong = hasAddress(to, gateway)
    ? []
    : [`route to ${destination} leads to ${gateway}, ${ownerOf(gateway, hosts)}`];
  return { carrier: "route", lines, missing: [], wrong };
}

function resolveTunnel(
  route: KernelRoute,
  from: HostSeen,
  to: HostSeen,
  hosts: readonly HostSeen[],
): RoutePath {
  const { device, gateway = "" } = route;
  const neighbours = from.kernel.neighbours.filter(
    (entry) => entry.device === device && entry.address === gateway,
  );
  const macs = neighbours.map(({ mac }) => mac);
  const entries = from.kernel.fdb.filter(
    (entry) => entry.device === device && macs.includes(entry.mac),
  );
  const tunnelEnds = to.kernel.vxlans.filter((vxlan) => vxlan.device === device);
  const missing = [
    ...(neighbours.length === 0 ? [`no neighbour ${gateway} on ${device}`] : []),
    ...macs
      .filter((mac) => !entries.some((entry) => entry.mac === mac))
      .map((mac) => `no fdb entry for ${mac} on ${device}`),
    ...(tunnelEnds.length === 0 ? [`${to.name} has no ${device}`] : []),
  ];
  const wrong = [
    ...macs
      .filter((mac) => tunnelEnds.length > 0 && !tunnelEnds.some((end) => end.mac === mac))
      .map(
        (mac) =>
          `neighbour ${gateway} is ${mac}, but ${to.name}'s ${device} is ${tunnelEnds[0]?.mac}`,
      ),
    ...entries
      .filter(({ destination }) => !hasAddress(to, destination))
      .map(
        ({ mac, destination }) =>
          `fdb entry ${mac} leads to ${destination}, ${ownerOf(destination, hosts)}`,
      ),
  ];
  const lines = [
    routeLine(route),
    ...neighbours.map(entryLine.neighbour),
    ...entries.map(entryLine.fdb),
  ];
  return { carrier: "vxlan", lines, missing, wrong };
}

/** As ip-route(8) prints it. */
export function routeLine({ destination, gateway, device, onlink }: KernelRoute): string {
  const via = gateway === undefined ? "" : ` via ${gateway}`;
  return `route ${destination}${via} dev ${device}${onlink ? " onlink" : ""}`;
}

/** As ip-neighbour(8) and bridge(8) print them. */
export const entryLine = {
  neighbour: ({ address, device, mac }: KernelNeighbour): string =>
    `neighbour ${address} dev ${device} lladdr ${mac}`,
  fdb: ({ mac, device, destination }: KernelFdbEntry): string =>
    `fdb ${mac} dev ${device} dst ${destination}`,
};

function hasAddress(host: HostSeen, address: string): boolean {
  return host.addresses.some((own) => own.split("/", 1)[0] === address);
}

function ownerOf(address: string, hosts: readonly HostSeen[]): string {
  const owner = hosts.find((host) => hasAddress(host, address));
  return owner === undefined ? "nobody's address" : `which is ${owner.name}`;
}
