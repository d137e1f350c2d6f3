/**
 * A kernel in memory. It obeys Linux's own rules as far as the objects of the port go (kernel.contract.ts holds it and the
 * real one to them), and prints itself like ip(8) and bridge(8).
 */
import { cidrAddress, cidrLength, containsIp, familyOf } from "../core/ip.ts";
import type { Cidr, Family, Ip } from "../core/ip.ts";
import { isUnicastMac, localMac } from "../core/mac.ts";
import { EventQueue } from "./event-queue.ts";
import { identityOf, isCompatible, isExclusive, isSame } from "./identity.ts";
import type {
  Address,
  Change,
  ChangeResult,
  DefaultRoute,
  FdbEntry,
  InterfaceFacts,
  Kernel,
  KernelEvent,
  KernelObject,
  Link,
  Neighbour,
  Route,
  RouteLookup,
  Scope,
  Sysctl,
} from "./kernel.ts";
import { MemoryRoutes, defaultMetric } from "./memory-routes.ts";
import { INCOMPATIBLE_LINK, printObject, refusedChange } from "./print.ts";
import type { Refusal } from "./print.ts";
import { covers } from "./scope.ts";

/** A device that is there before the agent comes: a card, a bridge. */
export interface MemoryInterface {
  readonly name: string;
  /** 1500 when absent. */
  readonly mtu?: number;
  readonly addresses?: readonly Cidr[];
  /** True when absent. */
  readonly up?: boolean;
  /** As `ip -d link` names it; a card when absent. */
  readonly type?: string;
}

export interface MemoryKernelOptions {
  /** Whether it has IPv6 sysctls; true when absent. */
  readonly ipv6?: boolean;
}

/** IFNAMSIZ without the zero byte at its end. Source: linux/if.h. */
const LINK_NAME_LIMIT = 15;
/** Outer headers, and the inner Ethernet header. Source: linux/vxlan.h VXLAN_HEADROOM, VXLAN6_HEADROOM. */
const VXLAN_OVERHEAD_BYTES: Record<Family, number> = { 4: 50, 6: 70 };

interface IndexedLink {
  readonly link: Link;
  readonly index: number;
}

