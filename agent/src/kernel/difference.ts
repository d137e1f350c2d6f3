/** What separates a kernel from a wish, as plain data: nothing here reads or writes a kernel. */
import { assert } from "../core/assert.ts";
import { cidrAddress, familyOf } from "../core/ip.ts";
import { ByIdentity } from "./by-identity.ts";
import type { ReadonlyByIdentity } from "./by-identity.ts";
import { Holdings } from "./holdings.ts";
import { isCompatible, isExclusive, isSame, linkOfSysctl } from "./identity.ts";
import type { Address, Change, KernelObject, Link, Route, Scope, Sysctl } from "./kernel.ts";
import { isMadeByKernel, isOurs } from "./scope.ts";
import { finish, isStep } from "../system/slices.ts";
import type { Steps } from "../system/slices.ts";

/** What a kernel should hold within a scope. */
export interface DesiredState {
  readonly scope: Scope;
  readonly objects: readonly KernelObject[];
  /**
   * The wish is not whole yet, as before the lease is known: nothing is removed but a device that stands in the way of a wished
   * one, so that the data path which a predecessor left goes on working.
   */
  readonly additive?: boolean;
}

/** A wished route that cannot be put, because the kernel's own route for the destination must not be touched (invariant D9). */
export interface BlockedRoute {
  readonly wanted: Route;
  readonly obstacle: Route;
}

export interface Comparison {
  /** Batches in the order to apply them; what one refuses decides what a later one may do. */
  readonly stages: readonly (readonly Change[])[];
  readonly blocked: readonly BlockedRoute[];
  /** What the kernel held before. */
  readonly actual: Holdings;
}

/** The same, held for good, so that one object can be looked up and exchanged. */
export interface Wish {
  readonly scope: Scope;
  readonly objects: ReadonlyByIdentity<KernelObject>;
  readonly additive: boolean;
}

export function wishOf({ scope, objects, additive = false }: DesiredState): Wish {
  return { scope, objects: uniqueByIdentity(objects), additive };
}

/** All changes in order; empty when the kernel holds the wish. `actual` is a dump of the wish's scope. */
export function difference(
  actual: readonly KernelObject[],
  desired: DesiredState,
): readonly Change[] {
  return finish(compare(actual, wishOf(desired))).stages.flat();
}

/**
 * The difference in stages. A frame to a peer follows route → neighbour → FDB entry, so they come into being from the right and go from
 * the left: at no instant does one name another that is not there, also while a peer's MAC changes (invariant D3).
 */
export function* compare(actual: readonly KernelObject[], wish: Wish): Steps<Comparison> {
  const work = new Work(wish);
  yield* work.compare(actual);
  const { put, remove } = work;
  const stages = [
    work.inTheWay.concat(put.link),
    put.sysctl.concat(put.address, put.fdb),
    put.neighbour,
    work.ownGateways,
    put.nexthop,
    work.exchanges.concat(put.route, put.blackhole, remove.route, remove.blackhole),
    remove.nexthop.concat(remove.neighbour),
    remove.fdb.concat(remove.address, remove.link),
  ];
  return {
    stages: stages.filter((stage) => stage.length > 0),
    blocked: work.blocked,
    actual: work.actual,
  };
}

type ByKind = Record<KernelObject["kind"], Change[]>;

/** One comparison while it is being made: sorts every object into what to do with it. */
class Work {
  readonly put: ByKind = emptyByKind();
  readonly remove: ByKind = emptyByKind();
  /** Addresses of before that wished routes have as gateways: the kernel takes no gateway that is its own. */
  readonly ownGateways: Change[] = [];
  /** To be removed before anything is put. */
  readonly inTheWay: Change[] = [];
  /** Removals and puts in turn, of routes that the kernel does not replace by itself. */
  readonly exchanges: Change[] = [];
  readonly blocked: BlockedRoute[] = [];
  readonly actual: Holdings = new Holdings();
  readonly #wish: Wish;
  readonly #isOurs: (object: KernelObject) => boolean;
  /** Links that are not there yet when the rest is put. */
  readonly #created = new Set<string>();
  /** Links whose neighbours the kernel drops, since their own MAC changes. Source: net/core/neighbour.c neigh_changeaddr. */
  readonly #readdressed = new Set<string>();
  /** Links that go, with all they carry. */
  readonly #leaving = new Set<string>();

  constructor(wish: Wish) {
    this.#wish = wish;
    this.#isOurs = isOurs(wish.scope);
  }

  *compare(actual: readonly KernelObject[]): Steps<void> {
    const links = actual.filter((object) => object.kind === "link");
    const wanted = this.#wish.objects.values();
    for (let index = 0; index < wanted.length; index++) {
      if (isStep(index)) yield;
      const object = wanted[index];
      if (object?.kind === "link") this.#compareLink(object, links);
    }
    for (const link of links) this.#compareUnwantedLink(link);
    for (let index = 0; index < actual.length; index++) {
      if (isStep(index)) yield;
      const object = actual[index];
      if (object !== undefined) this.actual.add(object);
    }
    for (let index = 0; index < wanted.length; index++) {
      if (isStep(index)) yield;
      const object = wanted[index];
      if (object !== undefined && !this.#isAsWished(object))
        this.#compareWanted(object, this.#remaining(this.actual.all(object)));
    }
    yield* this.#dropUnwanted();
  }

  /** As a rule of one that is there. */
  #isAsWished(wanted: KernelObject): boolean {
    const only = this.actual.only(wanted);
    return only !== undefined && isSame(only, wanted) && this.#remains(only);
  }

