/** Kernel objects in the words of ip(8) and bridge(8), and what the kernel says when it refuses one. */
import { AgentError, CAPABILITY_REMEDY } from "../core/errors.ts";
import { familyOf } from "../core/ip.ts";
import {
  BLACKHOLE_METRIC,
  ROUTE_PROTOCOL_ADVERTISEMENT,
  ROUTE_PROTOCOL_BOOT,
  ROUTE_PROTOCOL_KERNEL,
  ROUTE_PROTOCOL_REDIRECT,
  ROUTE_PROTOCOL_TWILL,
} from "./kernel.ts";
import type { Change, KernelObject, Link, Nexthop, Route } from "./kernel.ts";

/** One line. Equal objects print equal, different ones differently. */
export function printObject(object: KernelObject): string {
  switch (object.kind) {
    case "link":
      return printLink(object);
    case "address":
      return `address ${object.address} dev ${object.link}`;
    case "neighbour":
      return `neigh ${object.address} dev ${object.link} lladdr ${object.mac} PERMANENT`;
    case "fdb":
      return `fdb ${object.mac} dev ${object.link} dst ${object.destination} self permanent`;
    case "nexthop":
      return printNexthop(object);
    case "route":
      return printRoute(object);
    case "blackhole":
      return `blackhole ${object.destination} proto ${ROUTE_PROTOCOL_TWILL} metric ${BLACKHOLE_METRIC}`;
    case "sysctl":
      return `sysctl ${object.path} = ${object.value}`;
  }
}

function printLink(link: Link): string {
  const words = ["link", link.name];
  if (link.type !== "") words.push("type", link.type);
  const { vxlan } = link;
  if (vxlan !== undefined) {
    words.push(`id ${vxlan.vni} local ${vxlan.local} dev ${vxlan.lowerLink}`);
    words.push(`dstport ${vxlan.port}`, vxlan.learning ? "learning" : "nolearning");
    if (vxlan.gbp) words.push("gbp");
  }
  words.push("address", link.mac, "mtu", String(link.mtu));
  if (!link.up) words.push("down");
  return words.join(" ");
}

/** Of a group, a blackhole and their like only what the port knows. */
function printNexthop(nexthop: Nexthop): string {
  const words = ["nexthop", "id", String(nexthop.id)];
  if (nexthop.gateway !== undefined) words.push("via", nexthop.gateway);
  if (nexthop.link !== "") words.push("dev", nexthop.link);
  if (nexthop.onlink) words.push("onlink");
  if (nexthop.protocol !== 0) words.push("proto", protocolName(nexthop.protocol));
  return words.join(" ");
}

function printRoute(route: Route): string {
  const { destination, gateway } = route;
  const words = ["route", destination];
  if (route.nexthop !== undefined) words.push("nhid", String(route.nexthop));
  if (gateway !== undefined) {
    words.push("via");
    // Only by way of a nexthop object that another program made.
    if (familyOf(gateway) !== familyOf(destination))
      words.push(familyOf(gateway) === 6 ? "inet6" : "inet");
    words.push(gateway);
  }
  words.push("dev", route.link);
  if (route.onlink) words.push("onlink");
  // As `ip route` does, which leaves "boot" out.
  if (route.protocol !== ROUTE_PROTOCOL_BOOT) words.push("proto", protocolName(route.protocol));
  return words.join(" ");
}

function protocolName(protocol: number): string {
  switch (protocol) {
    case ROUTE_PROTOCOL_REDIRECT:
      return "redirect";
    case ROUTE_PROTOCOL_KERNEL:
      return "kernel";
    case ROUTE_PROTOCOL_BOOT:
      return "boot";
    case ROUTE_PROTOCOL_ADVERTISEMENT:
      return "ra";
    default:
      return String(protocol);
  }
}

/** What a kernel answered to a change it did not make. */
export interface Refusal {
  /** Name of the errno: `ENETUNREACH`. */
  readonly code: string;
  /** The kernel's own sentence, where it gave one. Source: linux/netlink.h NLMSGERR_ATTR_MSG. */
  readonly detail?: string | undefined;
  readonly cause?: unknown;
}

/** The one place where a refused change becomes an error: `cannot put OBJECT: ERRNO (kernel's words); remedy`. */
export function refusedChange(change: Change, refusal: Refusal): AgentError {
  const said =
    refusal.detail === undefined ? refusal.code : `${refusal.code} (${trimStop(refusal.detail)})`;
  const remedy = remedyFor(change, refusal);
  return new AgentError(
    "kernel-refused",
    `cannot ${change.action} ${printObject(change.object)}: ${said}${remedy === undefined ? "" : `; ${remedy}`}`,
    { retryable: refusal.code !== "EPERM", cause: refusal.cause },
  );
}

/** A device is never turned into another one behind the back of what it carries. */
export const INCOMPATIBLE_LINK: Refusal = {
  code: "EEXIST",
  detail: "a device with this name and other attributes is there",
};

/** The port knows no other form. */
export const NEXTHOP_WITHOUT_GATEWAY: Refusal = {
  code: "EINVAL",
  detail: "a nexthop needs a gateway",
};

function remedyFor({ action, object }: Change, { code, detail }: Refusal): string | undefined {
  if (code === "EPERM") return CAPABILITY_REMEDY;
  if (object.kind !== "link" || action !== "put") return undefined;
  if (code === "EOPNOTSUPP")
    return `the kernel has no ${object.type} devices: run modprobe ${object.type}, or use a kernel with that module`;
  if (object.vxlan === undefined) return undefined;
  if (code === "EEXIST" && detail !== INCOMPATIBLE_LINK.detail)
    return `another vxlan device has VNI ${object.vxlan.vni} and port ${object.vxlan.port}: delete it, or set VNI or Port in the network config`;
  if (code === "EADDRINUSE")
    return `another program or tunnel uses UDP port ${object.vxlan.port}: stop it, or set Port in the network config`;
  return undefined;
}

function trimStop(text: string): string {
  return text.endsWith(".") ? text.slice(0, -1) : text;
}