export class MemoryKernel implements Kernel {
  readonly #hasIpv6: boolean;
  readonly #links = new Map<string, IndexedLink>();
  /** By link, in the order they were added. */
  readonly #addresses = new Map<string, readonly Address[]>();
  readonly #neighbours = new Map<string, Neighbour>();
  readonly #fdb = new Map<string, FdbEntry>();
  readonly #sysctls = new Map<string, Sysctl>();
  /** What a sysctl was before anybody wrote it, so that only the written ones print. */
  readonly #untouched = new Set<string>();
  readonly #routes = new MemoryRoutes({
    isUp: (name) => this.#link(name)?.up,
    holderOf: (address) => this.#holderOf(address),
  });
  readonly #watchers = new Set<EventQueue>();
  readonly #refusals = new Set<(change: Change) => Refusal | undefined>();
  #lastIndex = 0;

  constructor({ ipv6 = true }: MemoryKernelOptions = {}) {
    this.#hasIpv6 = ipv6;
  }

  // The port.

  async dump(scope: Scope): Promise<readonly KernelObject[]> {
    return [...this.#everything()].filter(covers(scope));
  }

  async apply(changes: readonly Change[]): Promise<readonly ChangeResult[]> {
    return changes.map((change) => {
      const refusal = this.#injected(change) ?? this.#make(change);
      if (refusal !== undefined) return { change, error: refusedChange(change, refusal) };
      this.#emit({ kind: "changed" });
      return { change };
    });
  }

  watch(signal: AbortSignal): AsyncIterable<KernelEvent> {
    const queue = new EventQueue(signal);
    this.#watchers.add(queue);
    signal.addEventListener("abort", () => this.#watchers.delete(queue), { once: true });
    return queue;
  }

  async routesTo(destinations: readonly Ip[]): Promise<readonly (RouteLookup | undefined)[]> {
    return destinations.map((destination) => this.#routeTo(destination));
  }

  async interfaces(): Promise<{
    readonly interfaces: readonly InterfaceFacts[];
    readonly defaultRoutes: readonly DefaultRoute[];
  }> {
    return {
      interfaces: [...this.#links.values()].map(({ link, index }) => ({
        name: link.name,
        index,
        mtu: link.mtu,
        up: link.up,
        addresses: this.#addressesOf(link.name).map(({ address }) => ({
          address,
          deprecated: false,
          permanent: true,
          temporary: false,
        })),
      })),
      defaultRoutes: [...this.#routes.all()]
        .filter((route) => cidrLength(route.destination) === 0)
        .map((route) => ({ family: familyOf(route.destination), link: route.link })),
    };
  }

  // The world around the agent.

  addInterface({ name, mtu = 1500, addresses = [], up = true, type = "" }: MemoryInterface): void {
    const mac = localMac(Uint8Array.of(2, 0, 0, 0, 0, this.#lastIndex + 1));
    this.#addLink({ kind: "link", name, type, mac, mtu, up });
    for (const address of addresses) this.#putAddress({ kind: "address", link: name, address });
    this.#emit({ kind: "changed" });
  }

  /** Equivalent to `ip link set NAME up` or `down`. */
  setUp(name: string, up: boolean): void {
    const link = this.#link(name);
    if (link === undefined) throw new Error(`no link ${name}`);
    this.#setLink({ ...link, up });
    this.#emit({ kind: "changed" });
  }

  /** Equivalent to `ip link delete NAME`. */
  removeInterface(name: string): void {
    this.#removeLink(name);
    this.#emit({ kind: "changed" });
  }

  /** Equivalent to `ip address add ADDRESS dev LINK`. */
  addAddress(link: string, address: Cidr): void {
    throwRefusal(this.#putAddress({ kind: "address", link, address }));
    this.#emit({ kind: "changed" });
  }

  /** Equivalent to `ip address delete ADDRESS dev LINK`. */
  removeAddress(link: string, address: Cidr): void {
    this.#removeAddress({ kind: "address", link, address });
    this.#emit({ kind: "changed" });
  }

  /** A route that somebody else puts, behind others for the same destination. Equivalent to `ip route append`. */
  addRoute(route: Omit<Route, "kind"> & { readonly metric?: number }): void {
    const metric = route.metric ?? defaultMetric(familyOf(route.destination));
    throwRefusal(this.#routes.append({ ...route, kind: "route", metric }));
    this.#emit({ kind: "changed" });
  }

  /** Refuses the changes that `matches` until the returned function is called. */
  refuse(matches: (change: Change) => boolean, code: string, detail?: string): () => void {
    const refusal = (change: Change): Refusal | undefined =>
      matches(change) ? { code, detail } : undefined;
    this.#refusals.add(refusal);
    return () => this.#refusals.delete(refusal);
  }

  /** Tells the watchers that events were lost. */
  overrun(): void {
    this.#emit({ kind: "overrun" });
  }

  /** One line for each object, sorted; of sysctls those that were written. */
  print(): string {
    const lines = [...this.#everything()]
      .filter((object) => object.kind !== "sysctl" || !this.#untouched.has(object.path))
      .map(printObject);
    return lines.toSorted().join("\n");
  }

  // Linux's rules.

  *#everything(): Generator<KernelObject> {
    for (const { link } of this.#links.values()) yield link;
    for (const addresses of this.#addresses.values()) yield* addresses;
    yield* this.#neighbours.values();
    yield* this.#fdb.values();
    yield* this.#routes.reported();
    yield* this.#sysctls.values();
  }

  #injected(change: Change): Refusal | undefined {
    for (const refusal of this.#refusals) {
      const found = refusal(change);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  #make({ action, object }: Change): Refusal | undefined {
    return action === "put" ? this.#put(object) : this.#remove(object);
  }

  #put(object: KernelObject): Refusal | undefined {
    switch (object.kind) {
      case "link":
        return this.#putLink(object);
      case "address":
        return this.#putAddress(object);
      case "neighbour":
        if (this.#link(object.link) === undefined) return { code: "ENODEV" };
        this.#neighbours.set(identityOf(object), object);
        return undefined;
      case "fdb":
        return this.#putFdbEntry(object);
      case "route":
        return this.#routes.put(object);
      case "sysctl":
        return this.#putSysctl(object);
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
      case "route":
        this.#routes.remove(object);
        break;
      case "sysctl":
        return { code: "EPERM", detail: "a sysctl cannot be removed" };
    }
    return undefined;
  }

  #putLink(link: Link): Refusal | undefined {
    if (link.name === "" || link.name.length > LINK_NAME_LIMIT)
      return { code: "ERANGE", detail: "Attribute failed policy validation." };
    const existing = this.#link(link.name);
    const room = this.#largestMtu(link);
    if (existing === undefined) {
      const refusal = this.#checkNewLink(link);
      if (refusal !== undefined) return refusal;
      this.#addLink({ ...link, mtu: Math.min(link.mtu, room) });
      return undefined;
    }
    if (!isCompatible(existing, link)) return INCOMPATIBLE_LINK;
    if (!isUnicastMac(link.mac)) return { code: "EADDRNOTAVAIL" };
    if (link.mtu > room && link.mtu !== existing.mtu) return { code: "EINVAL" };
    this.#setLink(link);
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
    const lower = vxlan === undefined ? undefined : this.#link(vxlan.lowerLink);
    if (vxlan === undefined || lower === undefined) return Number.POSITIVE_INFINITY;
    return lower.mtu - VXLAN_OVERHEAD_BYTES[familyOf(vxlan.local)];
  }

  #addLink(link: Link): void {
    this.#lastIndex++;
    this.#links.set(link.name, { link, index: this.#lastIndex });
    if (!this.#hasIpv6) return;
    const path = `net/ipv6/conf/${link.name}/accept_ra`;
    this.#sysctls.set(path, { kind: "sysctl", path, value: "1" });
    this.#untouched.add(path);
  }

  #setLink(link: Link): void {
    const existing = this.#links.get(link.name);
    if (existing === undefined) return;
    this.#links.set(link.name, { link, index: existing.index });
    // Source: net/core/neighbour.c neigh_changeaddr.
    if (existing.link.mac !== link.mac) this.#flushNeighbours(link.name);
    if (existing.link.up && !link.up) this.#takeDown(link.name);
    if (!existing.link.up && link.up)
      for (const { address } of this.#addressesOf(link.name))
        this.#routes.addConnected(link.name, address);
  }

  /** Routes, neighbours and IPv6 addresses go with the interface; FDB entries and IPv4 addresses stay. */
  #takeDown(name: string): void {
    this.#routes.flush(name);
    this.#flushNeighbours(name);
    const kept = this.#addressesOf(name).filter(({ address }) => familyOf(address) === 4);
    this.#addresses.set(name, kept);
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
    this.#routes.flush(name);
    this.#flushNeighbours(name);
    this.#addresses.delete(name);
    for (const [identity, entry] of this.#fdb) if (entry.link === name) this.#fdb.delete(identity);
    for (const path of this.#sysctls.keys())
      if (path.split("/").includes(name)) this.#sysctls.delete(path);
    // A tunnel goes with the device that carries its packets.
    for (const { link } of this.#links.values())
      if (link.vxlan?.lowerLink === name) this.#removeLink(link.name);
  }

  #putAddress(object: Address): Refusal | undefined {
    const link = this.#link(object.link);
    if (link === undefined) return { code: "ENODEV" };
    const addresses = this.#addressesOf(object.link);
    if (addresses.some((other) => isSame(other, object))) return undefined;
    const twin = addresses.some(
      (other) => cidrAddress(other.address) === cidrAddress(object.address),
    );
    // Source: net/ipv6/addrconf.c inet6_addr_modify, which leaves the length as it is.
    if (twin && familyOf(object.address) === 6) return undefined;
    this.#addresses.set(object.link, [...addresses, object]);
    if (link.up) this.#routes.addConnected(object.link, object.address);
    return undefined;
  }

  #removeAddress({ link, address }: Address): void {
    const before = this.#addressesOf(link);
    const after = before.filter((other) => other.address !== address);
    if (after.length === before.length) return;
    this.#addresses.set(link, after);
    this.#routes.removeConnected(link, address);
    for (const other of after)
      if (this.#link(link)?.up === true) this.#routes.addConnected(link, other.address);
    // Without its last IPv4 address a link has no IPv4. Source: net/ipv4/fib_frontend.c fib_disable_ip.
    if (familyOf(address) === 4 && !after.some((other) => familyOf(other.address) === 4)) {
      this.#routes.flush(link, 4);
      this.#flushNeighbours(link, 4);
    }
  }

  #putFdbEntry(entry: FdbEntry): Refusal | undefined {
    const link = this.#link(entry.link);
    if (link === undefined) return { code: "ENODEV" };
    if (link.vxlan === undefined) return { code: "EOPNOTSUPP" };
    if (familyOf(link.vxlan.local) !== familyOf(entry.destination)) return { code: "EAFNOSUPPORT" };
    this.#fdb.set(identityOf(entry), entry);
    return undefined;
  }

  #putSysctl(sysctl: Sysctl): Refusal | undefined {
    if (!this.#sysctls.has(sysctl.path))
      return sysctl.optional === true ? undefined : { code: "ENOENT" };
    this.#sysctls.set(sysctl.path, { kind: "sysctl", path: sysctl.path, value: sysctl.value });
    this.#untouched.delete(sysctl.path);
    return undefined;
  }

  #routeTo(destination: Ip): RouteLookup | undefined {
    if (this.#holderOf(destination) !== undefined)
      return { destination, link: "lo", source: destination };
    const route = this.#routes.lookup(destination);
    if (route === undefined) return undefined;
    const source = this.#sourceFor(route.link, route.gateway ?? destination);
    return {
      destination,
      link: route.link,
      ...(route.gateway === undefined ? {} : { gateway: route.gateway }),
      ...(source === undefined ? {} : { source }),
    };
  }

  /** The link's address in the prefix of the next hop, else its first one. */
  #sourceFor(link: string, nextHop: Ip): Ip | undefined {
    const addresses = this.#addressesOf(link)
      .map(({ address }) => address)
      .filter((address) => familyOf(address) === familyOf(nextHop));
    const nearest = addresses.find((address) => containsIp(address, nextHop)) ?? addresses[0];
    return nearest === undefined ? undefined : cidrAddress(nearest);
  }

  #link(name: string): Link | undefined {
    return this.#links.get(name)?.link;
  }

  #addressesOf(link: string): readonly Address[] {
    return this.#addresses.get(link) ?? [];
  }

  #holderOf(address: Ip): string | undefined {
    for (const [link, addresses] of this.#addresses)
      if (addresses.some((held) => cidrAddress(held.address) === address)) return link;
    return undefined;
  }

  #emit(event: KernelEvent): void {
    for (const watcher of this.#watchers) watcher.push(event);
  }
}

function throwRefusal(refusal: Refusal | undefined): void {
  if (refusal !== undefined) throw new Error(refusal.detail ?? refusal.code);
}
