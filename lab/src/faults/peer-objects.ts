import { LabError } from "../errors.ts";
import type { LabHost } from "../hosts/host.ts";
import type { HostKernel } from "../observe/kernel-state.ts";
import type { LeaseDetails } from "../observe/lease-details.ts";
import type { RouteEvent } from "linux";
import { run } from "../system/processes.ts";
import type { FaultDefinition, FaultSite, ParameterTable, Sighting } from "./fault.ts";
import { allSeen, bridgeBatch, dumped, ipBatch, kernelOf } from "./host-kernel.ts";

/** One kernel object through which a host reaches a peer, as commands and as what the kernel tells of it. */
export interface PeerObject {
  /** As `ip` and `bridge` would print it; two of one text are the same. */
  readonly text: string;
  readonly tool: "ip" | "bridge";
  readonly remove: string;
  readonly put: string;
  /** Removes whatever stands in its place, where `put` could not. Fails when there is nothing. */
  readonly displaced?: readonly string[];
  /** Puts something else in its place, as another program of the host might. */
  readonly alter: string;
  readonly isRemoval: (event: RouteEvent) => boolean;
  readonly isAlteration: (event: RouteEvent) => boolean;
}

/** What a fault on the objects of peers hits, and the leases they came from. */
export interface PeerTarget {
  readonly objects: readonly PeerObject[];
  readonly keys: readonly string[];
}

export type PeerObjectKind = "route" | "neighbour" | "fdb";

const TIME_LIMIT_MS = 2000;
/** Locally administered; no host of a lab has it. */
const FOREIGN_MAC = "02:00:00:00:0b:ad";

export const PEER: ParameterTable = {
  peer: { help: "the host that the objects lead to", value: { kind: "host" } },
};

/** Removes the objects of a kind that lead to one peer. */
export function removal(
  kind: PeerObjectKind,
): Pick<FaultDefinition<PeerTarget>, "inject" | "verify"> & Healing {
  return {
    inject: (site, target) => apply(site.host(), target.objects, "remove"),
    verify: async (site, { objects }) =>
      allSeen(
        site,
        objects.map(({ text, isRemoval }) => ({
          what: `the removal of ${kind} ${text}`,
          is: isRemoval,
        })),
      ),
    ...HEALING,
  };
}

/** Overwrites the objects of a kind that lead to one peer. */
export function alteration(
  kind: PeerObjectKind,
): Pick<FaultDefinition<PeerTarget>, "inject" | "verify"> & Healing {
  return {
    inject: (site, target) => apply(site.host(), target.objects, "alter"),
    verify: async (site, { objects }) =>
      allSeen(
        site,
        objects.map(({ text, isAlteration }) => ({
          what: `another object in place of ${kind} ${text}`,
          is: isAlteration,
        })),
      ),
    ...HEALING,
  };
}

/** What leads from the struck host to one peer. @throws LabError "wrong-state" when there is nothing of that kind */
export async function aimAtPeer(
  site: FaultSite,
  kind: PeerObjectKind,
  peer: string,
): Promise<PeerTarget> {
  return aimAtPeers(site, kind, [site.hostNamed(peer)]);
}

/** @throws LabError "wrong-state" when there is nothing of that kind */
export async function aimAtPeers(
  site: FaultSite,
  kind: PeerObjectKind,
  peers: readonly LabHost[],
): Promise<PeerTarget> {
  const publicIps = peers.flatMap(({ plan }) => plan.addresses.map(({ address }) => address));
  const leases = (await site.leases()).filter((lease) =>
    Object.values(lease.publicIps).some((address) => publicIps.includes(address)),
  );
  const objects = objectsOf(site.host(), await kernelOf(site.host()), leases, kind);
  if (objects.length === 0) {
    const names = peers.map(({ name }) => name).join(", ");
    throw new LabError("wrong-state", `${site.host().name} has no ${kind} that leads to ${names}`);
  }
  return { objects, keys: leases.map(({ key }) => key) };
}

type Healing = Pick<FaultDefinition<PeerTarget>, "timeLimitMs" | "heal" | "verifyHealed">;

const HEALING: Healing = {
  timeLimitMs: TIME_LIMIT_MS,
  heal: async (site, target) => {
    const objects = await missing(site, target);
    // What stands in a route's place goes first: an IPv6 gateway inside the route's own prefix is looked up through it.
    for (const { displaced } of objects) {
      if (displaced !== undefined) {
        await run(site.host().anchor.enter(["ip", ...displaced]));
      }
    }
    await apply(site.host(), objects, "put");
  },
  verifyHealed: async (site, target): Promise<Sighting | undefined> =>
    (await missing(site, target)).length === 0
      ? dumped(site.host(), "every object, or its lease is gone")
      : undefined,
};

