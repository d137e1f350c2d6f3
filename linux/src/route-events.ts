import { type AddressState, RTM_DELADDR, RTM_NEWADDR, decodeAddress } from "./address.ts";
import { type ReaderHandle, loadAddon } from "./addon.ts";
import { NetlinkError } from "./errors.ts";
import { type FdbEntryState, decodeFdbEntry } from "./fdb.ts";
import { type Link, RTM_DELLINK, RTM_NEWLINK, decodeLink } from "./link.ts";
import { MessageReader } from "./message-reader.ts";
import { type NeighbourEntry, RTM_DELNEIGH, RTM_NEWNEIGH, decodeNeighbour } from "./neighbour.ts";
import { type NexthopState, RTM_DELNEXTHOP, RTM_NEWNEXTHOP, decodeNexthop } from "./nexthop.ts";
import { NLM_F_REPLACE } from "./request.ts";
import { RTM_DELROUTE, RTM_NEWROUTE, type RouteState, decodeRoute, isCloned } from "./route.ts";

/** Source: linux/netlink.h */
const NETLINK_ROUTE = 0;

/** Multicast groups of each kind of object. Source: linux/rtnetlink.h RTNLGRP_LINK … */
const GROUPS = {
  link: [1],
  address: [5, 9],
  route: [7, 11],
  /** Neighbours and FDB entries come through one group. */
  neighbour: [3],
  nexthop: [32],
} as const;

/** A kind of object whose changes can be watched. */
export type WatchedKind = keyof typeof GROUPS;

const ALL_KINDS: readonly WatchedKind[] = ["link", "address", "route", "neighbour", "nexthop"];

/** Room for events that are not read yet. Source: feasibility measurements, 10,000 neighbours in a burst. */
const RECEIVE_BUFFER_BYTES = 4 << 20;

interface Change {
  /** `put`: it is there now, new or changed; `remove`: it is gone. */
  readonly kind: "put" | "remove";
}

/** One thing that happened in the kernel. */
export type RouteEvent =
  | (Change & { readonly object: "link"; readonly link: Link })
  | (Change & { readonly object: "address"; readonly address: AddressState })
  | (Change & {
      readonly object: "route";
      readonly route: RouteState;
      /** Set when it took the place of another route for its destination, of whose end nothing else is told. */
      readonly replaces?: true;
    })
  | (Change & { readonly object: "neighbour"; readonly neighbour: NeighbourEntry })
  | (Change & { readonly object: "fdb"; readonly fdbEntry: FdbEntryState })
  | (Change & { readonly object: "nexthop"; readonly nexthop: NexthopState })
  /** Events were lost: only a dump tells what is there now. */
  | { readonly kind: "overrun" };

export interface RouteEventsOptions {
  /** Path of the network namespace to watch; absent for the process's own. */
  readonly namespace?: string;
  /** What to watch; absent for everything. */
  readonly kinds?: readonly WatchedKind[];
  /** Ends the iteration when it aborts. */
  readonly signal?: AbortSignal;
  /** Room for events that are not read yet; 4 MiB when absent. */
  readonly receiveBufferBytes?: number;
}

/**
 * Changes of one network namespace, as they happen, in batches. Watching begins with `open`, so a
 * dump made after it misses nothing; a thread of its own reads the socket meanwhile. Iterate once;
 * leaving the iteration closes it. Equivalent to `ip monitor`.
 */
export class RouteEvents implements AsyncIterable<readonly RouteEvent[]> {
  readonly #handle: ReaderHandle;
  readonly #signal: AbortSignal | undefined;
  readonly #close = (): void => this.close();
  #closed = false;
  #woken = Promise.withResolvers<void>();

