import { constants } from "node:os";
import {
  type AddressFilter,
  type AddressState,
  RTM_GETADDR,
  decodeAddress,
  encodeAddressFilter,
} from "./address.ts";
import { type SocketHandle, loadAddon } from "./addon.ts";
import { type Dump, encodeDump, readDump } from "./dump.ts";
import { CodecError, NetlinkError } from "./errors.ts";
import { type FdbEntryState, type FdbFilter, decodeFdbEntry, encodeFdbFilter } from "./fdb.ts";
import {
  type Link,
  type LinkFilter,
  type LinkReference,
  RTM_DELLINK,
  RTM_GETLINK,
  RTM_NEWLINK,
  decodeLink,
  encodeLinkFilter,
  getLink,
} from "./link.ts";
import { MessageReader } from "./message-reader.ts";
import { MessageWriter } from "./message-writer.ts";
import {
  type NeighbourEntry,
  type NeighbourFilter,
  RTM_GETNEIGH,
  decodeNeighbour,
  encodeNeighbourFilter,
} from "./neighbour.ts";
import {
  type NexthopFilter,
  type NexthopState,
  RTM_GETNEXTHOP,
  decodeNexthop,
  encodeNexthopFilter,
} from "./nexthop.ts";
import { type Request, encodeRequest } from "./request.ts";
import { type RouteLookup, decodeRouteLookup, getRoute } from "./route-lookup.ts";
import {
  RTM_GETROUTE,
  type RouteFilter,
  type RouteState,
  decodeRoute,
  encodeRouteFilter,
  isCloned,
} from "./route.ts";
import { isObject, readRefusal } from "./reply.ts";

/** Source: linux/netlink.h */
const NETLINK_ROUTE = 0;

/** Room for the answers to one batch, bytes. */
const RECEIVE_BUFFER_BYTES = 1 << 20;

/** Up to this many requests are answered faster than a thread could be woken. */
const MAX_SYNCHRONOUS_REQUESTS = 32;

/** Sequence numbers have 32 bits. */
const MAX_SEQUENCE = 0xffff_ffff;

/** A table that changes during every one of this many dumps is changing too fast to be read. */
const MAX_DUMP_ATTEMPTS = 20;

const NOTHING = (): void => undefined;

/** What became of a request: done, refused by the kernel, or impossible to write. */
export type Refusal = NetlinkError | CodecError | undefined;

export interface RouteSocketOptions {
  /** Path of the network namespace to act in, `/run/netns/a`; absent for the process's own. */
  readonly namespace?: string;
}

/**
 * Links, addresses, routes, nexthops, neighbours and FDB entries of one network namespace. Calls may
 * overlap; they reach the kernel one after the other. Source: rtnetlink(7).
 */
export class RouteSocket {
  readonly #handle: SocketHandle;
  #closed = false;
  #sequence = 0;
  #tail: Promise<void> = Promise.resolve();

  private constructor(handle: SocketHandle) {
    this.#handle = handle;
  }

  /** @throws NetlinkError when there is no such namespace, or no right to enter it */
  static open(options: RouteSocketOptions = {}): RouteSocket {
    const { namespace } = options;
    const handle = loadAddon().openSocket(NETLINK_ROUTE, namespace ?? null, RECEIVE_BUFFER_BYTES);
    if (typeof handle === "number") {
      const where = namespace === undefined ? "" : ` in ${namespace}`;
      throw new NetlinkError(`open a netlink socket${where}`, handle);
    }
    return new RouteSocket(handle);
  }