/** What is not there although its lease lives: where the peer left, nothing is to be put back. */
async function missing(site: FaultSite, target: PeerTarget): Promise<readonly PeerObject[]> {
  const leases = (await site.leases()).filter(({ key }) => target.keys.includes(key));
  const host = site.host();
  const kernel = await kernelOf(host);
  const kinds: readonly PeerObjectKind[] = ["route", "neighbour", "fdb"];
  const there = new Set(
    kinds.flatMap((kind) => objectsOf(host, kernel, leases, kind)).map(({ text }) => text),
  );
  return leases.length < target.keys.length
    ? []
    : target.objects.filter(({ text }) => !there.has(text));
}

async function apply(
  host: LabHost,
  objects: readonly PeerObject[],
  verb: "remove" | "put" | "alter",
): Promise<void> {
  const lines = (tool: PeerObject["tool"]): string[] =>
    objects.filter((object) => object.tool === tool).map((object) => object[verb]);
  if (lines("bridge").length > 0) {
    await bridgeBatch(host, lines("bridge"));
  }
  if (lines("ip").length > 0) {
    await ipBatch(host, lines("ip"));
  }
}

function objectsOf(
  host: LabHost,
  kernel: HostKernel,
  leases: readonly LeaseDetails[],
  kind: PeerObjectKind,
): PeerObject[] {
  const subnets = leases.flatMap((lease) => Object.values(lease.subnets));
  const vteps = new Set(subnets.map((subnet) => subnet.slice(0, subnet.indexOf("/"))));
  const macs = new Set(leases.flatMap((lease) => Object.values(lease.vtepMacs)));
  const routers = Object.fromEntries(
    host.plan.addresses.map(({ family, router }) => [family, router]),
  );
  switch (kind) {
    case "route":
      return kernel.routes
        .filter(
          ({ destination, gateway }) => subnets.includes(destination) && gateway !== undefined,
        )
        .map((route) => routeObject(route, routers[route.family] ?? ""));
    case "neighbour":
      return kernel.neighbours.filter(({ address }) => vteps.has(address)).map(neighbourObject);
    case "fdb":
      return kernel.fdb
        .filter(({ mac }) => macs.has(mac))
        .map((entry) =>
          fdbObject(entry, routers[entry.destination.includes(":") ? "ipv6" : "ipv4"] ?? ""),
        );
  }
}

/** Source: linux/rtnetlink.h RT_TABLE_MAIN. */
const MAIN_TABLE = 254;

function routeObject(
  { destination, gateway, device, onlink, protocol }: HostKernel["routes"][number],
  router: string,
): PeerObject {
  const way = `via ${gateway} dev ${device}`;
  const isRoute = (event: RouteEvent): boolean =>
    event.kind !== "overrun" &&
    event.object === "route" &&
    event.route.destination === destination &&
    event.route.table === MAIN_TABLE;
  return {
    text: `${destination} ${way}${onlink ? " onlink" : ""}`,
    tool: "ip",
    remove: `route delete ${destination} ${way}`,
    put: `route replace ${destination} ${way} proto ${protocol}${onlink ? " onlink" : ""}`,
    displaced: ["route", "delete", destination],
    alter: `route replace ${destination} via ${router} dev eth0 proto static`,
    isRemoval: (event) => event.kind === "remove" && isRoute(event),
    isAlteration: (event) =>
      event.kind === "put" &&
      isRoute(event) &&
      event.object === "route" &&
      event.route.gateway === router,
  };
}

function neighbourObject({ address, device, mac }: HostKernel["neighbours"][number]): PeerObject {
  const isNeighbour = (event: RouteEvent): boolean =>
    event.kind !== "overrun" && event.object === "neighbour" && event.neighbour.address === address;
  return {
    text: `${address} lladdr ${mac} dev ${device}`,
    tool: "ip",
    remove: `neighbour delete ${address} dev ${device}`,
    put: `neighbour replace ${address} lladdr ${mac} dev ${device} nud permanent`,
    alter: `neighbour replace ${address} lladdr ${FOREIGN_MAC} dev ${device} nud permanent`,
    isRemoval: (event) => event.kind === "remove" && isNeighbour(event),
    isAlteration: (event) =>
      event.kind === "put" &&
      isNeighbour(event) &&
      event.object === "neighbour" &&
      event.neighbour.mac === FOREIGN_MAC,
  };
}

function fdbObject(
  { mac, device, destination }: HostKernel["fdb"][number],
  router: string,
): PeerObject {
  const isEntry = (event: RouteEvent, address: string): boolean =>
    event.kind !== "overrun" &&
    event.object === "fdb" &&
    event.fdbEntry.mac === mac &&
    event.fdbEntry.destination === address;
  return {
    text: `${mac} dst ${destination} dev ${device}`,
    tool: "bridge",
    remove: `fdb delete ${mac} dev ${device} dst ${destination} self`,
    put: `fdb replace ${mac} dev ${device} dst ${destination} self permanent`,
    alter: `fdb replace ${mac} dev ${device} dst ${router} self permanent`,
    isRemoval: (event) => event.kind === "remove" && isEntry(event, destination),
    isAlteration: (event) => event.kind === "put" && isEntry(event, router),
  };
}
