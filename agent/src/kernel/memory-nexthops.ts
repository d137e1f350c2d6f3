/** The nexthop objects of the memory kernel: what Linux allows in them, and what goes with them. */
import { familyOf } from "../core/ip.ts";
import type { Nexthop, Route } from "./kernel.ts";
import { routeOver } from "./memory-routes.ts";
import type { MemoryRoutes, RoutingLinks } from "./memory-routes.ts";
import { NEXTHOP_WITHOUT_GATEWAY } from "./print.ts";
import type { Refusal } from "./print.ts";

/** NHA_ID has 32 bits, and 0 asks for a free one. Source: linux/nexthop.h. */
const MAX_ID = 0xffff_ffff;

/** Linux's own sentences, so that errors read the same. Source: net/ipv4/nexthop.c, net/ipv4/fib_semantics.c. */
const UNKNOWN_ID = "Nexthop id does not exist.";
const OTHER_FAMILY = "IPv6 routes can not use an IPv4 nexthop.";

export type RouteOver = Route & { readonly nexthop: number };

export class MemoryNexthops {
  readonly #links: RoutingLinks;
  readonly #routes: MemoryRoutes;
  readonly #nexthops = new Map<number, Nexthop>();

  constructor(links: RoutingLinks, routes: MemoryRoutes) {
    this.#links = links;
    this.#routes = routes;
  }

  all(): Iterable<Nexthop> {
    return this.#nexthops.values();
  }

  /** Replacing one takes all its routes along to the new way. */
  put(nexthop: Nexthop): Refusal | undefined {
    const refusal = this.#check(nexthop);
    if (refusal !== undefined) return refusal;
    this.#nexthops.set(nexthop.id, nexthop);
    this.#routes.redirect(nexthop);
    return undefined;
  }

  /** One without a gateway, as only others make it. Equivalent to `ip nexthop replace id ID dev LINK`. */
  addDirect(nexthop: Nexthop): void {
    this.#nexthops.set(nexthop.id, nexthop);
  }

  remove(id: number): void {
    if (this.#nexthops.delete(id)) this.#routes.removeOver(id);
  }

  /** Takes the nexthops of a link, and the routes over them. Source: net/ipv4/nexthop.c nexthop_flush_dev. */
  flush(link: string): void {
    for (const [id, nexthop] of this.#nexthops) if (nexthop.link === link) this.remove(id);
  }

  /** Hands the route on with what its nexthop says. */
  resolve<T extends RouteOver>(
    route: T,
    insert: (route: T) => Refusal | undefined,
  ): Refusal | undefined {
    const nexthop = this.#nexthops.get(route.nexthop);
    if (nexthop === undefined) return { code: "EINVAL", detail: UNKNOWN_ID };
    if (familyOf(route.destination) === 6 && isIpv4(nexthop))
      return { code: "EINVAL", detail: OTHER_FAMILY };
    return insert(routeOver(route, nexthop));
  }

  #check({ id, link, gateway, onlink }: Nexthop): Refusal | undefined {
    if (gateway === undefined) return NEXTHOP_WITHOUT_GATEWAY;
    if (!Number.isInteger(id) || id < 1 || id > MAX_ID)
      return { code: "EINVAL", detail: `nexthop id ${id} names no nexthop` };
    // The device counts before the gateway, unlike for a route. Source: net/ipv4/nexthop.c rtm_to_nh_config.
    const up = this.#links.isUp(link);
    if (up === undefined) return { code: "ENODEV" };
    if (!up) return { code: "ENETDOWN", detail: "Nexthop device is not up." };
    if (!this.#links.hasCarrier(link))
      return { code: "ENETDOWN", detail: "Carrier for nexthop device is down." };
    const refusal = this.#routes.checkGateway({ gateway, link, onlink }, up);
    if (refusal !== undefined) return refusal;
    return familyOf(gateway) === 4 && this.#routes.hasIpv6Over(id)
      ? { code: "EINVAL", detail: OTHER_FAMILY }
      : undefined;
  }
}

function isIpv4({ gateway }: Nexthop): boolean {
  return gateway !== undefined && familyOf(gateway) === 4;
}