  private constructor(open: (wake: () => void) => ReaderHandle, signal: AbortSignal | undefined) {
    this.#handle = open(() => this.#woken.resolve());
    this.#signal = signal;
    if (signal?.aborted === true) this.close();
    else signal?.addEventListener("abort", this.#close, { once: true });
  }

  /** @throws NetlinkError when there is no such namespace, or no right to enter it */
  static open(options: RouteEventsOptions = {}): RouteEvents {
    const { namespace, kinds = ALL_KINDS, receiveBufferBytes = RECEIVE_BUFFER_BYTES } = options;
    const groups = [...new Set(kinds.flatMap((kind) => [...GROUPS[kind]]))];
    return new RouteEvents((wake) => {
      const handle = loadAddon().openReader(
        NETLINK_ROUTE,
        namespace ?? null,
        groups,
        receiveBufferBytes,
        wake,
      );
      if (typeof handle !== "number") return handle;
      const where = namespace === undefined ? "" : ` in ${namespace}`;
      throw new NetlinkError(`watch ${kinds.join(", ")} changes${where}`, handle);
    }, options.signal);
  }

  /** Ends the thread and the iteration. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#signal?.removeEventListener("abort", this.#close);
    loadAddon().closeReader(this.#handle);
    this.#woken.resolve();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** @throws NetlinkError when the socket can be read no more */
  async *[Symbol.asyncIterator](): AsyncGenerator<readonly RouteEvent[], void> {
    try {
      while (!this.#closed) {
        // Made anew before taking, so that no wake-up between the two is lost.
        this.#woken = Promise.withResolvers<void>();
        const batch = this.#take();
        if (batch.length > 0) yield batch;
        else await this.#woken.promise;
      }
    } finally {
      this.close();
    }
  }

  #take(): readonly RouteEvent[] {
    const { bytes, overrun, errno } = loadAddon().takeEvents(this.#handle);
    if (errno !== 0) throw new NetlinkError("read kernel events", errno);
    const events: RouteEvent[] = overrun ? [{ kind: "overrun" }] : [];
    const message = new MessageReader(bytes);
    while (message.next()) {
      const event = decodeEvent(message);
      if (event !== undefined) events.push(event);
    }
    return events;
  }
}

function decodeEvent(message: MessageReader): RouteEvent | undefined {
  switch (message.type) {
    case RTM_NEWLINK:
      return linkEvent("put", message);
    case RTM_DELLINK:
      return linkEvent("remove", message);
    case RTM_NEWADDR:
      return addressEvent("put", message);
    case RTM_DELADDR:
      return addressEvent("remove", message);
    case RTM_NEWROUTE:
      return routeEvent("put", message);
    case RTM_DELROUTE:
      return routeEvent("remove", message);
    case RTM_NEWNEIGH:
      return neighbourEvent("put", message);
    case RTM_DELNEIGH:
      return neighbourEvent("remove", message);
    case RTM_NEWNEXTHOP:
      return nexthopEvent("put", message);
    case RTM_DELNEXTHOP:
      return nexthopEvent("remove", message);
    default:
      return undefined;
  }
}

type ChangeKind = Change["kind"];

function linkEvent(kind: ChangeKind, message: MessageReader): RouteEvent | undefined {
  const link = decodeLink(message);
  return link && { kind, object: "link", link };
}

function addressEvent(kind: ChangeKind, message: MessageReader): RouteEvent | undefined {
  const address = decodeAddress(message);
  return address && { kind, object: "address", address };
}

function routeEvent(kind: ChangeKind, message: MessageReader): RouteEvent | undefined {
  const route = isCloned(message) ? undefined : decodeRoute(message);
  if (route === undefined) return undefined;
  const replaces = kind === "put" && (message.flags & NLM_F_REPLACE) !== 0;
  return { kind, object: "route", route, ...(replaces ? { replaces } : {}) };
}

function neighbourEvent(kind: ChangeKind, message: MessageReader): RouteEvent | undefined {
  const neighbour = decodeNeighbour(message);
  if (neighbour !== undefined) return { kind, object: "neighbour", neighbour };
  const fdbEntry = decodeFdbEntry(message);
  return fdbEntry && { kind, object: "fdb", fdbEntry };
}

function nexthopEvent(kind: ChangeKind, message: MessageReader): RouteEvent | undefined {
  const nexthop = decodeNexthop(message);
  return nexthop && { kind, object: "nexthop", nexthop };
}
