/** The state of the memory kernel, and Linux's own rules for it as far as the objects of the port go. */
import { cidrLength, familyOf } from "../core/ip.ts";
import type { Family, Ip } from "../core/ip.ts";
import { isUnicastMac } from "../core/mac.ts";
import { identityOf, isCompatible, isExclusive } from "./identity.ts";
import type {
  Address,
  Change,
  DefaultRoute,
  FdbEntry,
  InterfaceFacts,
  KernelObject,
  Link,
  Neighbour,
  Nexthop,
  Route,
  RouteLookup,
} from "./kernel.ts";
import { MemoryAddresses } from "./memory-addresses.ts";
import { MemoryNexthops } from "./memory-nexthops.ts";
import { MemoryRoutes } from "./memory-routes.ts";
import type { MetricRoute, RoutingLinks } from "./memory-routes.ts";
import { MemorySysctls } from "./memory-sysctls.ts";
import { INCOMPATIBLE_LINK } from "./print.ts";
import type { Refusal } from "./print.ts";

/** IFNAMSIZ without the zero byte at its end. Source: linux/if.h. */
const LINK_NAME_LIMIT = 15;
/** Outer headers, and the inner Ethernet header. Source: linux/vxlan.h VXLAN_HEADROOM, VXLAN6_HEADROOM. */
const VXLAN_OVERHEAD_BYTES: Record<Family, number> = { 4: 50, 6: 70 };

interface IndexedLink {
  readonly link: Link;
  readonly index: number;
  readonly carrier: boolean;
}

export interface MemoryNetworkOptions {
  readonly ipv6: boolean;
  readonly nexthops: boolean;
}

export class MemoryNetwork {
  readonly #hasIpv6: boolean;
  readonly #hasNexthops: boolean;
  readonly #links = new Map<string, IndexedLink>();
  readonly #addresses = new MemoryAddresses();
  readonly #neighbours = new Map<string, Neighbour>();
  readonly #fdb = new Map<string, FdbEntry>();
  readonly #sysctls = new MemorySysctls();
  readonly #routes: MemoryRoutes;
  readonly #nexthops: MemoryNexthops;
  #lastIndex = 0;

  constructor({ ipv6, nexthops }: MemoryNetworkOptions) {
    this.#hasIpv6 = ipv6;
    this.#hasNexthops = nexthops;
    const links: RoutingLinks = {
      isUp: (name) => this.link(name)?.up,
      hasCarrier: (name) => this.#links.get(name)?.carrier === true,
      holderOf: (address) => this.#addresses.holderOf(address),
    };
    this.#routes = new MemoryRoutes(links);
    this.#nexthops = new MemoryNexthops(links, this.#routes);
  }

