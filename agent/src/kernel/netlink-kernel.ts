/**
 * The real kernel, through netlink. With its neighbours `netlink-*.ts` the only importer of the package `linux` in the agent, and the
 * place where that package's errors become ours. Neighbours, FDB entries and addresses are dumped per device, filtered by the kernel,
 * so that what else the node carries costs nothing.
 */
import {
  type AddressState,
  type Link as LinuxLink,
  MAIN_TABLE,
  NetlinkError,
  type NexthopState,
  RouteEvents,
  type RouteEvent,
  RouteSocket,
} from "linux";
import { AgentError, CAPABILITY_REMEDY } from "../core/errors.ts";
import { familyOf, parseIp } from "../core/ip.ts";
import type { Ip } from "../core/ip.ts";
import { localMac } from "../core/mac.ts";
import type {
  Change,
  ChangeResult,
  DefaultRoute,
  InterfaceAddress,
  InterfaceFacts,
  Kernel,
  KernelEvent,
  KernelObject,
  Neighbour,
  RouteLookup,
  Scope,
  Sysctl,
} from "./kernel.ts";
import {
  LinkNames,
  addressCidr,
  addressOf,
  blackholeOf,
  fdbEntryOf,
  linkOf,
  neighbourOf,
  readIp,
  routeOf,
} from "./netlink-objects.ts";
import { nexthopOf, unlessUnsupported } from "./netlink-nexthops.ts";
import { procSysctls } from "./netlink-sysctls.ts";
import type { Sysctls } from "./netlink-sysctls.ts";
import { NetlinkWriter } from "./netlink-writer.ts";
import { covers } from "./scope.ts";

/** Another network namespace, for tests: /proc/sys shows only the process's own, so sysctls need their own way. */
export interface OtherNamespace {
  /** Path that opens it: `/proc/PID/ns/net`. */
  readonly namespace: string;
  readonly sysctls: Sysctls;
}

export class NetlinkKernel implements Kernel {
  readonly #socket: RouteSocket;
  readonly #namespace: string | undefined;
  readonly #sysctls: Sysctls;
  readonly #writer: NetlinkWriter;
  /** As of the last dump. */
  #names = new LinkNames([]);
  /** Indexes of the devices that the last dump was about. */
  #watchedLinks: ReadonlySet<number> = new Set();

  private constructor(socket: RouteSocket, other: OtherNamespace | undefined) {
    this.#socket = socket;
    this.#namespace = other?.namespace;
    this.#sysctls = other?.sysctls ?? procSysctls;
    this.#writer = new NetlinkWriter(socket, this.#sysctls);
  }

  /** Acts in the process's own network namespace unless told otherwise. @throws AgentError "kernel-refused" */
  static open(other?: OtherNamespace): NetlinkKernel {
    const options = other === undefined ? {} : { namespace: other.namespace };
    return new NetlinkKernel(
      translated(() => RouteSocket.open(options)),
      other,
    );
  }

  close(): void {
    this.#socket.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
  }