  *#dropUnwanted(): Steps<void> {
    const found = this.actual.firsts();
    for (let index = 0; index < found.length; index++) {
      if (isStep(index)) yield;
      const first = found[index];
      if (first === undefined || this.#wish.objects.has(first)) continue;
      for (const object of this.#remaining(this.actual.all(first))) this.#drop(object);
    }
  }

  #remaining(objects: readonly KernelObject[]): readonly KernelObject[] {
    if (objects.length === 0) return objects;
    return objects.filter((object) => this.#remains(object));
  }

  #compareLink(wanted: Link, links: readonly Link[]): void {
    const found = links.find((link) => link.name === wanted.name);
    if (found !== undefined && isSame(found, wanted)) return;
    this.put.link.push(putting(wanted));
    if (found !== undefined && isCompatible(found, wanted)) {
      if (found.mac !== wanted.mac) this.#readdressed.add(wanted.name);
      return;
    }
    this.#created.add(wanted.name);
    // The kernel refuses the new device while one with its name, or with its VNI and port, is there.
    for (const link of links)
      if (isExclusive(link, wanted) && this.#isOurs(link) && !this.#leaving.has(link.name)) {
        this.inTheWay.push(removing(link));
        this.#leaving.add(link.name);
      }
  }

  /** Whether the kernel still holds this once the links are as wished: a device that is made anew starts empty. */
  #remains(object: KernelObject): boolean {
    if (this.#created.size === 0 && this.#readdressed.size === 0) return true;
    const link = linkOf(object);
    if (object.kind === "neighbour" && this.#readdressed.has(link)) return false;
    return !this.#created.has(link);
  }

  #compareUnwantedLink(link: Link): void {
    if (this.#wish.objects.has(link) || this.#leaving.has(link.name)) return;
    if (this.#wish.additive || !this.#isOurs(link)) return;
    this.remove.link.push(removing(link));
    this.#leaving.add(link.name);
  }

  #compareWanted(wanted: KernelObject, found: readonly KernelObject[]): void {
    switch (wanted.kind) {
      case "link":
        return;
      case "route":
        if (found.length === 0) break;
        return this.#compareRoute(
          wanted,
          found.filter((object) => object.kind === "route"),
        );
      case "address":
        return this.#compareAddress(
          wanted,
          found.filter((object) => object.kind === "address"),
        );
      case "sysctl":
        if (found.length === 0 && this.#isUnneeded(wanted)) return;
        break;
      case "neighbour":
      case "fdb":
      case "nexthop":
      case "blackhole":
    }
    if (found.length === 0 || !found.some((object) => isSame(object, wanted)))
      this.put[wanted.kind].push(putting(wanted));
  }

  /** Of several routes for one destination the kernel uses the first, and a put replaces the first. */
  #compareRoute(wanted: Route, [first, ...others]: readonly Route[]): void {
    for (const other of others)
      // Linux refuses to make a route equal to a later one.
      if (isSame(other, wanted)) this.inTheWay.push(removing(other));
      else this.#drop(other);
    if (first !== undefined && isSame(first, wanted)) return;
    if (first !== undefined && isMadeByKernel(first))
      this.blocked.push({ wanted, obstacle: first });
    else if (first !== undefined && misleads(first, wanted))
      this.exchanges.push(removing(first), putting(wanted));
    else this.put.route.push(putting(wanted));
  }

  #compareAddress(wanted: Address, found: readonly Address[]): void {
    for (const other of found)
      if (!isSame(other, wanted)) {
        // IPv6 does not change an address's length by a put; without its last IPv4 address a link loses its routes.
        if (familyOf(wanted.address) === 6) this.inTheWay.push(removing(other));
        else this.#drop(other);
      }
    if (!found.some((object) => isSame(object, wanted))) this.put.address.push(putting(wanted));
  }

  /** A file that this kernel does not have; of a device that is only just made it cannot be known yet. */
  #isUnneeded(sysctl: Sysctl): boolean {
    return sysctl.optional === true && !this.#created.has(linkOfSysctl(sysctl) ?? "");
  }

  #drop(object: KernelObject): void {
    if (this.#wish.additive || object.kind === "link" || this.#leaving.has(linkOf(object))) return;
    if (!this.#isOurs(object)) return;
    const removal = removing(object);
    if (object.kind === "address" && this.#isGateway(object)) this.ownGateways.push(removal);
    else this.remove[object.kind].push(removal);
  }

  #isGateway({ address }: Address): boolean {
    const ip = cidrAddress(address);
    for (const object of this.#wish.objects.values())
      if (object.kind === "route" && object.gateway === ip) return true;
    return false;
  }
}

/**
 * IPv6 refuses an onlink gateway that lies inside a route on another device, and our gateway is the first address of the destination
 * itself. Source: net/ipv6/route.c ip6_route_check_nh_onlink.
 */
function misleads(found: Route, wanted: Route): boolean {
  return familyOf(wanted.destination) === 6 && wanted.onlink && found.link !== wanted.link;
}

function putting(object: KernelObject): Change {
  return { action: "put", object };
}

function removing(object: KernelObject): Change {
  return { action: "remove", object };
}

function emptyByKind(): ByKind {
  return {
    link: [],
    address: [],
    neighbour: [],
    fdb: [],
    nexthop: [],
    route: [],
    blackhole: [],
    sysctl: [],
  };
}

/** The device that takes the object along when it goes; empty for what no device takes along. */
function linkOf(object: KernelObject): string {
  if (object.kind === "link") return object.name;
  if (object.kind === "blackhole") return "";
  return object.kind === "sysctl" ? (linkOfSysctl(object) ?? "") : object.link;
}

function uniqueByIdentity(objects: readonly KernelObject[]): ReadonlyByIdentity<KernelObject> {
  const byIdentity = new ByIdentity<KernelObject>();
  for (const object of objects) byIdentity.set(object, object);
  assert(byIdentity.size === objects.length, "a wish names each kernel object once");
  return byIdentity;
}
