import { type AddressState, RTM_DELADDR, RTM_NEWADDR, decodeAddress } from "./address.ts";
import { type FdbEntryState, decodeFdbEntry } from "./fdb.ts";
import { KernelEvents, type KernelEventsOptions, type Overrun } from "./kernel-events.ts";
import { type Link, RTM_DELLINK, RTM_NEWLINK, decodeLink } from "./link.ts";
import type { MessageReader } from "./message-reader.ts";
import { type NeighbourEntry, RTM_DELNEIGH, RTM_NEWNEIGH, decodeNeighbour } from "./neighbour.ts";
import { type NexthopState, RTM_DELNEXTHOP, RTM_NEWNEXTHOP, decodeNexthop } from "./nexthop.ts";
import { NLM_F_REPLACE } from "./request.ts";
import { RTM_DELROUTE, RTM_NEWROUTE, type RouteState, decodeRoute, isCloned } from "./route.ts";

/** Source: linux/netlink.h */
const NETLINK_ROUTE = 0;

/** Multicast groups of each kind of object. Source: linux/rtnetlink.h RTNLGRP_LINK … */
const GROUPS = {
  link: [1],
  address: [5, 9],
  route: [7, 11],
  /** Neighbours and FDB entries come through one group. */
  neighbour: [3],
  nexthop: [32],
} as const;

/** A kind of object whose changes can be watched. */
export type WatchedKind = keyof typeof GROUPS;

/**
 * Told with the port of who asked, and nothing else comes of it. Not so links and addresses, which take other objects along, nor the end
 * of a nexthop object, which takes its routes along; and of the end of a neighbour, and of FDB entries of a vxlan device, the kernel does not
 * say who asked.
 * Source: net/ipv4/fib_semantics.c rtmsg_fib, net/core/neighbour.c __neigh_notify, net/ipv4/nexthop.c nexthop_notify,
 * drivers/net/vxlan/vxlan_core.c vxlan_fdb_notify.
 */
const ECHOES: readonly number[] = [RTM_NEWROUTE, RTM_DELROUTE, RTM_NEWNEIGH, RTM_NEWNEXTHOP];

const ALL_KINDS: readonly WatchedKind[] = ["link", "address", "route", "neighbour", "nexthop"];

interface Change {
  /** `put`: it is there now, new or changed; `remove`: it is gone. */
  readonly kind: "put" | "remove";
}

/** One thing that happened in the kernel. */
export type RouteEvent = RouteChange | Overrun;

type RouteChange =
  | (Change & { readonly object: "link"; readonly link: Link })
  | (Change & { readonly object: "address"; readonly address: AddressState })
  | (Change & {
      readonly object: "route";
      readonly route: RouteState;
      /** Set when it took the place of another route for its destination, of whose end nothing else is told. */
      readonly replaces?: true;
    })
  | (Change & { readonly object: "neighbour"; readonly neighbour: NeighbourEntry })
  | (Change & { readonly object: "fdb"; readonly fdbEntry: FdbEntryState })
  | (Change & { readonly object: "nexthop"; readonly nexthop: NexthopState });

export interface RouteEventsOptions extends KernelEventsOptions {
  /** What to watch; absent for everything. */
  readonly kinds?: readonly WatchedKind[];
}

/** Changes of one network namespace, as they happen, in batches. Equivalent to `ip monitor`. */
export class RouteEvents extends KernelEvents<RouteChange> {
  /** @throws NetlinkError when there is no such namespace, or no right to enter it */
  static open(options: RouteEventsOptions = {}): RouteEvents {
    const { kinds = ALL_KINDS } = options;
    const groups = [...new Set(kinds.flatMap((kind) => [...GROUPS[kind]]))];
    const what = `${kinds.join(", ")} changes`;
    return new RouteEvents(
      { protocol: NETLINK_ROUTE, groups, echoes: ECHOES, what, decode: decodeEvent },
      options,
    );
  }
}

function decodeEvent(message: MessageReader): RouteChange | undefined {
  switch (message.type) {
    case RTM_NEWLINK:
      return linkEvent("put", message);
    case RTM_DELLINK:
      return linkEvent("remove", message);
    case RTM_NEWADDR:
      return addressEvent("put", message);
    case RTM_DELADDR:
      return addressEvent("remove", message);
    case RTM_NEWROUTE:
      return routeEvent("put", message);
    case RTM_DELROUTE:
      return routeEvent("remove", message);
    case RTM_NEWNEIGH:
      return neighbourEvent("put", message);
    case RTM_DELNEIGH:
      return neighbourEvent("remove", message);
    case RTM_NEWNEXTHOP:
      return nexthopEvent("put", message);
    case RTM_DELNEXTHOP:
      return nexthopEvent("remove", message);
    default:
      return undefined;
  }
}

type ChangeKind = Change["kind"];

function linkEvent(kind: ChangeKind, message: MessageReader): RouteChange | undefined {
  const link = decodeLink(message);
  return link && { kind, object: "link", link };
}

function addressEvent(kind: ChangeKind, message: MessageReader): RouteChange | undefined {
  const address = decodeAddress(message);
  return address && { kind, object: "address", address };
}

function routeEvent(kind: ChangeKind, message: MessageReader): RouteChange | undefined {
  const route = isCloned(message) ? undefined : decodeRoute(message);
  if (route === undefined) return undefined;
  const replaces = kind === "put" && (message.flags & NLM_F_REPLACE) !== 0;
  return { kind, object: "route", route, ...(replaces ? { replaces } : {}) };
}

function neighbourEvent(kind: ChangeKind, message: MessageReader): RouteChange | undefined {
  const neighbour = decodeNeighbour(message);
  if (neighbour !== undefined) return { kind, object: "neighbour", neighbour };
  const fdbEntry = decodeFdbEntry(message);
  return fdbEntry && { kind, object: "fdb", fdbEntry };
}

function nexthopEvent(kind: ChangeKind, message: MessageReader): RouteChange | undefined {
  const nexthop = decodeNexthop(message);
  return nexthop && { kind, object: "nexthop", nexthop };
}
