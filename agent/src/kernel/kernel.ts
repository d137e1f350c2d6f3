/**
 * The kernel's network state as values: what is dumped, what is wished for and what is changed have one shape, so that a
 * difference is plain data. All verbs act in the network namespace the adapter was opened in.
 */
import type { Cidr, Family, Ip, PerFamily } from "../core/ip.ts";
import type { Mac } from "../core/mac.ts";

/** vxlan data that decides compatibility. Source: linux/if_link.h IFLA_VXLAN_*, spec 05 section 2.2. */
export interface VxlanAttributes {
  readonly vni: number;
  /** UDP destination port. */
  readonly port: number;
  /** Tunnel source address. */
  readonly local: Ip;
  /** Name of the device that carries the outer packets. */
  readonly lowerLink: string;
  readonly learning: boolean;
  /** Group-based policy extension. */
  readonly gbp: boolean;
}

export interface Link {
  readonly kind: "link";
  readonly name: string;
  /** `vxlan`, `bridge`, `veth`, … as `ip -d link` names it; empty for a device without one (a physical card). */
  readonly type: string;
  readonly mac: Mac;
  readonly mtu: number;
  readonly up: boolean;
  /** Exactly when `type` is `vxlan`. */
  readonly vxlan?: VxlanAttributes;
}

/** Equivalent to `ip address replace ADDRESS dev LINK scope global`. */
export interface Address {
  readonly kind: "address";
  readonly link: string;
  /** The address with the length of its prefix; host bits may be set. */
  readonly address: Cidr;
}

/** Equivalent to `ip neighbour replace ADDRESS lladdr MAC dev LINK nud permanent`. */
export interface Neighbour {
  readonly kind: "neighbour";
  readonly link: string;
  readonly address: Ip;
  readonly mac: Mac;
}

/** Equivalent to `bridge fdb replace MAC dev LINK dst DESTINATION self permanent`. */
export interface FdbEntry {
  readonly kind: "fdb";
  readonly link: string;
  readonly mac: Mac;
  readonly destination: Ip;
}

/**
 * The way of one or many routes as an object of its own. Equivalent to `ip nexthop replace id ID via GATEWAY dev LINK [onlink] proto PROTOCOL`.
 * The kernel drops it, and the routes over it, when its link goes, is set down or loses its carrier. Source: net/ipv4/nexthop.c.
 */
export interface Nexthop {
  readonly kind: "nexthop";
  /** From 1 to 4,294,967,295; one number space for everybody in the namespace. */
  readonly id: number;
  /** Empty for one without a device, which others make: a group, a blackhole. */
  readonly link: string;
  /** Always there in a wish; absent in a dump for one without, which others make and of which only the id matters. */
  readonly gateway?: Ip;
  readonly onlink: boolean;
  /** linux/rtnetlink.h RTPROT_*. */
  readonly protocol: number;
}

/**
 * A unicast route of table main with the metric of a route put without one: 0, in IPv6 1024.
 * Equivalent to `ip route replace DESTINATION via GATEWAY dev LINK [onlink] proto PROTOCOL`; without a gateway, scope link;
 * with a nexthop, `ip route replace DESTINATION nhid ID proto PROTOCOL`.
 */
export interface Route {
  readonly kind: "route";
  readonly destination: Cidr;
  readonly gateway?: Ip;
  readonly link: string;
  readonly onlink: boolean;
  /** linux/rtnetlink.h RTPROT_*. */
  readonly protocol: number;
  /** Id of the nexthop object it points to; gateway, link and onlink are then what that object says, also in a dump. */
  readonly nexthop?: number;
}

/**
 * Drops what is sent into a prefix and has no better way: any route to the prefix or to a part of it is better.
 * Equivalent to `ip route replace blackhole DESTINATION proto 116 metric 4294967295`.
 */
export interface Blackhole {
  readonly kind: "blackhole";
  readonly destination: Cidr;
}

/** A file under /proc/sys, by its path below it: `net/ipv6/conf/flannel.1/accept_ra`. */
export interface Sysctl {
  readonly kind: "sysctl";
  readonly path: string;
  /** Without the final newline. */
  readonly value: string;
  /** A kernel that has no such file needs nothing: putting it then succeeds. */
  readonly optional?: boolean;
}

export type KernelObject =
  | Link
  | Address
  | Neighbour
  | FdbEntry
  | Nexthop
  | Route
  | Blackhole
  | Sysctl;

/** linux/rtnetlink.h: routes the kernel makes by itself, for a redirect, a connected prefix, a router advertisement. */
export const ROUTE_PROTOCOL_REDIRECT = 1;
export const ROUTE_PROTOCOL_KERNEL = 2;
export const ROUTE_PROTOCOL_ADVERTISEMENT = 9;
/** linux/rtnetlink.h RTPROT_BOOT: what the reference gives its routes, so what `ip route` must show on our own devices. */
export const ROUTE_PROTOCOL_BOOT = 3;
/** Of a blackhole: the last that is looked at. Source: linux/rtnetlink.h RTA_PRIORITY, 32 bits. */
export const BLACKHOLE_METRIC = 4_294_967_295;
/** Marks our nexthop objects, our blackholes, and our routes on devices that are not ours; unused by iproute2's rt_protos and by the routing daemons we know of. */
export const ROUTE_PROTOCOL_TWILL = 116;