  /** The name under which the kernel tells of what was asked over this socket; 0 when it is closed. Source: netlink(7), nl_pid. */
  get port(): number {
    return loadAddon().socketPort(this.#handle);
  }

  /** Ends what has not reached the kernel yet with EBADF; what has is finished. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    loadAddon().closeSocket(this.#handle);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /**
   * Asks for many things at once, in order; a refusal does not stop the following ones. They are written down before this returns, while
   * the kernel may still be busy with what was asked before.
   * @returns for each request what the kernel refused, why it could not be sent, or undefined
   */
  execute(requests: readonly Request[]): Promise<readonly Refusal[]> {
    return this.#ask(requests, NOTHING);
  }

  /** One link; undefined when there is none. */
  async link(reference: LinkReference): Promise<Link | undefined> {
    let link: Link | undefined;
    const [refusal] = await this.#ask([getLink(reference)], (_, message) => {
      link = decodeLink(message) ?? link;
    });
    if (refusal instanceof NetlinkError && refusal.code === "ENODEV") return undefined;
    if (refusal !== undefined) throw refusal;
    return link;
  }

  /** Equivalent to `ip -details link show [master LINK] [type KIND]`. */
  async links(filter: LinkFilter = {}): Promise<readonly Link[]> {
    const links = await this.#dump({
      what: "links",
      messageType: RTM_GETLINK,
      filter: (writer) => encodeLinkFilter(writer, filter),
      decode: decodeLink,
    });
    // The kernel takes a kind that it does not know for no filter at all.
    return filter.kind === undefined ? links : links.filter((link) => link.kind === filter.kind);
  }

  /** Equivalent to `ip address show [dev LINK]`. */
  addresses(filter: AddressFilter = {}): Promise<readonly AddressState[]> {
    return this.#dump({
      what: "addresses",
      messageType: RTM_GETADDR,
      filter: (writer) => encodeAddressFilter(writer, filter),
      decode: decodeAddress,
    });
  }

  /** Equivalent to `ip route show table all`, narrowed by the filter. */
  routes(filter: RouteFilter = {}): Promise<readonly RouteState[]> {
    return this.#dump({
      what: "routes",
      messageType: RTM_GETROUTE,
      filter: (writer) => encodeRouteFilter(writer, filter),
      decode: (message) => (isCloned(message) ? undefined : decodeRoute(message)),
    });
  }

  /** Equivalent to `ip nexthop show`. */
  nexthops(filter: NexthopFilter = {}): Promise<readonly NexthopState[]> {
    return this.#dump({
      what: "nexthops",
      messageType: RTM_GETNEXTHOP,
      filter: (writer) => encodeNexthopFilter(writer, filter),
      decode: decodeNexthop,
    });
  }

  /** Equivalent to `ip neighbour show nud all`. */
  neighbours(filter: NeighbourFilter = {}): Promise<readonly NeighbourEntry[]> {
    return this.#dump({
      what: "neighbours",
      messageType: RTM_GETNEIGH,
      filter: (writer) => encodeNeighbourFilter(writer, filter),
      decode: decodeNeighbour,
    });
  }

  /** Equivalent to `bridge fdb show`. */
  fdbEntries(filter: FdbFilter = {}): Promise<readonly FdbEntryState[]> {
    return this.#dump({
      what: "FDB entries",
      messageType: RTM_GETNEIGH,
      filter: (writer) => encodeFdbFilter(writer, filter),
      decode: decodeFdbEntry,
    });
  }

  /**
   * The way packets to these addresses would take: one answer each, the kernel's refusal
   * (ENETUNREACH) where there is none.
   * @throws CodecError for text that is not an address
   */
  async routeTo(addresses: readonly string[]): Promise<readonly (RouteLookup | NetlinkError)[]> {
    const found: (RouteLookup | NetlinkError | undefined)[] = [];
    const refusals = await this.#ask(addresses.map(getRoute), (index, message) => {
      found[index] = decodeRouteLookup(addresses[index] ?? "", message);
    });
    return addresses.map((address, index) => {
      const answer = refusals[index] ?? found[index];
      if (answer instanceof CodecError) throw answer;
      if (answer === undefined) throw new CodecError(`no answer about the route to ${address}`);
      return answer;
    });
  }

  /** Sends requests; hands every object that comes back to `reply` with the index of its request. */
  async #ask(
    requests: readonly Request[],
    reply: (index: number, message: MessageReader) => void,
  ): Promise<readonly Refusal[]> {
    if (requests.length === 0) return [];
    const first = this.#claimSequences(requests.length);
    const writer = new MessageWriter();
    const results: Refusal[] = requests.map((request, index) =>
      encodeRequest(writer, request, first + index),
    );
    if (writer.bytes.length === 0) return results;
    const received = await this.#exchange(writer.bytes, true, areQuick(requests));
    const message = new MessageReader(received);
    while (message.next()) {
      const index = message.sequence - first;
      const request = requests[index];
      if (request === undefined) continue;
      const refusal = readRefusal(message, request);
      if (refusal !== undefined) results[index] = refusal;
      else if (isObject(message)) reply(index, message);
    }
    return results;
  }

  async #dump<T>(dump: Dump<T>): Promise<readonly T[]> {
    for (let attempt = 0; attempt < MAX_DUMP_ATTEMPTS; attempt += 1) {
      const sequence = this.#claimSequences(1);
      const received = await this.#exchange(encodeDump(dump, sequence), false, false);
      const found = await inSteps(readDump(received, sequence, dump));
      if (found !== undefined) return found;
    }
    throw new NetlinkError(`dump ${dump.what}, which change all the time`, constants.errno.EINTR);
  }

  /** Runs one exchange with the kernel after all that were begun before it. */
  #exchange(bytes: Uint8Array, acknowledge: boolean, quick: boolean): Promise<Uint8Array> {
    const exchanged = this.#tail.then(async () => {
      if (this.#closed) throw new NetlinkError("use a closed socket", constants.errno.EBADF);
      const addon = loadAddon();
      const received = quick
        ? addon.exchangeSync(this.#handle, bytes, acknowledge)
        : await addon.exchange(this.#handle, bytes, acknowledge);
      if (typeof received === "number") throw new NetlinkError("talk to the kernel", received);
      return received;
    });
    this.#tail = exchanged.then(NOTHING, NOTHING);
    return exchanged;
  }

  #claimSequences(count: number): number {
    if (this.#sequence > MAX_SEQUENCE - count) this.#sequence = 0;
    const first = this.#sequence + 1;
    this.#sequence += count;
    return first;
  }
}

/** Lets the event loop serve others between two steps. */
async function inSteps<T>(steps: Generator<void, T, undefined>): Promise<T> {
  for (;;) {
    const step = steps.next();
    if (step.done === true) return step.value;
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** Making and removing a link can wait long for the kernel's locks, so it never happens on the event loop. */
function areQuick(requests: readonly Request[]): boolean {
  return (
    requests.length <= MAX_SYNCHRONOUS_REQUESTS &&
    requests.every(({ messageType }) => messageType !== RTM_NEWLINK && messageType !== RTM_DELLINK)
  );
}
