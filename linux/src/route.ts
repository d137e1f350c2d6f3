import { SCOPE } from "./address.ts";
import { CodecError } from "./errors.ts";
import {
  type Family,
  familyNumber,
  familyOf,
  familyOfIp,
  familyOfText,
  formatPrefix,
  prefixLength,
} from "./ip.ts";
import type { AttributeReader, MessageReader } from "./message-reader.ts";
import { type MessageWriter, checkInteger } from "./message-writer.ts";
import {
  ADD,
  type Codec,
  NLM_F_REQUEST,
  ObjectRequest,
  PUT,
  type Request,
  words,
} from "./request.ts";
import {
  RTA_GATEWAY,
  RTA_VIA,
  RTNH_F_ONLINK,
  type RouteHop,
  decodeHops,
  decodeVia,
  encodeHops,
  encodeVia,
} from "./route-hop.ts";

/** Source: linux/rtnetlink.h */
export const RTM_NEWROUTE = 24;
export const RTM_DELROUTE = 25;
export const RTM_GETROUTE = 26;
export const RTA_DST = 1;
const RTA_OIF = 4;
const RTA_PRIORITY = 6;
const RTA_PREFSRC = 7;
const RTA_METRICS = 8;
const RTA_MULTIPATH = 9;
const RTA_TABLE = 15;
const RTA_NH_ID = 30;
const RTAX_MTU = 2;
/** A copy the kernel made for one destination, not a route anybody configured. */
const RTM_F_CLONED = 0x200;

/** Length of `struct rtmsg`, bytes. */
const HEADER_BYTES = 12;

/** The main routing table. Source: linux/rtnetlink.h RT_TABLE_MAIN. */
export const MAIN_TABLE = 254;
/** Who made a route, when nobody says: RTPROT_BOOT, as ip-route(8). Source: linux/rtnetlink.h. */
export const BOOT_PROTOCOL = 3;

/** In the order of their numbers. Source: linux/rtnetlink.h RTN_UNSPEC … */
const ROUTE_TYPES = [
  "unspecified",
  "unicast",
  "local",
  "broadcast",
  "anycast",
  "multicast",
  "blackhole",
  "unreachable",
  "prohibit",
  "throw",
  "nat",
  "xresolve",
] as const;

/** What becomes of a packet, in the words of ip-route(8). */
export type RouteType = (typeof ROUTE_TYPES)[number];

/** A route. */
export interface Route {
  /** A prefix: `10.42.2.0/24`; the default route is `0.0.0.0/0` or `::/0`. */
  readonly destination: string;
  /** The next hop; for an IPv4 destination it may be an IPv6 address. */
  readonly gateway?: string;
  readonly linkIndex?: number;
  /** MAIN_TABLE when absent. */
  readonly table?: number;
  /** BOOT_PROTOCOL when absent; for a removal absent matches any. */
  readonly protocol?: number;
  /** One of SCOPE; when absent what ip-route(8) takes: link for IPv4 without a gateway, else global. */
  readonly scope?: number;
  /** `unicast` when absent; for a removal absent matches any. */
  readonly type?: RouteType;
  /** The gateway is taken to be on the link even if no address says so. */
  readonly onlink?: boolean;
  readonly preferredSource?: string;
  readonly metric?: number;
  /** Largest packet, bytes. */
  readonly mtu?: number;
  /** A nexthop object. When set, gateway, link, onlink and hops are read from it and never written. */
  readonly nexthopId?: number;
  /** Several ways at once. */
  readonly hops?: readonly RouteHop[];
}

/** A route as the kernel reports it. */
export interface RouteState extends Route {
  readonly table: number;
  readonly protocol: number;
  readonly scope: number;
  readonly type: RouteType;
  readonly onlink: boolean;
}

/** What ip-route(8) takes an IPv4 route's scope to be when it is not said; unicast depends on the gateway. */
const DEFAULT_SCOPES: Partial<Record<RouteType, number>> = {
  local: SCOPE.host,
  nat: SCOPE.host,
  broadcast: SCOPE.link,
  multicast: SCOPE.link,
  anycast: SCOPE.link,
};

