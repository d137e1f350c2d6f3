import type { Clock } from "./clock.ts";

/** Node fires a timer of more than 2³¹−1 ms after 1 ms (invariant B7). */
const TIMER_MAX_MS = 2_147_483_647;

/** The machine's monotonic clock and Node's timers. */
export class SystemClock implements Clock {
  nowMs(): number {
    return performance.now();
  }

  wallClock(): Date {
    return new Date();
  }

  async sleep(ms: number, signal: AbortSignal): Promise<void> {
    const endMs = this.nowMs() + ms;
    for (let leftMs = ms; leftMs > 0; leftMs = endMs - this.nowMs())
      await wait(Math.min(leftMs, TIMER_MAX_MS), signal);
    signal.throwIfAborted();
  }

  /** Immediates run after the sockets were read and before the next timers: source Node's event loop guide, phase "check". */
  yield(): Promise<void> {
    return new Promise((resolve) => setImmediate(resolve));
  }
}

function wait(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const abort = (): void => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = setTimeout(() => {
      signal.removeEventListener("abort", abort);
      resolve();
    }, ms);
    if (signal.aborted) abort();
    else signal.addEventListener("abort", abort, { once: true });
  });
}
