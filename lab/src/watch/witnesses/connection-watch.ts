import type { Clock } from "../../system/clock.ts";
import { readText } from "../../system/files.ts";
import type { ConnectionsOpened } from "../sightings.ts";

const LOOK_EVERY_MS = 250;

export interface ConnectionWatchOptions {
  readonly clock: Clock;
  /** Milliseconds since the run began. */
  readonly now: () => number;
  readonly see: (sighting: ConnectionsOpened) => void;
}

/** Counts the TCP connections that each host begins, as its kernel does: nobody but the agent begins any. */
export class ConnectionWatch {
  readonly #options: ConnectionWatchOptions;
  readonly #hosts: Map<string, { readonly pid: number; count: number | undefined }> = new Map();

  constructor(options: ConnectionWatchOptions) {
    this.#options = options;
  }

  /** @param pid of a process in the host's network namespace */
  add(host: string, pid: number): void {
    this.#hosts.set(host, { pid, count: undefined });
  }

  remove(host: string): void {
    this.#hosts.delete(host);
  }

  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      this.look();
      await this.#options.clock.sleep(LOOK_EVERY_MS, signal);
    }
  }

  look(): void {
    for (const [host, known] of this.#hosts) {
      const count = connectionsBegun(readText(`/proc/${known.pid}/net/snmp`) ?? "");
      if (count !== undefined) {
        const { now, see } = this.#options;
        const opened = count - (known.count ?? count);
        known.count = count;
        see({ witness: "connection", kind: "opened", at: now(), host, opened });
      }
    }
  }
}

/** ActiveOpens of a namespace since it was made. Source: proc_net(5), RFC 4022 tcpActiveOpens; net/ipv4/proc.c. */
export function connectionsBegun(snmp: string): number | undefined {
  const [names, values] = snmp
    .split("\n")
    .filter((line) => line.startsWith("Tcp:"))
    .map((line) => line.split(" "));
  const at = names?.indexOf("ActiveOpens") ?? -1;
  const text = at < 0 ? undefined : values?.[at];
  return text === undefined ? undefined : Number(text);
}
