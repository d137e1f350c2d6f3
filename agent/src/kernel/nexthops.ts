/**
 * Which routes are written over nexthop objects. Linux takes quadratic time for plain IPv4 routes that share a device and differ in their
 * gateway, since the hash of what it compares a new one with leaves the gateway out (net/ipv4/fib_semantics.c fib_create_info); over
 * nexthop objects it takes linear time. Up to NEXTHOPS_FROM the difference cannot be felt, and plain routes look as the
 * reference's do and outlast a loss of carrier. In IPv6 plain routes take linear time, less than nexthop objects, so they stay plain.
 */
import { familyOf } from "../core/ip.ts";
import type { Cidr, Ip } from "../core/ip.ts";
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
  /** Another way to the same destination. */
  next: Written | undefined;
}

/**
 * Decides for each wished route whether it is written plain or over a nexthop object, and says the same of it until it is taken back.
 * A route that stands in either form stays in it. Ids count upwards from FIRST_ID, pass by those that anybody has, and are never
 * given twice: an object is put before its routes and removed after them, so an id given again would lead a route astray.
 */
export class RouteForms implements Writing {
  readonly #from: number;
  readonly #standing: Map<Cidr, Route>;
  /** The objects of ours that stand, and those made since. */
  readonly #nexthops = new Ways();
  readonly #taken = new Set<number>();
  /** By destination; as a rule there is one way to it. */
  readonly #written = new Map<Cidr, Written>();
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

  write(wished: Route): readonly KernelObject[] {
    if (!mayHaveNexthop(wished)) return [wished];
    const next = this.#written.get(wished.destination);
    const known = find(next, wished);
    if (known !== undefined) {
      known.count++;
      return known.objects;
    }
    const nexthop = this.#nexthopFor(wished);
    if (nexthop === undefined) this.#countPlain(wished.link, 1);
    const objects = nexthop === undefined ? [wished] : [over(nexthop, wished), nexthop];
    this.#written.set(wished.destination, { wished, objects, count: 1, next });
    return objects;
  }

  takeBack(wished: Route): readonly KernelObject[] {
    if (!mayHaveNexthop(wished)) return [wished];
    const known = find(this.#written.get(wished.destination), wished);
    if (known === undefined) return [wished];
    known.count--;
    if (known.count > 0) return known.objects;
    this.#cut(known);
    const [route, nexthop] = known.objects;
    if (nexthop === undefined) this.#countPlain(wished.link, -1);
    if (route?.kind === "route") this.#remember(route);
    return known.objects;
  }

  #cut(written: Written): void {
    const { destination } = written.wished;
    const { next } = written;
    let before = this.#written.get(destination);
    if (before !== written) {
      while (before !== undefined && before.next !== written) before = before.next;
      if (before !== undefined) before.next = next;
    } else if (next === undefined) this.#written.delete(destination);
    else this.#written.set(destination, next);
  }

  #meet(nexthop: Nexthop): void {
    this.#taken.add(nexthop.id);
    if (isOwn(nexthop) && this.#nexthops.get(nexthop) === undefined) this.#nexthops.set(nexthop);
  }

  /** Undefined for a route that is written plain. */
  #nexthopFor(wished: Route): Nexthop | undefined {
    const known = this.#nexthops.get(wished);
    const standing = this.#takeStanding(wished.destination);
    if (standing !== undefined && isSameWay(standing, wished)) {
      if (standing.nexthop === undefined) return undefined;
      if (standing.nexthop === known?.id) return known;
    }
    if ((this.#plain.get(wished.link) ?? 0) < this.#from) return undefined;
    return known ?? this.#make(wished);
  }

  #takeStanding(destination: Cidr): Route | undefined {
    if (this.#standing.size === 0) return undefined;
    const standing = this.#standing.get(destination);
    this.#standing.delete(destination);
    return standing;
  }

  #make({ gateway, link, onlink }: Route): Nexthop {
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
    this.#nexthops.set(nexthop);
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
    if (route?.nexthop !== undefined) this.#nexthops.delete(route);
  }

  #countPlain(link: string, change: 1 | -1): void {
    this.#plain.set(link, (this.#plain.get(link) ?? 0) + change);
  }
}

/** Nexthop objects by device, form and gateway. */
class Ways {
  readonly #onlink = new Map<string, Map<Ip | undefined, Nexthop>>();
  readonly #connected = new Map<string, Map<Ip | undefined, Nexthop>>();

  get({ gateway, link, onlink }: Nexthop | Route): Nexthop | undefined {
    return this.#form(onlink).get(link)?.get(gateway);
  }

  set(nexthop: Nexthop): void {
    const { gateway, link, onlink } = nexthop;
    const known = this.#form(onlink).get(link);
    if (known === undefined) this.#form(onlink).set(link, new Map([[gateway, nexthop]]));
    else known.set(gateway, nexthop);
  }

  delete({ gateway, link, onlink }: Nexthop | Route): void {
    this.#form(onlink).get(link)?.delete(gateway);
  }

  #form(onlink: boolean): Map<string, Map<Ip | undefined, Nexthop>> {
    return onlink ? this.#onlink : this.#connected;
  }
}

/** Told member by member: there are thousands, and a copy takes twice the memory. */
function over({ id }: Nexthop, wished: Route): Route {
  const { kind, destination, gateway, link, onlink, protocol } = wished;
  if (gateway === undefined) return { ...wished, nexthop: id };
  return { kind, destination, gateway, link, onlink, protocol, nexthop: id };
}

function find(written: Written | undefined, wished: Route): Written | undefined {
  let one = written;
  while (one !== undefined && !isSame(one.wished, wished)) one = one.next;
  return one;
}

/** Of several routes for one destination the kernel uses the first. */
function firstOfEach(standing: readonly KernelObject[]): Map<Cidr, Route> {
  const routes = new Map<Cidr, Route>();
  for (const object of standing)
    if (object.kind === "route" && !routes.has(object.destination))
      routes.set(object.destination, object);
  return routes;
}

function mayHaveNexthop({ gateway }: Route): boolean {
  return gateway !== undefined && familyOf(gateway) === 4;
}

function isOwn(nexthop: Nexthop): boolean {
  return nexthop.protocol === ROUTE_PROTOCOL_TWILL && nexthop.gateway !== undefined;
}