function defaultScope(route: Route, family: Family): number {
  if (family === "inet6") return SCOPE.global;
  const type = route.type ?? "unicast";
  if (type !== "unicast") return DEFAULT_SCOPES[type] ?? SCOPE.global;
  const indirect =
    route.gateway !== undefined || route.nexthopId !== undefined || route.hops !== undefined;
  return indirect ? SCOPE.global : SCOPE.link;
}

/** What a removal matches when the route does not say: anything. Source: net/ipv4/fib_trie.c fib_table_delete. */
const ANY = { protocol: 0, type: "unspecified", scope: SCOPE.nowhere } as const;

/** Where the packets go, as far as the route says it itself. */
function encodeWay(writer: MessageWriter, route: Route, family: Family): void {
  if (route.nexthopId !== undefined) {
    if (route.nexthopId === 0) throw new CodecError("nexthop id 0 names no nexthop");
    writer.u32Attribute(RTA_NH_ID, "nexthop id", route.nexthopId);
    return;
  }
  if (route.gateway !== undefined) encodeVia(writer, family, route.gateway);
  if (route.linkIndex !== undefined) writer.u32Attribute(RTA_OIF, "link index", route.linkIndex);
  const { hops } = route;
  if (hops !== undefined) encodeMultipath(writer, hops, family);
}

/** Apart, since whoever makes a function for each route would pay for it where there are no hops too. */
function encodeMultipath(
  writer: MessageWriter,
  hops: NonNullable<Route["hops"]>,
  family: Family,
): void {
  writer.nest(RTA_MULTIPATH, () => {
    encodeHops(writer, family, hops);
  });
}

function encodeOptions(writer: MessageWriter, route: Route, family: Family): void {
  const { metric, preferredSource, mtu } = route;
  if (metric !== undefined) writer.u32Attribute(RTA_PRIORITY, "metric", metric);
  if (preferredSource !== undefined) {
    if (familyOfIp(preferredSource) !== family) {
      throw new CodecError(`source ${preferredSource} is of the other family`);
    }
    writer.ipAttribute(RTA_PREFSRC, preferredSource);
  }
  if (mtu !== undefined) encodeMtu(writer, mtu);
}

function encodeMtu(writer: MessageWriter, mtu: number): void {
  writer.nest(RTA_METRICS, () => {
    writer.u32Attribute(RTAX_MTU, "route mtu", mtu);
  });
}

function encodeRoute(writer: MessageWriter, route: Route, messageType: number): void {
  const removal = messageType === RTM_DELROUTE;
  const { destination } = route;
  const family = familyOfText(destination);
  const table = checkInteger("table", route.table ?? MAIN_TABLE, 0xffff_ffff);
  const scope = route.scope ?? (removal ? ANY.scope : defaultScope(route, family));
  const type = route.type ?? (removal ? ANY.type : "unicast");
  const onlink = route.onlink === true && route.nexthopId === undefined;
  writer.u8("family", familyNumber(family));
  writer.u8("prefix length", prefixLength(destination));
  writer.zeros(2);
  // The header has room for small table numbers only.
  writer.u8("table", table > 0xff ? 0 : table);
  writer.u8("protocol", route.protocol ?? (removal ? ANY.protocol : BOOT_PROTOCOL));
  writer.u8("scope", scope);
  writer.u8("type", ROUTE_TYPES.indexOf(type));
  writer.u32("flags", onlink ? RTNH_F_ONLINK : 0);
  writer.prefixAttribute(RTA_DST, destination);
  encodeWay(writer, route, family);
  if (table > 0xff) writer.u32Attribute(RTA_TABLE, "table", table);
  encodeOptions(writer, route, family);
}

const CODEC: Codec<Route> = {
  describe: (verb, route) =>
    words(
      `${verb} route ${route.type === undefined || route.type === "unicast" ? "" : `${route.type} `}${route.destination}`,
      ["nhid", route.nexthopId],
      ["via", route.gateway],
      ["dev", route.linkIndex],
      ["table", route.table],
      ["metric", route.metric],
      route.onlink === true ? "onlink" : undefined,
    ),
  encode: encodeRoute,
};

