import type { RouteEvent } from "linux";
import type { Clock } from "../system/clock.ts";

/** Something that a host's kernel said it did. */
export interface KernelChange {
  /** When it was read here; the kernel did it before. Milliseconds of the clock. */
  readonly atMs: number;
  readonly event: RouteEvent;
}

/** Older changes are forgotten first. */
const MAX_CHANGES = 50_000;

/** Reads what a kernel says of its links, addresses, routes, neighbours and FDB, from the moment it is opened. */
export class KernelWitness {
  readonly #changes: KernelChange[] = [];
  readonly #stop: AbortController = new AbortController();
  readonly #reading: Promise<void>;
  #trouble: string | undefined;

  private constructor(events: AsyncIterable<readonly RouteEvent[]>, clock: Clock) {
    this.#reading = this.#read(events, clock);
  }

  /**
   * Watches the network namespace of a process.
   * @throws NetlinkError of `linux` when it cannot be watched
   */
  static async open(pid: number, clock: Clock): Promise<KernelWitness> {
    // Loaded when the first fault asks for it: a lab without faults needs no native code.
    const { RouteEvents } = await import("linux");
    const stop = new AbortController();
    const events = RouteEvents.open({ namespace: `/proc/${pid}/ns/net`, signal: stop.signal });
    const witness = new KernelWitness(events, clock);
    witness.#stop.signal.addEventListener("abort", () => {
      stop.abort();
    });
    return witness;
  }

  /** Why it sees nothing more, if so. */
  get trouble(): string | undefined {
    return this.#trouble;
  }

  changesSince(ms: number): readonly KernelChange[] {
    return this.#changes.filter(({ atMs }) => atMs >= ms);
  }

  async close(): Promise<void> {
    this.#stop.abort();
    await this.#reading;
  }

  async #read(events: AsyncIterable<readonly RouteEvent[]>, clock: Clock): Promise<void> {
    try {
      for await (const batch of events) {
        const atMs = clock.nowMs();
        this.#changes.push(...batch.map((event) => ({ atMs, event })));
        this.#changes.splice(0, Math.max(0, this.#changes.length - MAX_CHANGES));
      }
    } catch (error) {
      this.#trouble = String(error);
    }
  }
}

/** Whether a change can be an agent's: neighbours that the kernel resolves by itself come and go all the time. */
export function isLasting({ event }: KernelChange): boolean {
  if (event.kind === "overrun") {
    return true;
  }
  switch (event.object) {
    case "route":
      return event.route.table === MAIN_TABLE;
    case "neighbour":
      return event.neighbour.state === "permanent";
    case "fdb":
      return event.fdbEntry.destination !== undefined;
    default:
      return true;
  }
}

/** Source: linux/rtnetlink.h RT_TABLE_MAIN. */
const MAIN_TABLE = 254;
