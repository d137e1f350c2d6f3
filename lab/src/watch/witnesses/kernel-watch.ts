import type { RouteEvent, RouteEvents, RouteSocket } from "linux";
import { messageOf } from "../../errors.ts";
import type { Blindness, DumpedHost, KernelBaseline, KernelChanges } from "../sightings.ts";
import {
  dumpWithNames,
  type NamespaceDump,
  namesOf,
  toChanges,
  toHostKernel,
  toObjects,
} from "./kernel-values.ts";

/** A kernel that changes during each of so many dumps is taken as it is. */
const BASELINE_TRIES = 5;

export interface KernelWatchOptions {
  readonly host: string;
  /** Path of the host's network namespace, `/proc/PID/ns/net`. */
  readonly namespace: string;
  /** Milliseconds since the run began. */
  readonly now: () => number;
  readonly see: (sighting: KernelChanges | KernelBaseline | Blindness) => void;
}

/** Sees what one host's kernel does, from the moment it is opened, and dumps it when asked. */
export class KernelWatch {
  readonly #options: KernelWatchOptions;
  readonly #socket: RouteSocket;
  readonly #events: RouteEvents;
  readonly #reading: Promise<void>;
  #names: Map<number, string> = new Map();
  /** Events that came while the baseline is dumped; undefined when there is one. */
  #early: RouteEvent[] | undefined = [];
  #closed = false;

  private constructor(options: KernelWatchOptions, socket: RouteSocket, events: RouteEvents) {
    this.#options = options;
    this.#socket = socket;
    this.#events = events;
    this.#reading = this.#read();
  }

  /** @throws NetlinkError of `linux` when the namespace cannot be entered */
  static async open(options: KernelWatchOptions): Promise<KernelWatch> {
    // Loaded when a run is watched: a lab that is only up needs no native code.
    const { RouteEvents: Events, RouteSocket: Socket } = await import("linux");
    const { namespace } = options;
    const socket = Socket.open({ namespace });
    const events = Events.open({ namespace, kinds: ["link", "address", "route", "neighbour"] });
    const watch = new KernelWatch(options, socket, events);
    await watch.#takeBaseline();
    return watch;
  }

  /** @throws NetlinkError of `linux` when the host is gone */
  async dump(): Promise<DumpedHost> {
    const dump = await this.#dump();
    return {
      host: this.#options.host,
      kernel: toHostKernel(dump),
      links: dump.links.map(({ name, mtu }) => ({ name, mtu })),
    };
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#events.close();
    await this.#reading;
    this.#socket.close();
  }

  #dump(): Promise<NamespaceDump> {
    return dumpWithNames(() => this.#readTables());
  }

  async #readTables(): Promise<NamespaceDump> {
    const [links, routes, neighbours, fdb] = await Promise.all([
      this.#socket.links(),
      this.#socket.routes({ table: MAIN_TABLE }),
      this.#socket.neighbours(),
      this.#socket.fdbEntries(),
    ]);
    return { links, routes, neighbours, fdb };
  }

  /** Events before the dump are in it; told again after it, they would tell a story that never was. */
  async #takeBaseline(): Promise<void> {
    let dump: NamespaceDump | undefined;
    for (let attempt = 0; attempt < BASELINE_TRIES; attempt += 1) {
      this.#early = [];
      dump = await this.#dump();
      if (this.#early.length === 0) {
        break;
      }
    }
    const early = this.#early ?? [];
    this.#early = undefined;
    if (dump !== undefined) {
      this.#names = namesOf(dump.links);
      const { host, now, see } = this.#options;
      see({ witness: "kernel", kind: "baseline", at: now(), host, objects: toObjects(dump) });
      this.#tell(early);
    }
  }

  async #read(): Promise<void> {
    try {
      for await (const batch of this.#events) {
        if (batch.some(({ kind }) => kind === "overrun")) {
          this.#tellBlind("kernel events were lost");
          await this.#takeBaseline();
        } else if (this.#early === undefined) {
          this.#tell(batch);
        } else {
          this.#early.push(...batch);
        }
      }
    } catch (error) {
      if (!this.#closed) {
        this.#tellBlind(messageOf(error));
      }
    }
  }

  #tell(batch: readonly RouteEvent[]): void {
    const { host, now, see } = this.#options;
    const changes = batch.flatMap((event) => toChanges(event, this.#names));
    if (changes.length > 0) {
      see({ witness: "kernel", kind: "changes", at: now(), host, changes });
    }
  }

  #tellBlind(why: string): void {
    const { host, now, see } = this.#options;
    see({ witness: "kernel", kind: "blind", at: now(), host, why: `${host}: ${why}` });
  }
}

/** Source: linux/rtnetlink.h RT_TABLE_MAIN. */
const MAIN_TABLE = 254;
