/** The main routing table of the memory kernel: what Linux allows in it, and which route it would use. */
import {
  addToIp,
  cidr,
  cidrLength,
  containsIp,
  familyBits,
  familyOf,
  isMulticast,
  isUnspecified,
  maskCidr,
} from "../core/ip.ts";
import type { Cidr, Family, Ip } from "../core/ip.ts";
import { isSame } from "./identity.ts";
import { ROUTE_PROTOCOL_KERNEL } from "./kernel.ts";
import type { Blackhole, Nexthop, Route } from "./kernel.ts";
import type { Refusal } from "./print.ts";

/** The route with what its nexthop object says. */
export function routeOver<T extends Route>(route: T, nexthop: Nexthop): T {
  const { gateway: _, ...rest } = route;
  const { id, link, gateway, onlink } = nexthop;
  const way = gateway === undefined ? {} : { gateway };
  return { ...rest, ...way, link, onlink, nexthop: id } as T;
}

/** The metric of a route that is put without one. Source: linux/ipv6_route.h IP6_RT_PRIO_USER; IPv4 has 0. */
export function defaultMetric(family: Family): number {
  return family === 4 ? 0 : 1024;
}

export interface MetricRoute extends Route {
  readonly metric: number;
}

/** What the table asks of the devices. */
export interface RoutingLinks {
  /** Undefined when there is no such link. */
  isUp(name: string): boolean | undefined;
  hasCarrier(name: string): boolean;
  /** The link that carries this address. */
  holderOf(address: Ip): string | undefined;
}

/** Where packets go next, as a route or a nexthop object says it. */
export interface Gateway {
  readonly gateway: Ip;
  readonly link: string;
  readonly onlink: boolean;
}

/** Linux's own sentences, so that errors read the same. Source: net/ipv4/fib_semantics.c, fib_frontend.c, net/ipv6/route.c. */
const INVALID_GATEWAY = "Nexthop has invalid gateway.";

export class MemoryRoutes {
  readonly #links: RoutingLinks;
  /** By destination; within one destination and metric in the kernel's order. */
  readonly #routes = new Map<Cidr, MetricRoute[]>();
  /** By destination. */
  readonly #blackholes = new Map<Cidr, Blackhole>();
  /** Destinations of the routes over each nexthop object. */
  readonly #overNexthop = new Map<number, Set<Cidr>>();
  /** Per family, how many destinations there are of each prefix length: the only lengths a lookup tries. */
  readonly #lengths: Record<Family, Map<number, number>> = { 4: new Map(), 6: new Map() };

  constructor(links: RoutingLinks) {
    this.#links = links;
  }