  *everything(): Generator<KernelObject> {
    for (const { link } of this.#links.values()) yield link;
    yield* this.#addresses.all();
    yield* this.#neighbours.values();
    yield* this.#fdb.values();
    yield* this.#nexthops.all();
    yield* this.#routes.reported();
    yield* this.#routes.blackholes();
    yield* this.#sysctls.all();
  }

  /** Whether anybody wrote the object, rather than the kernel when it made a link. */
  isWritten(object: KernelObject): boolean {
    return object.kind !== "sysctl" || !this.#sysctls.isUntouched(object.path);
  }

  link(name: string): Link | undefined {
    return this.#links.get(name)?.link;
  }

  interfaces(): readonly InterfaceFacts[] {
    return [...this.#links.values()].map(({ link, index }) => ({
      name: link.name,
      index,
      mtu: link.mtu,
      up: link.up,
      addresses: this.#addresses.of(link.name).map(({ address }) => ({
        address,
        deprecated: false,
        permanent: true,
        temporary: false,
      })),
    }));
  }

  defaultRoutes(): readonly DefaultRoute[] {
    return [...this.#routes.all()]
      .filter((route) => cidrLength(route.destination) === 0)
      .map((route) => ({ family: familyOf(route.destination), link: route.link }));
  }

  make({ action, object }: Change): Refusal | undefined {
    return action === "put" ? this.#put(object) : this.#remove(object);
  }

  appendRoute(route: MetricRoute): Refusal | undefined {
    return this.#resolved(route, (way) => this.#routes.append(way));
  }

  /** Also one without a gateway, which `make` refuses. */
  putNexthop(nexthop: Nexthop): Refusal | undefined {
    if (nexthop.gateway !== undefined) return this.#nexthops.put(nexthop);
    this.#nexthops.addDirect(nexthop);
    return undefined;
  }

  setCarrier(name: string, carrier: boolean): void {
    const existing = this.#links.get(name);
    if (existing === undefined) return;
    this.#links.set(name, { ...existing, carrier });
    // Routes stay. Source: net/ipv4/nexthop.c nh_netdev_event, net/ipv4/fib_frontend.c fib_netdev_event.
    if (!carrier) this.#nexthops.flush(name);
  }

  addLink(link: Link): void {
    this.#lastIndex++;
    this.#links.set(link.name, { link, index: this.#lastIndex, carrier: true });
    if (this.#hasIpv6) this.#sysctls.addLink(link.name);
  }

  setLink(link: Link): void {
    const existing = this.#links.get(link.name);
    if (existing === undefined) return;
    this.#links.set(link.name, { ...existing, link });
    // Source: net/core/neighbour.c neigh_changeaddr.
    if (existing.link.mac !== link.mac) this.#flushNeighbours(link.name);
    if (existing.link.up && !link.up) this.#takeDown(link.name);
    if (!existing.link.up && link.up)
      for (const { address } of this.#addresses.of(link.name))
        this.#routes.addConnected(link.name, address);
  }

  routeTo(destination: Ip): RouteLookup | undefined {
    if (this.#addresses.holderOf(destination) !== undefined)
      return { destination, link: "lo", source: destination };
    const route = this.#routes.lookup(destination);
    if (route === undefined) return undefined;
    const source = this.#addresses.sourceFor(route.link, route.gateway ?? destination);
    return {
      destination,
      link: route.link,
      ...(route.gateway === undefined ? {} : { gateway: route.gateway }),
      ...(source === undefined ? {} : { source }),
    };
  }

  #put(object: KernelObject): Refusal | undefined {
    switch (object.kind) {
      case "link":
        return this.#putLink(object);
      case "address":
        return this.#putAddress(object);
      case "neighbour":
        if (this.link(object.link) === undefined) return { code: "ENODEV" };
        this.#neighbours.set(identityOf(object), object);
        return undefined;
      case "fdb":
        return this.#putFdbEntry(object);
      case "nexthop":
        return this.#hasNexthops ? this.#nexthops.put(object) : { code: "EOPNOTSUPP" };
      case "route":
        return this.#resolved(object, (route) => this.#routes.put(route));
      case "blackhole":
        return this.#routes.putBlackhole(object);
      case "sysctl":
        return this.#sysctls.put(object);
    }
  }

  #remove(object: KernelObject): Refusal | undefined {
    switch (object.kind) {
      case "link":
        this.#removeLink(object.name);
        break;
      case "address":
        this.#removeAddress(object);
        break;
      case "neighbour":
        this.#neighbours.delete(identityOf(object));
        break;
      case "fdb": {
        const found = this.#fdb.get(identityOf(object));
        if (found?.destination === object.destination) this.#fdb.delete(identityOf(object));
        break;
      }
      case "nexthop":
        if (!this.#hasNexthops) return { code: "EOPNOTSUPP" };
        this.#nexthops.remove(object.id);
        break;
      case "route":
        this.#routes.remove(object);
        break;
      case "blackhole":
        this.#routes.removeBlackhole(object);
        break;
      case "sysctl":
        return { code: "EPERM", detail: "a sysctl cannot be removed" };
    }
    return undefined;
  }

  #putLink(link: Link): Refusal | undefined {
    if (link.name === "" || link.name.length > LINK_NAME_LIMIT)
      return { code: "ERANGE", detail: "Attribute failed policy validation." };
    const existing = this.link(link.name);
    const room = this.#largestMtu(link);
    if (existing === undefined) {
      const refusal = this.#checkNewLink(link);
      if (refusal !== undefined) return refusal;
      this.addLink({ ...link, mtu: Math.min(link.mtu, room) });
      return undefined;
    }
    if (!isCompatible(existing, link)) return INCOMPATIBLE_LINK;
    if (!isUnicastMac(link.mac)) return { code: "EADDRNOTAVAIL" };
    if (link.mtu > room && link.mtu !== existing.mtu) return { code: "EINVAL" };
    this.setLink(link);
    return undefined;
  }

  #checkNewLink(link: Link): Refusal | undefined {
    if (link.vxlan === undefined) return { code: "EOPNOTSUPP", detail: "Unknown device type." };
    if (!this.#links.has(link.vxlan.lowerLink))
      return { code: "ENODEV", detail: "Invalid local interface for a VXLAN device." };
    if (!isUnicastMac(link.mac)) return { code: "EADDRNOTAVAIL" };
    const rival = [...this.#links.values()].some((other) => isExclusive(other.link, link));
    return rival
      ? { code: "EEXIST", detail: "A VXLAN device with the specified VNI already exists." }
      : undefined;
  }

  #largestMtu({ vxlan }: Link): number {
    const lower = vxlan === undefined ? undefined : this.link(vxlan.lowerLink);
    if (vxlan === undefined || lower === undefined) return Number.POSITIVE_INFINITY;
    return lower.mtu - VXLAN_OVERHEAD_BYTES[familyOf(vxlan.local)];
  }

  /** Nexthops, routes, neighbours and IPv6 addresses go with the interface; FDB entries and IPv4 addresses stay. */
  #takeDown(name: string): void {
    this.#nexthops.flush(name);
    this.#routes.flush(name);
    this.#flushNeighbours(name);
    this.#addresses.removeIpv6(name);
  }

  #flushNeighbours(link: string, family?: Family): void {
    for (const [identity, neighbour] of this.#neighbours)
      if (
        neighbour.link === link &&
        (family === undefined || familyOf(neighbour.address) === family)
      )
        this.#neighbours.delete(identity);
  }

  #removeLink(name: string): void {
    if (!this.#links.delete(name)) return;
    this.#nexthops.flush(name);
    this.#routes.flush(name);
    this.#flushNeighbours(name);
    this.#addresses.removeLink(name);
    for (const [identity, entry] of this.#fdb) if (entry.link === name) this.#fdb.delete(identity);
    this.#sysctls.removeLink(name);
    // A tunnel goes with the device that carries its packets.
    for (const { link } of this.#links.values())
      if (link.vxlan?.lowerLink === name) this.#removeLink(link.name);
  }

  #putAddress(object: Address): Refusal | undefined {
    const link = this.link(object.link);
    if (link === undefined) return { code: "ENODEV" };
    const isNew = this.#addresses.add(object);
    if (isNew && link.up) this.#routes.addConnected(object.link, object.address);
    return undefined;
  }

  #removeAddress(object: Address): void {
    const { link, address } = object;
    if (!this.#addresses.remove(object)) return;
    const left = this.#addresses.of(link);
    this.#routes.removeConnected(link, address);
    for (const other of left)
      if (this.link(link)?.up === true) this.#routes.addConnected(link, other.address);
    // Without its last IPv4 address a link has no IPv4. Source: net/ipv4/fib_frontend.c fib_disable_ip.
    if (familyOf(address) === 4 && !left.some((other) => familyOf(other.address) === 4)) {
      this.#routes.flush(link, 4);
      this.#flushNeighbours(link, 4);
    }
  }

  #putFdbEntry(entry: FdbEntry): Refusal | undefined {
    const link = this.link(entry.link);
    if (link === undefined) return { code: "ENODEV" };
    if (link.vxlan === undefined) return { code: "EOPNOTSUPP" };
    if (familyOf(link.vxlan.local) !== familyOf(entry.destination)) return { code: "EAFNOSUPPORT" };
    this.#fdb.set(identityOf(entry), entry);
    return undefined;
  }

  #resolved<T extends Route>(
    route: T,
    insert: (route: T) => Refusal | undefined,
  ): Refusal | undefined {
    const { nexthop } = route;
    if (nexthop === undefined) return insert(route);
    // An old kernel leaves out the attribute that it does not know. Source: net/ipv4/fib_semantics.c of Linux 5.2.
    if (!this.#hasNexthops) return { code: "ENODEV" };
    return this.#nexthops.resolve({ ...route, nexthop }, insert);
  }
}
