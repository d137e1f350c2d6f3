/**
 * A kernel in memory: the port, and the world around it. It obeys Linux's own rules (memory-network.ts) as far as the objects of the port
 * go; kernel.contract.ts holds it and the real one to them. It prints itself like ip(8) and bridge(8).
 */
import { familyOf } from "../core/ip.ts";
import type { Cidr, Ip } from "../core/ip.ts";
import { localMac } from "../core/mac.ts";
import { EventQueue } from "./event-queue.ts";
import type {
  Change,
  ChangeResult,
  DefaultRoute,
  InterfaceFacts,
  Kernel,
  KernelEvent,
  KernelObject,
  Link,
  Nexthop,
  Route,
  RouteLookup,
  Scope,
} from "./kernel.ts";
import { MemoryNetwork } from "./memory-network.ts";
import { defaultMetric } from "./memory-routes.ts";
import { printObject, refusedChange } from "./print.ts";
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
  /** Whether it has nexthop objects, as Linux 5.3 and newer; true when absent. */
  readonly nexthops?: boolean;
}

export class MemoryKernel implements Kernel {
  readonly #network: MemoryNetwork;
  readonly #hasNexthops: boolean;
  readonly #watchers = new Set<EventQueue>();
  readonly #refusals = new Set<(change: Change) => Refusal | undefined>();
  #interfaces = 0;

  constructor({ ipv6 = true, nexthops = true }: MemoryKernelOptions = {}) {
    this.#hasNexthops = nexthops;
    this.#network = new MemoryNetwork({ ipv6, nexthops });
  }

  // The port.

  async dump(scope: Scope): Promise<readonly KernelObject[]> {
    return [...this.#network.everything()].filter(covers(scope));
  }

  async apply(changes: readonly Change[]): Promise<readonly ChangeResult[]> {
    return changes.map((change) => {
      const refusal = this.#injected(change) ?? this.#network.make(change);
      if (refusal !== undefined) return { change, error: refusedChange(change, refusal) };
      this.#tell(change);
      return { change };
    });
  }

  watch(signal: AbortSignal): AsyncIterable<KernelEvent> {
    const queue = new EventQueue(signal);
    this.#watchers.add(queue);
    signal.addEventListener("abort", () => this.#watchers.delete(queue), { once: true });
    return queue;
  }

  async hasNexthops(): Promise<boolean> {
    return this.#hasNexthops;
  }

  async routesTo(destinations: readonly Ip[]): Promise<readonly (RouteLookup | undefined)[]> {
    return destinations.map((destination) => this.#network.routeTo(destination));
  }

  async interfaces(): Promise<{
    readonly interfaces: readonly InterfaceFacts[];
    readonly defaultRoutes: readonly DefaultRoute[];
  }> {
    return {
      interfaces: this.#network.interfaces(),
      defaultRoutes: this.#network.defaultRoutes(),
    };
  }

  // The world around the agent.

  addInterface({ name, mtu = 1500, addresses = [], up = true, type = "" }: MemoryInterface): void {
    this.#interfaces++;
    const mac = localMac(Uint8Array.of(2, 0, 0, 0, 0, this.#interfaces));
    this.#network.addLink({ kind: "link", name, type, mac, mtu, up });
    for (const address of addresses) this.#change("put", { kind: "address", link: name, address });
    this.#emit({ kind: "changed" });
  }

  /** Equivalent to `ip link set NAME up` or `down`. */
  setUp(name: string, up: boolean): void {
    this.#network.setLink({ ...this.#existing(name), up });
    this.#emit({ kind: "changed" });
  }

  /** Whether the other end of the wire answers; it does on a new link. */
  setCarrier(name: string, carrier: boolean): void {
    this.#network.setCarrier(this.#existing(name).name, carrier);
    this.#emit({ kind: "changed" });
  }

  /** Equivalent to `ip link set NAME mtu MTU`. */
  setMtu(name: string, mtu: number): void {
    this.#network.setLink({ ...this.#existing(name), mtu });
    this.#emit({ kind: "changed" });
  }

  /** Equivalent to `ip link delete NAME`. */
  removeInterface(name: string): void {
    const link = this.#network.link(name);
    if (link !== undefined) this.#change("remove", link);
    this.#emit({ kind: "changed" });
  }

  /** Equivalent to `ip address add ADDRESS dev LINK`. */
  addAddress(link: string, address: Cidr): void {
    this.#change("put", { kind: "address", link, address });
    this.#emit({ kind: "changed" });
  }

  /** Equivalent to `ip address delete ADDRESS dev LINK`. */
  removeAddress(link: string, address: Cidr): void {
    this.#change("remove", { kind: "address", link, address });
    this.#emit({ kind: "changed" });
  }

  /** A route that somebody else puts, behind others for the same destination. Equivalent to `ip route append`. */
  addRoute(route: Omit<Route, "kind"> & { readonly metric?: number }): void {
    const metric = route.metric ?? defaultMetric(familyOf(route.destination));
    throwRefusal(this.#network.appendRoute({ ...route, kind: "route", metric }));
    this.#tell({ action: "put", object: { ...route, kind: "route" } });
  }

  /** A nexthop that somebody else puts, also one without a gateway. Equivalent to `ip nexthop replace`. */
  addNexthop(nexthop: Omit<Nexthop, "kind">): void {
    throwRefusal(this.#network.putNexthop({ ...nexthop, kind: "nexthop" }));
    this.#tell({ action: "put", object: { ...nexthop, kind: "nexthop" } });
  }

  /** Equivalent to `ip nexthop delete id ID`. */
  removeNexthop(id: number): void {
    const object = { kind: "nexthop", id, link: "", onlink: false, protocol: 0 } as const;
    this.#change("remove", object);
    this.#tell({ action: "remove", object });
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
    const lines = [...this.#network.everything()]
      .filter((object) => this.#network.isWritten(object))
      .map(printObject);
    return lines.toSorted().join("\n");
  }

  #injected(change: Change): Refusal | undefined {
    for (const refusal of this.#refusals) {
      const found = refusal(change);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  #existing(name: string): Link {
    const link = this.#network.link(name);
    if (link === undefined) throw new Error(`no link ${name}`);
    return link;
  }

  #change(action: Change["action"], object: KernelObject): void {
    throwRefusal(this.#network.make({ action, object }));
  }

  /** As Linux tells of it: what else comes and goes with a link or an address is not said. */
  #tell(change: Change): void {
    switch (change.object.kind) {
      case "link":
      case "address":
      case "sysctl":
        return this.#emit({ kind: "changed" });
      default:
        this.#emit({ kind: "changed", about: [change] });
    }
  }

  #emit(event: KernelEvent): void {
    for (const watcher of this.#watchers) watcher.push(event);
  }
}

function throwRefusal(refusal: Refusal | undefined): void {
  if (refusal !== undefined) throw new Error(refusal.detail ?? refusal.code);
}
