/**
 * Which routes are written over nexthop objects. Linux takes quadratic time for plain IPv4 routes that share a device and differ in their
 * gateway, since the hash of what it compares a new one with leaves the gateway out (net/ipv4/fib_semantics.c fib_create_info); over
 * nexthop objects it takes linear time. Up to NEXTHOPS_FROM the difference cannot be felt, and plain routes look as the
 * reference's do and outlast a loss of carrier. In IPv6 plain routes take linear time, less than nexthop objects, so they stay plain.
 */
import { familyOf } from "../core/ip.ts";
import type { Cidr } from "../core/ip.ts";
import { isSame, isSameWay } from "./identity.ts";
import { ROUTE_PROTOCOL_TWILL } from "./kernel.ts";
import type { KernelObject, Nexthop, Route } from "./kernel.ts";
import type { Writing } from "./wishes.ts";

/** So many plain IPv4 routes of ours a device carries before further ones go over nexthop objects. */
export const NEXTHOPS_FROM = 512;

/** Others count from 1 upwards, the kernel too where it chooses. */
const FIRST_ID = 116_000_001;
/** Routes that were taken back and whose form is remembered: a lease with new data is taken back and wished for again. */
const MAX_REMEMBERED = 1024;

export interface RouteFormsOptions {
  /** What `Kernel.hasNexthops` said; without them every route is plain. */
  readonly available: boolean;
  /** NEXTHOPS_FROM when absent. */
  readonly from?: number;
  /** A dump: what stands in the kernel already keeps its form. */
  readonly standing?: readonly KernelObject[];
}

interface Written {
  readonly wished: Route;
  readonly objects: readonly KernelObject[];
  /** How many wish for it. */
  count: number;
}

/**
 * Decides for each wished route whether it is written plain or over a nexthop object, and says the same of it until it is taken back.
 * A route that stands in either form stays in it. Ids count upwards from FIRST_ID, pass by those that anybody has, and are never
 * given twice: an object is put before its routes and removed after them, so an id given again would lead a route astray.
 */
export class RouteForms implements Writing {
  readonly #from: number;
  readonly #standing: Map<Cidr, Route>;
  /** The objects of ours that stand, and those made since, by their way. */
  readonly #nexthops = new Map<string, Nexthop>();
  readonly #taken = new Set<number>();
  /** By destination; as a rule there is one way to it. */
  readonly #written = new Map<Cidr, readonly Written[]>();
  /** How many plain routes with a gateway each device carries. */
  readonly #plain = new Map<string, number>();
  #lastId = FIRST_ID - 1;

  constructor({ available, from = NEXTHOPS_FROM, standing = [] }: RouteFormsOptions) {
    this.#from = available ? from : Number.POSITIVE_INFINITY;
    this.#standing = firstOfEach(standing);
    for (const object of standing)
      if (object.kind === "nexthop") this.#meet(object);
      else if (object.kind === "route" && object.nexthop !== undefined)
        this.#taken.add(object.nexthop);
  }

  write(wished: KernelObject): readonly KernelObject[] {
    if (!mayHaveNexthop(wished)) return [wished];
    const others = this.#written.get(wished.destination) ?? NONE;
    const known = others.find((one) => isSame(one.wished, wished));
    if (known !== undefined) {
      known.count++;
      return known.objects;
    }
    const nexthop = this.#nexthopFor(wished);
    if (nexthop === undefined) this.#countPlain(wished.link, 1);
    const objects =
      nexthop === undefined ? [wished] : [{ ...wished, nexthop: nexthop.id }, nexthop];
    this.#written.set(wished.destination, [...others, { wished, objects, count: 1 }]);
    return objects;
  }

  takeBack(wished: KernelObject): readonly KernelObject[] {
    if (!mayHaveNexthop(wished)) return [wished];
    const all = this.#written.get(wished.destination) ?? NONE;
    const known = all.find((one) => isSame(one.wished, wished));
    if (known === undefined) return [wished];
    known.count--;
    if (known.count > 0) return known.objects;
    if (all.length === 1) this.#written.delete(wished.destination);
    else
      this.#written.set(
        wished.destination,
        all.filter((one) => one !== known),
      );
    const [route, nexthop] = known.objects;
    if (nexthop === undefined) this.#countPlain(wished.link, -1);
    if (route?.kind === "route") this.#remember(route);
    return known.objects;
  }

  #meet(nexthop: Nexthop): void {
    this.#taken.add(nexthop.id);
    const way = wayOf(nexthop);
    if (isOwn(nexthop) && !this.#nexthops.has(way)) this.#nexthops.set(way, nexthop);
  }

  /** Undefined for a route that is written plain. */
  #nexthopFor(wished: Route): Nexthop | undefined {
    const way = wayOf(wished);
    const known = this.#nexthops.get(way);
    const standing = this.#standing.get(wished.destination);
    this.#standing.delete(wished.destination);
    if (standing !== undefined && isSameWay(standing, wished)) {
      if (standing.nexthop === undefined) return undefined;
      if (standing.nexthop === known?.id) return known;
    }
    if ((this.#plain.get(wished.link) ?? 0) < this.#from) return undefined;
    return known ?? this.#make(wished, way);
  }

  #make({ gateway, link, onlink }: Route, way: string): Nexthop {
    do this.#lastId++;
    while (this.#taken.has(this.#lastId));
    const id = this.#lastId;
    const protocol = ROUTE_PROTOCOL_TWILL;
    const nexthop: Nexthop = {
      kind: "nexthop",
      id,
      link,
      ...(gateway === undefined ? {} : { gateway }),
      onlink,
      protocol,
    };
    this.#nexthops.set(way, nexthop);
    return nexthop;
  }

  #remember(route: Route): void {
    this.#standing.set(route.destination, route);
    for (const oldest of this.#standing.keys()) {
      if (this.#standing.size <= MAX_REMEMBERED) return;
      this.#forget(oldest);
    }
  }

  #forget(destination: Cidr): void {
    const route = this.#standing.get(destination);
    this.#standing.delete(destination);
    // The same way may be another route's too: then it has an object anew, once.
    if (route?.nexthop !== undefined) this.#nexthops.delete(wayOf(route));
  }

  #countPlain(link: string, change: 1 | -1): void {
    this.#plain.set(link, (this.#plain.get(link) ?? 0) + change);
  }
}

const NONE: readonly Written[] = [];

/** Of several routes for one destination the kernel uses the first. */
function firstOfEach(standing: readonly KernelObject[]): Map<Cidr, Route> {
  const routes = new Map<Cidr, Route>();
  for (const object of standing)
    if (object.kind === "route" && !routes.has(object.destination))
      routes.set(object.destination, object);
  return routes;
}

function mayHaveNexthop(object: KernelObject): object is Route {
  return object.kind === "route" && object.gateway !== undefined && familyOf(object.gateway) === 4;
}

function isOwn(nexthop: Nexthop): boolean {
  return nexthop.protocol === ROUTE_PROTOCOL_TWILL && nexthop.gateway !== undefined;
}

function wayOf({ gateway, link, onlink }: Nexthop | Route): string {
  return `${gateway} ${link} ${onlink}`;
}
