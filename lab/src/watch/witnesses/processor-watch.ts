import type { Clock } from "../../system/clock.ts";
import { readText } from "../../system/files.ts";
import type { AgentWaited } from "../sightings.ts";

const LOOK_EVERY_MS = 200;
/** Less is not worth telling. */
const STEP_MS = 50;
const NANOSECONDS_PER_MS = 1e6;

export interface ProcessorWatchOptions {
  readonly clock: Clock;
  /** Milliseconds since the run began. */
  readonly now: () => number;
  readonly see: (sighting: AgentWaited) => void;
}

/** Sees how long agents wait for a processor. Source: Linux Documentation/scheduler/sched-stats.rst, /proc/PID/schedstat. */
export class ProcessorWatch {
  readonly #options: ProcessorWatchOptions;
  readonly #agents: Map<string, { readonly path: string; toldMs: number }> = new Map();

  constructor(options: ProcessorWatchOptions) {
    this.#options = options;
  }

  /** From now on. Where the kernel does not count, or the process is out of sight, nothing is told. */
  add(host: string, pid: number): void {
    this.#agents.set(host, { path: `/proc/${pid}/schedstat`, toldMs: 0 });
  }

  remove(host: string): void {
    this.#agents.delete(host);
  }

  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      this.#look();
      await this.#options.clock.sleep(LOOK_EVERY_MS, signal);
    }
  }

  #look(): void {
    const { now, see } = this.#options;
    for (const [host, agent] of this.#agents) {
      const waitedMs = parseWaitedMs(readText(agent.path) ?? "");
      if (waitedMs !== undefined && waitedMs >= agent.toldMs + STEP_MS) {
        agent.toldMs = waitedMs;
        see({ witness: "processor", kind: "waited", at: now(), host, waitedMs });
      }
    }
  }
}

/** Reads the text of a file `schedstat`: nanoseconds on a processor, nanoseconds of waiting for one, and how often it had one. */
export function parseWaitedMs(text: string): number | undefined {
  const match = /^\d+ (\d+) \d+$/.exec(text.trim());
  return match === null ? undefined : Number(match[1]) / NANOSECONDS_PER_MS;
}
