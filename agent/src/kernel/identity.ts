/** When two kernel objects are the same one, and when they say the same. */
import { cidrAddress } from "../core/ip.ts";
import type {
  Address,
  Blackhole,
  FdbEntry,
  KernelObject,
  Link,
  Neighbour,
  Nexthop,
  Route,
  Sysctl,
  VxlanAttributes,
} from "./kernel.ts";

/** What there can be only one of; putting a second one replaces the first. */
export type Identity =
  | Pick<Link, "kind" | "name">
  | Pick<Address, "kind" | "link" | "address">
  | Pick<Neighbour, "kind" | "link" | "address">
  | Pick<FdbEntry, "kind" | "link" | "mac">
  | Pick<Nexthop, "kind" | "id">
  | Pick<Route, "kind" | "destination">
  | Pick<Blackhole, "kind" | "destination">
  | Pick<Sysctl, "kind" | "path">;

/** The same as text, for whoever has few of them; `ByIdentity` does without. */
export function identityOf(object: Identity): string {
  switch (object.kind) {
    case "link":
      return `link ${object.name}`;
    case "address":
      return `address ${object.link} ${cidrAddress(object.address)}`;
    case "neighbour":
      return `neighbour ${object.link} ${object.address}`;
    case "fdb":
      return `fdb ${object.link} ${object.mac}`;
    case "nexthop":
      return `nexthop ${object.id}`;
    case "route":
      return `route ${object.destination}`;
    case "blackhole":
      return `blackhole ${object.destination}`;
    case "sysctl":
      return `sysctl ${object.path}`;
  }
}

/** Whether two objects of one identity have the same content, so that nothing is left to change. */
export function isSame(a: KernelObject, b: KernelObject): boolean {
  switch (a.kind) {
    case "link":
      return b.kind === "link" && isCompatible(a, b) && isSameInPlace(a, b);
    case "address":
      return b.kind === "address" && a.address === b.address;
    case "neighbour":
      return b.kind === "neighbour" && a.mac === b.mac;
    case "fdb":
      return b.kind === "fdb" && a.destination === b.destination;
    case "nexthop":
      return b.kind === "nexthop" && isSameWay(a, b);
    case "route":
      return b.kind === "route" && isSameWay(a, b) && a.nexthop === b.nexthop;
    case "blackhole":
      return b.kind === "blackhole";
    case "sysctl":
      return b.kind === "sysctl" && a.value === b.value;
  }
}

/** Whether both lead over the same gateway and device, and bear the same mark. */
export function isSameWay(a: Nexthop | Route, b: Nexthop | Route): boolean {
  return (
    a.gateway === b.gateway &&
    a.link === b.link &&
    a.onlink === b.onlink &&
    a.protocol === b.protocol
  );
}

/** Whether the one can be made into the other while it goes on carrying packets. Source: spec 05 section 2.2. */
export function isCompatible(a: Link, b: Link): boolean {
  return a.name === b.name && a.type === b.type && isCompatibleVxlan(a.vxlan, b.vxlan);
}

/** Whether the kernel holds only one of the two. Source: linux drivers/net/vxlan vxlan_vni_in_use. */
export function isExclusive(a: Link, b: Link): boolean {
  if (a.name === b.name) return true;
  if (a.vxlan === undefined || b.vxlan === undefined) return false;
  return (
    a.vxlan.vni === b.vxlan.vni &&
    a.vxlan.port === b.vxlan.port &&
    a.vxlan.gbp === b.vxlan.gbp &&
    a.vxlan.local.includes(":") === b.vxlan.local.includes(":")
  );
}

/** The link that a sysctl of a device belongs to: `net/FAMILY/conf/LINK/NAME`. */
export function linkOfSysctl(sysctl: Sysctl): string | undefined {
  return /^net\/ipv[46]\/(?:conf|neigh)\/([^/]+)\//.exec(sysctl.path)?.[1];
}

function isCompatibleVxlan(
  a: VxlanAttributes | undefined,
  b: VxlanAttributes | undefined,
): boolean {
  if (a === undefined || b === undefined) return a === b;
  return (
    a.vni === b.vni &&
    a.port === b.port &&
    a.local === b.local &&
    a.lowerLink === b.lowerLink &&
    a.gbp === b.gbp
  );
}

function isSameInPlace(a: Link, b: Link): boolean {
  return (
    a.mac === b.mac && a.mtu === b.mtu && a.up === b.up && a.vxlan?.learning === b.vxlan?.learning
  );
}
