/** The one loop that writes to the kernel, and what wakes it. */
import { AgentError } from "./core/errors.ts";
import { firstOf } from "./core/latest.ts";
import type { Lease } from "./core/lease.ts";
import { RETRY_MS_MIN } from "./daemon-back-off.ts";
import type { ReconcileCounters } from "./daemon-counters.ts";
import { Passes } from "./daemon-passes.ts";
import type { PassParts, ReconcileState } from "./daemon-passes.ts";
import type { Clock } from "./system/clock.ts";
import { together } from "./together.ts";

export { NO_PREDECESSOR } from "./daemon-passes.ts";
export type { Predecessor, ReconcileState, Surroundings } from "./daemon-passes.ts";

/** After a pass in which the kernel could not be read at all. */
const UNREADABLE_MS_MAX = 10_000;

export interface Reconciler {
  /** The peers to program from now on; the own lease is not among them. */
  setPeers(peers: readonly Lease[]): void;
  /** One whole pass now. Resolves to what the kernel refused. @throws AgentError "kernel-refused" when nothing could be read or sent */
  pass(): Promise<readonly Error[]>;
  /** Passes on every lease change, kernel event and sweep, until the signal aborts. */
  run(signal: AbortSignal): Promise<void>;
  /** What it has done so far, for whoever shows it. */
  counters(): ReconcileCounters;
  /** The same with all there is to say; with ten thousand peers some milliseconds of work. */
  state(): ReconcileState;
}

export function openReconciler(parts: PassParts): Reconciler {
  const passes = new Passes(parts);
  return {
    setPeers: (peers) => passes.setPeers(peers),
    counters: () => passes.counters,
    state: () => passes.state,
    async pass() {
      const { failures } = await passes.whole("start");
      return failures.map(({ error }) => error);
    },
    run: (signal) =>
      together(signal, [(stop) => loop(parts, passes, stop), (stop) => watch(parts, passes, stop)]),
  };
}

async function loop(parts: PassParts, passes: Passes, signal: AbortSignal): Promise<void> {
  let unreadableMs = RETRY_MS_MIN;
  for (;;) {
    await rest(parts.clock, passes, signal);
    try {
      await passes.due();
      unreadableMs = RETRY_MS_MIN;
    } catch (error) {
      // A kernel that cannot be read at all is a reason to try again, not to end: the data path stands meanwhile.
      if (!(error instanceof AgentError)) throw error;
      passes.unreadable(error.message);
      await parts.clock.sleep(unreadableMs, signal);
      unreadableMs = Math.min(unreadableMs * 2, UNREADABLE_MS_MAX);
      passes.look("retry", 0);
    }
  }
}

/** Resolves when a pass is due. */
async function rest(clock: Clock, passes: Passes, signal: AbortSignal): Promise<void> {
  for (;;) {
    signal.throwIfAborted();
    const leftMs = passes.dueMs - clock.nowMs();
    if (leftMs <= 0) return;
    await firstOf(signal, [
      () => new Promise<void>((resolve) => (passes.wake = resolve)),
      (over) => clock.sleep(leftMs, over),
    ]);
  }
}

async function watch(parts: PassParts, passes: Passes, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    try {
      const events = parts.kernel.watch(signal);
      // What changed between the last dump and this moment was told to nobody.
      passes.look("kernel-event");
      for await (const event of events) {
        if (event.kind === "overrun")
          parts.log.warn({}, "kernel events were lost, looking at everything");
        if (event.kind === "overrun" || passes.isNews(event.about)) passes.look("kernel-event");
      }
    } catch (error) {
      if (signal.aborted) break;
      parts.log.warn({ err: error }, "kernel events ended, subscribing again");
    }
    if (signal.aborted) break;
    await parts.clock.sleep(RETRY_MS_MIN, signal);
  }
  signal.throwIfAborted();
}
