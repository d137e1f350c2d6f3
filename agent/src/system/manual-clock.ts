import type { Clock } from "./clock.ts";

const NEVER = new AbortController().signal;

interface Sleeper {
  readonly wakeMs: number;
  readonly order: number;
  wake(): void;
}

/** Time that moves only when told to; sleepers wake in order of their time, then of their arrival. */
export class ManualClock implements Clock {
  #nowMs = 0;
  #order = 0;
  #sleepers: Sleeper[] = [];

  nowMs(): number {
    return this.#nowMs;
  }

  wallClock(): Date {
    return new Date(Date.UTC(2000, 0, 1) + this.#nowMs);
  }

  /** How many wait at this moment. */
  get sleeping(): number {
    return this.#sleepers.length;
  }

  sleep(ms: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) {
        reject(signal.reason);
        return;
      }
      const leave = (): void => {
        this.#sleepers = this.#sleepers.filter((other) => other !== sleeper);
        signal.removeEventListener("abort", abort);
      };
      const abort = (): void => {
        leave();
        reject(signal.reason);
      };
      const sleeper: Sleeper = {
        wakeMs: this.#nowMs + Math.max(0, ms),
        order: this.#order++,
        wake: () => {
          leave();
          resolve();
        },
      };
      this.#sleepers.push(sleeper);
      signal.addEventListener("abort", abort, { once: true });
    });
  }

  /** Goes on within this moment, behind those who wait for it already. */
  yield(): Promise<void> {
    return this.sleep(0, NEVER);
  }

  /** Moves time on by `ms`, letting everything that a sleeper's waking starts run before the next one wakes. */
  async advance(ms: number): Promise<void> {
    const endMs = this.#nowMs + ms;
    await settle();
    for (let next = this.#next(); next !== undefined && next.wakeMs <= endMs; next = this.#next()) {
      this.#nowMs = Math.max(this.#nowMs, next.wakeMs);
      next.wake();
      await settle();
    }
    this.#nowMs = endMs;
  }

  #next(): Sleeper | undefined {
    return this.#sleepers.toSorted((a, b) => a.wakeMs - b.wakeMs || a.order - b.order)[0];
  }
}

/** Lets every promise chain that can go on without time or I/O go on. */
function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