  dump(scope: Scope): Promise<readonly KernelObject[]> {
    return translatedLater(() => this.#dump(scope));
  }

  apply(changes: readonly Change[]): Promise<readonly ChangeResult[]> {
    return translatedLater(() => this.#writer.apply(changes));
  }

  /**
   * Neighbour and FDB events are told of the devices in the last dump's scope only: the rest of a node's ARP traffic is no reason to look.
   * Of the agent's own neighbours, routes and nexthops nothing is told, so that thousands of peers neither fill the events' buffer nor wake it.
   */
  watch(signal: AbortSignal): AsyncIterable<KernelEvent> {
    const namespace = this.#namespace === undefined ? {} : { namespace: this.#namespace };
    // Opened here and not at the first read, so that nothing between the two is missed.
    const events = translated(() =>
      RouteEvents.open({
        ...namespace,
        kinds: ["link", "address", "route", "neighbour", "nexthop"],
        ignoredPort: this.#socket.port,
        signal,
      }),
    );
    return this.#tell(events);
  }

  hasNexthops(): Promise<boolean> {
    return translatedLater(async () => (await this.#nexthopStates()) !== undefined);
  }

  routesTo(destinations: readonly Ip[]): Promise<readonly (RouteLookup | undefined)[]> {
    return translatedLater(() => this.#routesTo(destinations));
  }

  interfaces(): Promise<{
    readonly interfaces: readonly InterfaceFacts[];
    readonly defaultRoutes: readonly DefaultRoute[];
  }> {
    return translatedLater(async () => {
      const links = await this.#socket.links();
      const addresses = Map.groupBy(await this.#socket.addresses(), (state) => state.linkIndex);
      return {
        interfaces: links.map((link) => ({
          name: link.name,
          index: link.index,
          mtu: link.mtu,
          up: link.up,
          addresses: (addresses.get(link.index) ?? []).flatMap(interfaceAddress),
        })),
        defaultRoutes: await this.#defaultRoutes(new LinkNames(links)),
      };
    });
  }

  async #dump(scope: Scope): Promise<readonly KernelObject[]> {
    const links = await this.#socket.links();
    const names = new LinkNames(links);
    this.#names = names;
    const watched = links.filter((link) => scope.links.includes(link.name));
    this.#watchedLinks = new Set(watched.map((link) => link.index));
    const objects: KernelObject[] = watched.map((link) => linkOf(link, names));
    for (const link of watched) await this.#carriedBy(link, objects);
    const nexthops = (await this.#nexthopStates()) ?? [];
    await collect(objects, nexthops, (state) => nexthopOf(state, names));
    await this.#routes(scope, names, objects);
    for (const path of scope.sysctls) objects.push(...(await this.#sysctl(path)));
    return objects;
  }

  async #carriedBy({ index, name }: LinuxLink, objects: KernelObject[]): Promise<void> {
    const filter = { linkIndex: index };
    const socket = this.#socket;
    // One after the other, so that what netlink said is not kept of all three at once.
    await collect(objects, await socket.addresses(filter), (state) => addressOf(name, state));
    await collect(objects, await socket.neighbours(filter), (entry) => neighbourOf(name, entry));
    await collect(objects, await socket.fdbEntries(filter), (entry) => fdbEntryOf(name, entry));
  }

  /** Undefined in a kernel without nexthop objects. */
  #nexthopStates(): Promise<readonly NexthopState[] | undefined> {
    return unlessUnsupported(() => this.#socket.nexthops());
  }

  async #routes(scope: Scope, names: LinkNames, objects: KernelObject[]): Promise<void> {
    const isCovered = covers(scope);
    for (const family of ["inet", "inet6"] as const) {
      const states = await this.#socket.routes({ family, table: MAIN_TABLE });
      await collect(objects, states, (state) => {
        const route = routeOf(state, names) ?? blackholeOf(state);
        return route !== undefined && isCovered(route) ? route : undefined;
      });
    }
  }

  async #sysctl(path: string): Promise<readonly Sysctl[]> {
    const value = await this.#sysctls.read(path);
    return value === undefined ? [] : [{ kind: "sysctl", path, value }];
  }

  async #defaultRoutes(names: LinkNames): Promise<readonly DefaultRoute[]> {
    const found: DefaultRoute[] = [];
    for (const [name, family] of [
      ["inet", 4],
      ["inet6", 6],
    ] as const)
      for (const state of await this.#socket.routes({ family: name, table: MAIN_TABLE })) {
        if (!state.destination.endsWith("/0") || state.type !== "unicast") continue;
        const link = names.of(state.linkIndex);
        found.push({ family, ...(link === "" ? {} : { link }) });
      }
    return found;
  }

  async #routesTo(destinations: readonly Ip[]): Promise<readonly (RouteLookup | undefined)[]> {
    const names = new LinkNames(await this.#socket.links());
    const answers = await this.#socket.routeTo(destinations);
    return destinations.map((destination, index) => {
      const answer = answers[index];
      // The kernel refuses to look up what it has no route to, or a route that says no.
      if (answer === undefined || answer instanceof NetlinkError) return undefined;
      const link = names.of(answer.linkIndex);
      if (link === "" || (answer.type !== "unicast" && answer.type !== "local")) return undefined;
      return {
        destination,
        link,
        ...(answer.gateway === undefined ? {} : { gateway: parseIp(answer.gateway) }),
        ...(answer.preferredSource === undefined
          ? {}
          : { source: parseIp(answer.preferredSource) }),
      };
    });
  }

  async *#tell(events: RouteEvents): AsyncGenerator<KernelEvent, void, undefined> {
    this.#writer.trustLinks(true);
    try {
      for await (const batch of events) {
        const isOverrun = batch.some(({ kind }) => kind === "overrun");
        if (isOverrun || batch.some(isAboutLink)) this.#writer.forgetLinks();
        if (isOverrun) yield { kind: "overrun" };
        else {
          const told = batch.filter((event) => this.#matters(event));
          if (told.length > 0) yield this.#event(told);
        }
      }
    } catch (error) {
      throw translation(error);
    } finally {
      this.#writer.trustLinks(false);
    }
  }

  /** Links and addresses take other objects along, which nobody tells of; so does the end of a nexthop object. */
  #event(told: readonly RouteEvent[]): KernelEvent {
    const about: Change[] = [];
    for (const event of told) {
      const object = this.#objectOf(event);
      if (event.kind === "overrun" || object === "any") return { kind: "changed" };
      if (object !== undefined) about.push({ action: isEnd(event) ? "remove" : "put", object });
    }
    return { kind: "changed", about };
  }

  /** Undefined for what the port has no word for, which is none of ours. */
  #objectOf(event: RouteEvent): KernelObject | "any" | undefined {
    if (event.kind === "overrun") return "any";
    switch (event.object) {
      case "neighbour":
        return this.#neighbourOf(event) ?? "any";
      case "fdb":
        return fdbEntryOf(this.#names.of(event.fdbEntry.linkIndex), event.fdbEntry) ?? "any";
      case "nexthop":
        return nexthopOf(event.nexthop, this.#names);
      case "route":
        if (event.route.type === "blackhole") return blackholeOf(event.route) ?? "any";
        // Several ways, or a device made since the last dump.
        return event.route.hops !== undefined || this.#names.of(event.route.linkIndex) === ""
          ? "any"
          : routeOf(event.route, this.#names);
      default:
        return "any";
    }
  }

  /** Undefined for what is neither permanent nor at its end: somebody may have made a permanent one so. */
  #neighbourOf(event: NeighbourEvent): Neighbour | undefined {
    const { neighbour } = event;
    const link = this.#names.of(neighbour.linkIndex);
    const address = readIp(neighbour.address);
    if (isEnd(event) && address !== undefined)
      return { kind: "neighbour", link, address, mac: NO_MAC };
    return neighbourOf(link, neighbour);
  }

  #matters(event: RouteEvent): boolean {
    if (event.kind === "overrun") return true;
    if (event.object === "neighbour") return this.#watchedLinks.has(event.neighbour.linkIndex);
    if (event.object === "fdb") return this.#watchedLinks.has(event.fdbEntry.linkIndex);
    return true;
  }
}

function isAboutLink(event: RouteEvent): boolean {
  return event.kind !== "overrun" && event.object === "link";
}

type NeighbourEvent = Extract<RouteEvent, { readonly object: "neighbour" }>;

/** A permanent neighbour that is removed fails first, and is then told of without its MAC. Source: net/core/neighbour.c neigh_delete. */
function isEnd(event: Exclude<RouteEvent, { readonly kind: "overrun" }>): boolean {
  return (
    event.kind === "remove" || (event.object === "neighbour" && event.neighbour.state === "failed")
  );
}

const NO_MAC = localMac(new Uint8Array(6));

function interfaceAddress(state: AddressState): readonly InterfaceAddress[] {
  const address = addressCidr(state);
  if (address === undefined) return [];
  const { deprecated, permanent, secondary } = state;
  // One flag with two meanings. Source: linux/if_addr.h IFA_F_SECONDARY, IFA_F_TEMPORARY.
  return [{ address, deprecated, permanent, temporary: secondary && familyOf(address) === 6 }];
}

/** Translated in one go: about a millisecond's worth. */
const OBJECTS_PER_STEP = 1_024;

/** Adds what netlink's objects are in the port's words, letting the event loop serve others now and then. */
async function collect<T>(
  objects: KernelObject[],
  states: readonly T[],
  translate: (state: T) => KernelObject | undefined,
): Promise<void> {
  for (const [index, state] of states.entries()) {
    if (index % OBJECTS_PER_STEP === OBJECTS_PER_STEP - 1)
      await new Promise((resolve) => setImmediate(resolve));
    const object = translate(state);
    if (object !== undefined) objects.push(object);
  }
}

function translated<T>(act: () => T): T {
  try {
    return act();
  } catch (error) {
    throw translation(error);
  }
}

async function translatedLater<T>(act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (error) {
    throw translation(error);
  }
}

/** A refusal of the kernel is an operating error; anything else is a mistake of ours and stays what it is. */
function translation(error: unknown): unknown {
  if (!(error instanceof NetlinkError)) return error;
  const remedy = error.code === "EPERM" ? `; ${CAPABILITY_REMEDY}` : "";
  return new AgentError("kernel-refused", `${error.message}${remedy}`, {
    retryable: error.code !== "EPERM",
    cause: error,
  });
}
