import { setTimeout as delay } from "node:timers/promises";

/** The only place of the lab that reads or waits for time. */
export interface Clock {
  /** Wall clock, for logs and files. */
  isoTime(): string;
  /** Milliseconds of a clock that only goes forward; all processes of a machine share it. */
  nowMs(): number;
  /** Ends early, without an error, when the signal aborts. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

const NANOSECONDS_PER_MS = 1e6;

export const systemClock: Clock = {
  isoTime: () => new Date().toISOString(),
  // Of CLOCK_MONOTONIC, while performance.now() counts from each process's own start. Source: libuv, uv_hrtime.
  nowMs: () => Number(process.hrtime.bigint()) / NANOSECONDS_PER_MS,
  sleep: async (ms, signal) => {
    if (signal?.aborted === true) {
      return;
    }
    const ended = delay(ms, undefined, signal === undefined ? {} : { signal });
    await ended.catch((error: unknown) => {
      if (signal?.aborted !== true) {
        throw error;
      }
    });
  },
};

/** A point in time after which waiting ends. */
export interface Deadline {
  remainingMs(): number;
  passed(): boolean;
}

export function deadlineIn(clock: Clock, ms: number): Deadline {
  const endMs = clock.nowMs() + ms;
  return {
    remainingMs: () => Math.max(0, endMs - clock.nowMs()),
    passed: () => clock.nowMs() >= endMs,
  };
}

/**
 * Asks until the answer is not undefined, and returns it; undefined when the deadline passed or the signal aborted.
 */
export async function poll<T>(
  clock: Clock,
  options: { readonly everyMs: number; readonly deadline: Deadline; readonly signal?: AbortSignal },
  ask: () => Promise<T | undefined> | T | undefined,
): Promise<T | undefined> {
  for (;;) {
    const answer = await ask();
    if (answer !== undefined) {
      return answer;
    }
    if (options.deadline.passed() || options.signal?.aborted === true) {
      return undefined;
    }
    await clock.sleep(Math.min(options.everyMs, options.deadline.remainingMs()), options.signal);
  }
}