/**
 * What a dump covers; besides, it covers all nexthop objects, since their ids must not collide. A dump says what is there; `isOurs` in scope.ts says which of it is ours by its mark, since a route put by
 * somebody else for a destination we want must be seen too.
 */
export interface Scope {
  /** Devices that are wholly ours: the link, its addresses, its permanent neighbours and FDB entries, the routes on it. Absent devices are no error. */
  readonly links: readonly string[];
  /** Routes and blackholes inside these are covered on whatever device, with whatever protocol; addresses on our devices are ours only inside these. */
  readonly networks: readonly Cidr[];
  /** Sysctl paths to read; one that does not exist is left out. */
  readonly sysctls: readonly string[];
  /** Plain routes that an agent before this one left are ours too, where given. */
  readonly leftRoutes?: LeftRouteMarks;
}

/** Where routes of flannel's host-gw and DirectRouting are looked for. */
export interface LeftRouteMarks {
  /** The external interface. */
  readonly link: string;
  readonly networks: readonly Cidr[];
  /** Length of a node's subnet. */
  readonly subnetLengths: PerFamily<number>;
}

export interface Change {
  /**
   * `put` creates or replaces what has the same identity (identity.ts); a link that is not compatible with the one there is
   * refused, never replaced. A nexthop must be there before a route that points to it. `remove` of what is absent succeeds; a route is
   * removed only with this link, protocol and, where it has one, gateway, or else with this nexthop and protocol. A removed
   * nexthop takes the routes over it along, whosever they are.
   */
  readonly action: "put" | "remove";
  readonly object: KernelObject;
}

/** One per change, in the order of the changes. */
export interface ChangeResult {
  /** AgentError "kernel-refused" naming the object and what the kernel said. */
  readonly error?: Error;
}

/** The kernel's answer for one destination. Equivalent to `ip route get DESTINATION`. */
export interface RouteLookup {
  readonly destination: Ip;
  readonly link: string;
  /** Absent when the destination is reachable on the link itself. */
  readonly gateway?: Ip;
  readonly source?: Ip;
}

/** A device with its addresses, as external-interface selection reads them. */
export interface InterfaceFacts {
  readonly name: string;
  readonly index: number;
  readonly mtu: number;
  readonly up: boolean;
  /** In kernel order. */
  readonly addresses: readonly InterfaceAddress[];
}

export interface InterfaceAddress {
  readonly address: Cidr;
  /** linux/if_addr.h IFA_F_DEPRECATED, IFA_F_PERMANENT, IFA_F_TEMPORARY. */
  readonly deprecated: boolean;
  readonly permanent: boolean;
  readonly temporary: boolean;
}

/** A default route of table main, in dump order. */
export interface DefaultRoute {
  readonly family: Family;
  /** Absent for a route with several output interfaces. */
  readonly link?: string;
}

/**
 * What may have changed: a reason to look again, never the truth itself. `about` is given where all of it can be said: what was put or
 * removed, by whomever; whoever has just done that himself need not look.
 */
export type KernelEvent =
  | { readonly kind: "changed"; readonly about?: readonly Change[] }
  | { readonly kind: "overrun" };

export interface Kernel {
  /** The objects of a scope, routes in the kernel's order of preference. Empty when there is nothing. @throws AgentError "kernel-refused" */
  dump(scope: Scope): Promise<readonly KernelObject[]>;
  /** Makes the changes in the given order, going on after a refused one. @throws AgentError "kernel-refused" only when nothing could be sent */
  apply(changes: readonly Change[]): Promise<readonly ChangeResult[]>;
  /**
   * Yields after any change of links, addresses, nexthops or routes since the call, and of neighbours or FDB entries on the links of the last
   * dump; ends when the signal aborts. Bursts may be merged; what `apply` did to neighbours, nexthops and routes need not be told.
   * @throws AgentError "kernel-refused"
   */
  watch(signal: AbortSignal): AsyncIterable<KernelEvent>;
  /** Whether it has nexthop objects, which needs Linux 5.3. @throws AgentError "kernel-refused" */
  hasNexthops(): Promise<boolean>;
  /** One answer per destination, in order; undefined where the kernel has no route. */
  routesTo(destinations: readonly Ip[]): Promise<readonly (RouteLookup | undefined)[]>;
  /** All devices but none of their peers' state; default routes of table main. */
  interfaces(): Promise<{
    readonly interfaces: readonly InterfaceFacts[];
    readonly defaultRoutes: readonly DefaultRoute[];
  }>;
}