  *all(): Generator<MetricRoute> {
    for (const routes of this.#routes.values()) yield* routes;
  }

  /** Routes as the port reports them: default metric, one way each. */
  *reported(): Generator<Route> {
    for (const [destination, routes] of this.#routes) {
      const family = familyOf(destination);
      const plain = routes.filter((route) => route.metric === defaultMetric(family));
      // The port has no word for one with several ways.
      const ways = family === 4 ? 1 : plain.filter(joins).length;
      for (const { metric: _, ...route } of plain) if (ways === 1 || !joins(route)) yield route;
    }
  }

  blackholes(): Iterable<Blackhole> {
    return this.#blackholes.values();
  }

  /** The last of the routes to its prefix, whatever else there is. */
  putBlackhole(blackhole: Blackhole): Refusal | undefined {
    const refusal = checkPrefix(blackhole.destination);
    if (refusal === undefined) this.#blackholes.set(blackhole.destination, blackhole);
    return refusal;
  }

  removeBlackhole({ destination }: Blackhole): void {
    this.#blackholes.delete(destination);
  }

  put(route: Route): Refusal | undefined {
    return this.#insert({ ...route, metric: defaultMetric(familyOf(route.destination)) }, true);
  }

  /** Behind the routes of the same destination and metric. Equivalent to `ip route append`. */
  append(route: MetricRoute): Refusal | undefined {
    return this.#insert(route, false);
  }

  remove(route: Route): void {
    const { destination, protocol } = route;
    const metric = defaultMetric(familyOf(destination));
    const routes = this.#routes.get(destination) ?? [];
    const index = routes.findIndex(
      (other) =>
        other.metric === metric && other.protocol === protocol && leadsAsStated(other, route),
    );
    if (index !== -1) this.#set(destination, routes.toSpliced(index, 1));
  }

  /** Removes the routes over a nexthop object. */
  removeOver(id: number): void {
    for (const destination of this.#destinationsOver(id))
      this.#set(
        destination,
        (this.#routes.get(destination) ?? []).filter((route) => route.nexthop !== id),
      );
  }

  /** Leads the routes over a nexthop object where it says now. */
  redirect(nexthop: Nexthop): void {
    for (const destination of this.#destinationsOver(nexthop.id))
      this.#set(
        destination,
        (this.#routes.get(destination) ?? []).map((route) =>
          route.nexthop === nexthop.id ? routeOver(route, nexthop) : route,
        ),
      );
  }

  hasIpv6Over(id: number): boolean {
    return this.#destinationsOver(id).some((destination) => familyOf(destination) === 6);
  }

  /** The route to the prefix of an address that the kernel makes while the link is up. */
  addConnected(link: string, address: Cidr): void {
    const family = familyOf(address);
    if (family === 4 && cidrLength(address) === familyBits(family)) return;
    const connected: MetricRoute = {
      kind: "route",
      destination: maskCidr(address),
      link,
      onlink: false,
      protocol: ROUTE_PROTOCOL_KERNEL,
      metric: family === 4 ? 0 : 256,
    };
    const routes = this.#routes.get(connected.destination) ?? [];
    if (routes.some((route) => isConnected(route, link))) return;
    this.#set(connected.destination, [...routes, connected]);
  }

  removeConnected(link: string, address: Cidr): void {
    const destination = maskCidr(address);
    const routes = this.#routes.get(destination) ?? [];
    this.#set(
      destination,
      routes.filter((route) => !isConnected(route, link)),
    );
  }

  /** Takes the routes of a link, of one family or all, but for those over a nexthop object: they go with that. */
  flush(link: string, family?: Family): void {
    for (const [destination, routes] of this.#routes)
      if (family === undefined || familyOf(destination) === family)
        this.#set(
          destination,
          routes.filter((route) => route.link !== link || route.nexthop !== undefined),
        );
  }

  /** The longest prefix wins, then the smallest metric, then the first. Undefined for what a blackhole drops. */
  lookup(address: Ip): MetricRoute | undefined {
    const best = this.#longest(address, () => true);
    const length = best === undefined ? -1 : cidrLength(best.destination);
    for (const hole of this.#blackholes.keys())
      if (cidrLength(hole) > length && containsIp(hole, address)) return undefined;
    return best;
  }

  #longest(address: Ip, isEligible: (route: MetricRoute) => boolean): MetricRoute | undefined {
    const lengths = [...this.#lengths[familyOf(address)].keys()].toSorted((a, b) => b - a);
    for (const length of lengths) {
      const routes = this.#routes.get(maskCidr(cidr(address, length)));
      const best = routes
        ?.filter(isEligible)
        .reduce<MetricRoute | undefined>(
          (least, route) => (least !== undefined && least.metric <= route.metric ? least : route),
          undefined,
        );
      if (best !== undefined) return best;
    }
    return undefined;
  }

  #insert(route: MetricRoute, replace: boolean): Refusal | undefined {
    const refusal = this.#check(route);
    if (refusal !== undefined) return refusal;
    const routes = this.#routes.get(route.destination) ?? [];
    const rivals = routes.filter((other) => other.metric === route.metric);
    const isIpv4 = familyOf(route.destination) === 4;
    const twin = rivals.findIndex((other) => isSame(other, route));
    // A replacement must not double a later route. Source: net/ipv4/fib_trie.c fib_table_insert.
    if (twin !== -1 && (replace ? twin > 0 && isIpv4 : true)) return { code: "EEXIST" };
    let replaced: readonly MetricRoute[] = [];
    if (replace) replaced = isIpv4 ? rivals.slice(0, 1) : replacedInIpv6(rivals, route);
    const kept = routes.filter((other) => !replaced.includes(other));
    const at = replaced[0] === undefined ? kept.length : routes.indexOf(replaced[0]);
    this.#set(route.destination, kept.toSpliced(at, 0, route));
    return undefined;
  }

  #check(route: Route): Refusal | undefined {
    const { destination, gateway, link } = route;
    const misshapen = checkPrefix(destination);
    if (misshapen !== undefined) return misshapen;
    // The nexthop object was looked at when it was made, and is there only while its link works.
    if (route.nexthop !== undefined) return undefined;
    const up = this.#links.isUp(link);
    if (up === undefined) return { code: "ENODEV" };
    return gateway === undefined
      ? this.#checkDevice(destination, up)
      : this.checkGateway({ ...route, gateway }, up);
  }

