import type { FdbEntryState, Link, NeighbourEntry, RouteEvent, RouteState } from "linux";
import type { HostKernel, KernelRoute } from "../../observe/kernel-state.ts";
import type { KernelChange, KernelObject } from "../sightings.ts";

/** The kernel's objects in the words of the sightings: devices by name, since numbers mean nothing in a report. */

/** What a dump of one namespace found. */
export interface NamespaceDump {
  readonly links: readonly Link[];
  readonly routes: readonly RouteState[];
  readonly neighbours: readonly NeighbourEntry[];
  readonly fdb: readonly FdbEntryState[];
}

export type DeviceNames = ReadonlyMap<number, string>;

/** Source: linux/rtnetlink.h RT_TABLE_MAIN. */
const MAIN_TABLE = 254;
/** As ip-route(8) prints them. Source: linux/rtnetlink.h RTPROT_KERNEL …, iproute2 rt_protos. */
const PROTOCOLS: Readonly<Record<number, string>> = {
  2: "kernel",
  3: "boot",
  4: "static",
  9: "ra",
  16: "dhcp",
};

export function namesOf(links: readonly Link[]): Map<number, string> {
  return new Map(links.map(({ index, name }) => [index, name]));
}

/** A device that is made while its host is dumped is in the next dump; a host where one follows the other is taken as it is. */
const NAMING_TRIES = 5;

/**
 * Tables are read one after the other: what is on a device that was made in between would be on one without a name, and be taken
 * for somebody else's. Then all of it is read anew.
 */
export async function dumpWithNames(read: () => Promise<NamespaceDump>): Promise<NamespaceDump> {
  for (let attempt = 1; ; attempt += 1) {
    const dump = await read();
    const names = namesOf(dump.links);
    const entries = [...dump.routes, ...dump.neighbours, ...dump.fdb];
    const isNamed = entries.every(
      ({ linkIndex }) => linkIndex === undefined || names.has(linkIndex),
    );
    if (isNamed || attempt === NAMING_TRIES) {
      return dump;
    }
  }
}

/** As `readHostKernel` reads it from `ip` and `bridge`. */
export function toHostKernel({ links, routes, neighbours, fdb }: NamespaceDump): HostKernel {
  const names = namesOf(links);
  return {
    routes: routes.filter(isMain).map((route) => toKernelRoute(route, names)),
    neighbours: neighbours
      .filter(({ state, proxy }) => state === "permanent" && !proxy)
      .map(({ address, linkIndex, mac }) => ({
        family: address.includes(":") ? "ipv6" : "ipv4",
        address,
        device: nameOf(linkIndex, names),
        mac: mac ?? "",
      })),
    fdb: fdb.flatMap(({ linkIndex, mac, destination }) =>
      destination === undefined ? [] : [{ device: nameOf(linkIndex, names), mac, destination }],
    ),
    vxlans: links
      .filter(({ kind }) => kind === "vxlan")
      .map(({ name, mac }) => ({ device: name, mac: mac ?? "" })),
  };
}

/** Everything that a dump found, as objects. */
export function toObjects({
  links,
  routes,
  neighbours,
  fdb,
}: NamespaceDump): readonly KernelObject[] {
  const names = namesOf(links);
  return [
    ...links.map((link): KernelObject => ({ object: "link", device: link.name, up: link.up })),
    ...fdb.flatMap((entry) => fdbObject(entry, names)),
    ...neighbours.flatMap((entry) => neighbourObject(entry, names)),
    ...routes.flatMap((route) => routeObject(route, names)),
  ];
}

/** An event as changes; keeps the names up to date. Neighbours that the kernel resolves by itself are no changes. */
export function toChanges(event: RouteEvent, names: Map<number, string>): readonly KernelChange[] {
  if (event.kind === "overrun") {
    return [];
  }
  const { kind } = event;
  switch (event.object) {
    case "link": {
      const { index, name, up } = event.link;
      // The name is kept after the link is gone: entries on it are told after it.
      names.set(index, name);
      return [{ kind, object: { object: "link", device: name, up } }];
    }
    case "address":
      return [
        {
          kind,
          object: {
            object: "address",
            device: nameOf(event.address.linkIndex, names),
            address: event.address.address,
          },
        },
      ];
    case "route": {
      const { replaces } = event;
      const how = replaces === undefined ? { kind } : { kind, replaces };
      return routeObject(event.route, names).map((object) => ({ ...how, object }));
    }
    case "neighbour":
      return neighbourObject(event.neighbour, names, kind).map((object) => ({ kind, object }));
    case "fdb":
      return fdbObject(event.fdbEntry, names).map((object) => ({ kind, object }));
    case "nexthop":
      return [];
  }
}

/** In the words of ip(8) and bridge(8). */
export function formatObject(object: KernelObject): string {
  switch (object.object) {
    case "route":
      return `route ${object.destination}${object.gateway === undefined ? "" : ` via ${object.gateway}`} dev ${object.device} proto ${PROTOCOLS[object.protocol] ?? object.protocol}`;
    case "neighbour":
      return `neighbour ${object.address} dev ${object.device} lladdr ${object.mac}`;
    case "fdb":
      return `fdb ${object.mac} dev ${object.device} dst ${object.destination}`;
    case "link":
      return `link ${object.device} ${object.up ? "up" : "down"}`;
    case "address":
      return `address ${object.address} dev ${object.device}`;
  }
}

function isMain({ table, type }: RouteState): boolean {
  return table === MAIN_TABLE && type === "unicast";
}

function toKernelRoute(route: RouteState, names: DeviceNames): KernelRoute {
  const { destination, gateway, linkIndex, onlink, protocol } = route;
  return {
    family: familyOf(destination),
    destination: printedPrefix(destination),
    gateway,
    device: nameOf(linkIndex, names),
    onlink,
    protocol: PROTOCOLS[protocol] ?? String(protocol),
  };
}

/** As `ip route` prints it: `default`, and an address without its whole length. */
function printedPrefix(destination: string): string {
  return destination === "0.0.0.0/0" || destination === "::/0"
    ? "default"
    : destination.replace(destination.includes(":") ? /\/128$/ : /\/32$/, "");
}

function familyOf(text: string): "ipv4" | "ipv6" {
  return text.includes(":") ? "ipv6" : "ipv4";
}

function nameOf(index: number | undefined, names: DeviceNames): string {
  return index === undefined ? "none" : (names.get(index) ?? `link${index}`);
}

function routeObject(route: RouteState, names: DeviceNames): readonly KernelObject[] {
  if (!isMain(route)) {
    return [];
  }
  const { destination, gateway, linkIndex, protocol } = route;
  return [
    {
      object: "route",
      family: familyOf(destination),
      destination: printedPrefix(destination),
      ...(gateway === undefined ? {} : { gateway }),
      device: nameOf(linkIndex, names),
      protocol,
    },
  ];
}

/** A removal says the state the entry fell to, not the one it had: it counts whatever it says. */
function neighbourObject(
  { address, linkIndex, mac, state, proxy }: NeighbourEntry,
  names: DeviceNames,
  kind: "put" | "remove" = "put",
): readonly KernelObject[] {
  return proxy || (kind === "put" && state !== "permanent")
    ? []
    : [{ object: "neighbour", address, device: nameOf(linkIndex, names), mac: mac ?? "" }];
}

function fdbObject(
  { mac, linkIndex, destination }: FdbEntryState,
  names: DeviceNames,
): readonly KernelObject[] {
  return destination === undefined
    ? []
    : [{ object: "fdb", mac, device: nameOf(linkIndex, names), destination }];
}
