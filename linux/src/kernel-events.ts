import { type ReaderHandle, loadAddon } from "./addon.ts";
import { NetlinkError } from "./errors.ts";
import { MessageReader } from "./message-reader.ts";

/** Events were lost: only a dump tells what is there now. */
export interface Overrun {
  readonly kind: "overrun";
}

export interface KernelEventsOptions {
  /** Path of the network namespace to watch; absent for the process's own. */
  readonly namespace?: string;
  /** Ends the iteration when it aborts. */
  readonly signal?: AbortSignal;
  /** Room for events that are not read yet; 4 MiB when absent. */
  readonly receiveBufferBytes?: number;
  /** The port of a socket whose own requests are not told of, where a source says so: `RouteSocket.port`. */
  readonly ignoredPort?: number;
}

/** Whom to listen to, and what is understood. */
export interface EventSource<Event> {
  /** Netlink protocol. Source: linux/netlink.h */
  readonly protocol: number;
  readonly groups: readonly number[];
  /** Messages that say no more than was asked for, so that whoever asked need not be told. */
  readonly echoes?: readonly number[];
  /** For an error: `route changes`. */
  readonly what: string;
  /** Undefined for what is of no interest. @throws CodecError */
  decode(message: MessageReader): Event | undefined;
}

/** Room for events that are not read yet. Source: feasibility measurements, 10,000 neighbours in a burst. */
const RECEIVE_BUFFER_BYTES = 4 << 20;

/**
 * What the kernel tells through netlink's multicast groups, in batches. Watching begins when it is made, so a dump made after it misses
 * nothing; a thread of its own reads the socket meanwhile. Iterate once; leaving the iteration closes it.
 */
export class KernelEvents<Event> implements AsyncIterable<readonly (Event | Overrun)[]> {
  readonly #source: EventSource<Event>;
  readonly #handle: ReaderHandle;
  readonly #signal: AbortSignal | undefined;
  readonly #close = (): void => this.close();
  #closed = false;
  #woken = Promise.withResolvers<void>();

  /** @throws NetlinkError when there is no such namespace, or no right to enter it */
  constructor(source: EventSource<Event>, options: KernelEventsOptions) {
    const { namespace, signal, receiveBufferBytes = RECEIVE_BUFFER_BYTES } = options;
    const { ignoredPort = 0 } = options;
    this.#source = source;
    const handle = loadAddon().openReader(
      source.protocol,
      namespace ?? null,
      source.groups,
      receiveBufferBytes,
      () => this.#woken.resolve(),
      ignoredPort,
      source.echoes ?? [],
    );
    if (typeof handle === "number") {
      const where = namespace === undefined ? "" : ` in ${namespace}`;
      throw new NetlinkError(`watch ${source.what}${where}`, handle);
    }
    this.#handle = handle;
    this.#signal = signal;
    if (signal?.aborted === true) this.close();
    else signal?.addEventListener("abort", this.#close, { once: true });
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
  async *[Symbol.asyncIterator](): AsyncGenerator<readonly (Event | Overrun)[], void> {
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

  #take(): readonly (Event | Overrun)[] {
    const { bytes, overrun, errno } = loadAddon().takeEvents(this.#handle);
    if (errno !== 0) throw new NetlinkError("read kernel events", errno);
    const events: (Event | Overrun)[] = overrun ? [{ kind: "overrun" }] : [];
    const message = new MessageReader(bytes);
    while (message.next()) {
      const event = this.#source.decode(message);
      if (event !== undefined) events.push(event);
    }
    return events;
  }
}