  #checkDevice(destination: Cidr, up: boolean): Refusal | undefined {
    if (up) return undefined;
    const what = familyOf(destination) === 4 ? "Device for nexthop" : "Nexthop device";
    return { code: "ENETDOWN", detail: `${what} is not up.` };
  }

  /** A gateway that is not said to be onlink is looked for first, and the device's state counts after that. */
  checkGateway({ gateway, link, onlink }: Gateway, up: boolean): Refusal | undefined {
    const isIpv4 = familyOf(gateway) === 4;
    if (!isIpv4 && this.#links.holderOf(gateway) !== undefined)
      return { code: "EINVAL", detail: "Gateway can not be a local address." };
    if (!onlink && !this.#isReachable(gateway, link))
      return isIpv4 ? { code: "ENETUNREACH", detail: INVALID_GATEWAY } : { code: "EHOSTUNREACH" };
    if (!up) return { code: "ENETDOWN", detail: "Nexthop device is not up." };
    if (!onlink) return undefined;
    if (isIpv4)
      return this.#isUnicast(gateway) ? undefined : { code: "EINVAL", detail: INVALID_GATEWAY };
    // Source: net/ipv6/route.c ip6_route_check_nh_onlink, which looks at all but the default route.
    const leading = this.lookup(gateway);
    if (leading === undefined || leading.link === link || cidrLength(leading.destination) === 0)
      return undefined;
    return { code: "EINVAL", detail: "Nexthop has invalid gateway or device mismatch" };
  }

  #isUnicast(gateway: Ip): boolean {
    if (isMulticast(gateway) || isUnspecified(gateway)) return false;
    return this.#links.holderOf(gateway) === undefined && !this.#isBroadcast(gateway);
  }

  /** Last address of a connected prefix. */
  #isBroadcast(gateway: Ip): boolean {
    const connected = this.#longest(gateway, (route) => route.protocol === ROUTE_PROTOCOL_KERNEL);
    if (connected === undefined) return false;
    return !containsIp(connected.destination, addToIp(gateway, 1n));
  }

  /**
   * A gateway must be on the link itself: inside a route that has no gateway. IPv4 looks at such routes only, IPv6 at the longest.
   * Source: net/ipv4/fib_semantics.c fib_check_nh_v4_gw, net/ipv6/route.c ip6_route_check_nh.
   */
  #isReachable(gateway: Ip, link: string): boolean {
    const isDirect = (route: Route): boolean => route.gateway === undefined;
    const found = this.#longest(
      gateway,
      (route) => route.link === link && (familyOf(gateway) === 6 || isDirect(route)),
    );
    return found !== undefined && isDirect(found);
  }

  #set(destination: Cidr, routes: MetricRoute[]): void {
    const lengths = this.#lengths[familyOf(destination)];
    const length = cidrLength(destination);
    const added = Number(routes.length > 0) - Number(this.#routes.has(destination));
    const count = (lengths.get(length) ?? 0) + added;
    this.#noteNexthops(destination, this.#routes.get(destination) ?? [], routes);
    if (count === 0) lengths.delete(length);
    else lengths.set(length, count);
    if (routes.length === 0) this.#routes.delete(destination);
    else this.#routes.set(destination, routes);
  }

  #destinationsOver(id: number): readonly Cidr[] {
    return [...(this.#overNexthop.get(id) ?? [])];
  }

  #noteNexthops(destination: Cidr, before: readonly Route[], after: readonly Route[]): void {
    for (const { nexthop: id } of before) {
      if (id === undefined) continue;
      const destinations = this.#overNexthop.get(id);
      destinations?.delete(destination);
      if (destinations?.size === 0) this.#overNexthop.delete(id);
    }
    for (const { nexthop: id } of after) {
      if (id === undefined) continue;
      const destinations = this.#overNexthop.get(id) ?? new Set();
      this.#overNexthop.set(id, destinations.add(destination));
    }
  }
}

/**
 * IPv6 makes one route with several ways of those of one destination and metric that have a gateway of their own.
 * Source: net/ipv6/ip6_fib.c rt6_qualify_for_ecmp.
 */
function joins(route: Route): boolean {
  return route.gateway !== undefined && route.nexthop === undefined;
}

function checkPrefix(destination: Cidr): Refusal | undefined {
  return maskCidr(destination) === destination
    ? undefined
    : { code: "EINVAL", detail: "Invalid prefix for given prefix length." };
}

/** The first of the same sort where there is one, and all that are joined with it. Source: net/ipv6/ip6_fib.c fib6_add_rt2node. */
function replacedInIpv6(rivals: readonly MetricRoute[], route: Route): readonly MetricRoute[] {
  const target = rivals.find((other) => joins(other) === joins(route)) ?? rivals[0];
  if (target === undefined) return [];
  return joins(target) ? rivals.filter(joins) : [target];
}

/**
 * Where no gateway is stated any matches; where no nexthop object is stated, IPv6 takes a route over any.
 * Source: net/ipv4/fib_semantics.c fib_nh_match, net/ipv6/route.c ip6_route_del.
 */
function leadsAsStated(route: Route, stated: Route): boolean {
  if (stated.nexthop !== undefined) return route.nexthop === stated.nexthop;
  if (route.nexthop !== undefined) return familyOf(route.destination) === 6;
  return (
    (stated.gateway === undefined || route.gateway === stated.gateway) && route.link === stated.link
  );
}

function isConnected(route: Route, link: string): boolean {
  return route.link === link && route.protocol === ROUTE_PROTOCOL_KERNEL;
}