/** Makes a route that must not be there yet. Equivalent to `ip route add …`. */
export function addRoute(route: Route): Request {
  return new ObjectRequest(CODEC, RTM_NEWROUTE, ADD, route);
}

/** Makes a route, in place of one with the same destination and metric. Equivalent to `ip route replace …`. */
export function putRoute(route: Route): Request {
  return new ObjectRequest(CODEC, RTM_NEWROUTE, PUT, route);
}

/** Removes the first route that matches what is stated. Equivalent to `ip route delete …`. */
export function removeRoute(route: Route): Request {
  return new ObjectRequest(CODEC, RTM_DELROUTE, NLM_F_REQUEST, route);
}

/** Which routes to dump; the kernel filters by all of them. */
export interface RouteFilter {
  readonly family?: Family;
  readonly table?: number;
  readonly protocol?: number;
  readonly type?: RouteType;
  readonly linkIndex?: number;
}

export function encodeRouteFilter(writer: MessageWriter, filter: RouteFilter): void {
  writer.u8("family", filter.family === undefined ? 0 : familyNumber(filter.family));
  writer.zeros(4);
  writer.u8("protocol", filter.protocol ?? 0);
  writer.zeros(1);
  writer.u8("type", filter.type === undefined ? 0 : ROUTE_TYPES.indexOf(filter.type));
  writer.u32("flags", 0);
  if (filter.table !== undefined) writer.u32Attribute(RTA_TABLE, "table", filter.table);
  if (filter.linkIndex !== undefined) {
    writer.u32Attribute(RTA_OIF, "link index", filter.linkIndex);
  }
}

/** Whether a message speaks of a copy made for one destination. */
export function isCloned(message: MessageReader): boolean {
  return (message.u32(8) & RTM_F_CLONED) !== 0;
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

function decodeMetrics(attribute: AttributeReader, route: Mutable<RouteState>): void {
  while (attribute.next()) {
    if (attribute.type === RTAX_MTU) route.mtu = attribute.u32();
  }
}

function decodeAttribute(attribute: AttributeReader, route: Mutable<RouteState>): void {
  switch (attribute.type) {
    case RTA_GATEWAY:
      route.gateway = attribute.ip();
      break;
    case RTA_VIA:
      route.gateway = decodeVia(attribute);
      break;
    case RTA_OIF:
      route.linkIndex = attribute.u32();
      break;
    case RTA_PRIORITY:
      route.metric = attribute.u32();
      break;
    case RTA_PREFSRC:
      route.preferredSource = attribute.ip();
      break;
    case RTA_METRICS:
      decodeMetrics(attribute.attributes(), route);
      break;
    case RTA_MULTIPATH:
      route.hops = decodeHops(attribute.content());
      break;
    case RTA_TABLE:
      route.table = attribute.u32();
      break;
    case RTA_NH_ID:
      route.nexthopId = attribute.u32();
      break;
    default:
  }
}

/** Reads RTM_NEWROUTE and RTM_DELROUTE; undefined for other families. @throws CodecError */
export function decodeRoute(message: MessageReader): RouteState | undefined {
  const family = familyOf(message.u8(0));
  if (family === undefined) return undefined;
  const typeNumber = message.u8(7);
  const type = ROUTE_TYPES[typeNumber];
  if (type === undefined) throw new CodecError(`route type ${typeNumber}`);
  const route: Mutable<RouteState> = {
    destination: "",
    table: message.u8(4),
    protocol: message.u8(5),
    scope: message.u8(6),
    type,
    onlink: (message.u32(8) & RTNH_F_ONLINK) !== 0,
  };
  let destination: Uint8Array | undefined;
  const attribute = message.attributes(HEADER_BYTES);
  while (attribute.next()) {
    if (attribute.type === RTA_DST) destination = attribute.content();
    else decodeAttribute(attribute, route);
  }
  route.destination = formatPrefix(family, destination, message.u8(1));
  return route;
}
