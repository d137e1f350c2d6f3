import { formatEvent } from "./event-text.ts";
import type { RunEvent } from "./events.ts";

export interface ReplayOptions {
  /** How many times as fast as it was; undefined prints without waiting. */
  readonly speed?: number;
  /** Milliseconds of the run to begin at; what was before is summed up. */
  readonly fromMs: number;
}

/** Prints a run again in its order; `sleep` waits between events that were apart. */
export async function replay(
  events: readonly RunEvent[],
  options: ReplayOptions,
  world: {
    readonly print: (text: string) => void;
    readonly sleep: (ms: number) => Promise<void>;
    readonly signal: AbortSignal;
  },
): Promise<void> {
  const before = events.filter(({ at }) => at < options.fromMs);
  if (before.length > 0) {
    world.print(formatStateAt(before, options.fromMs));
  }
  let lastMs = options.fromMs;
  for (const event of events.slice(before.length)) {
    if (options.speed !== undefined && event.at > lastMs) {
      await world.sleep((event.at - lastMs) / options.speed);
    }
    if (world.signal.aborted) {
      return;
    }
    lastMs = Math.max(lastMs, event.at);
    world.print(`${formatTime(event.at)}  ${formatEvent(event)}\n`);
  }
}

/** What was so at a moment: the step, the faults that were on, the leases, the agents. */
export function formatStateAt(before: readonly RunEvent[], atMs: number): string {
  const faults = new Map<string, string>();
  const leases = new Map<string, string>();
  const agents = new Map<string, string>();
  const violated = new Set<string>();
  let step = "no step yet";
  for (const event of before) {
    if (event.type === "step-began") {
      step = `step ${event.step}`;
    } else if (event.type === "fault-injected") {
      faults.set(event.fault, `${event.name} ${event.target}`);
    } else if (event.type === "fault-healed") {
      faults.delete(event.fault);
    } else if (event.type === "lease-changed" && event.kind === "put") {
      leases.set(event.key, `${event.key} of ${event.owner ?? "nobody"}`);
    } else if (event.type === "lease-changed") {
      leases.delete(event.key);
    } else if (event.type === "agent-started") {
      agents.set(event.host, "runs");
    } else if (event.type === "agent-ended") {
      agents.set(event.host, "ended");
    } else if (event.type === "invariant-violated") {
      violated.add(event.id);
    }
  }
  const list = (words: Iterable<string>): string => [...words].toSorted().join(", ") || "none";
  return [
    `${formatTime(atMs)}  state: ${step}`,
    `  faults: ${list(faults.values())}`,
    `  leases: ${list(leases.values())}`,
    `  agents: ${list([...agents].map(([host, state]) => `${host} ${state}`))}`,
    `  violated: ${list(violated)}`,
    "",
  ].join("\n");
}

/** `+  12.345 s` */
function formatTime(ms: number): string {
  return `+${(ms / 1000).toFixed(3).padStart(8)} s`;
}
