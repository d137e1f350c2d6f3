/** Virtual time for everything in one simulated world: what happens next is the earliest thing planned, nothing else. */
import type { Clock } from "agent/system/clock.ts";

/** More than this without time passing is a busy loop. */
const MAX_EVENTS_AT_ONCE = 20_000;

/** Of whatever is simulated (invariant B7). */
export class BusyLoop extends Error {
  override readonly name = "BusyLoop";
}

interface Planned {
  readonly atMs: number;
  readonly order: number;
  act: (() => void) | undefined;
}

/** Cancels what was planned; harmless when it has happened already. */
export type Cancel = () => void;

/** One queue of what happens when; between two things, every promise chain that can go on goes on. */
export class SimTime {
  #nowMs = 0;
  #order = 0;
  #atOnce = 0;
  readonly #heap: Planned[] = [];

  get nowMs(): number {
    return this.#nowMs;
  }

  /** How many things have happened so far: a measure of the work done. */
  events = 0;

  after(ms: number, act: () => void): Cancel {
    const planned: Planned = { atMs: this.#nowMs + Math.max(0, ms), order: this.#order++, act };
    this.#push(planned);
    return () => (planned.act = undefined);
  }

  /** Lets `ms` pass. @throws BusyLoop when time stands still for too many events */
  async pass(ms: number): Promise<void> {
    const endMs = this.#nowMs + ms;
    await settle();
    for (;;) {
      const next = this.#heap[0];
      if (next === undefined || next.atMs > endMs) break;
      this.#pop();
      const { act } = next;
      if (act === undefined) continue;
      this.#count(next.atMs);
      this.#nowMs = Math.max(this.#nowMs, next.atMs);
      act();
      await settle();
    }
    this.#nowMs = endMs;
  }

  #count(atMs: number): void {
    this.events++;
    this.#atOnce = atMs > this.#nowMs ? 0 : this.#atOnce + 1;
    if (this.#atOnce > MAX_EVENTS_AT_ONCE)
      throw new BusyLoop(`${MAX_EVENTS_AT_ONCE} events at ${this.#nowMs} ms: something spins`);
  }

  #push(planned: Planned): void {
    const heap = this.#heap;
    let index = heap.push(planned) - 1;
    while (index > 0) {
      const above = (index - 1) >> 1;
      const parent = heap[above];
      if (parent === undefined || !isEarlier(planned, parent)) break;
      heap[index] = parent;
      index = above;
    }
    heap[index] = planned;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return;
    let index = 0;
    for (;;) {
      const left = 2 * index + 1;
      const [a, b] = [heap[left], heap[left + 1]];
      const child = b !== undefined && a !== undefined && isEarlier(b, a) ? left + 1 : left;
      const smaller = heap[child];
      if (smaller === undefined || !isEarlier(smaller, last)) break;
      heap[index] = smaller;
      index = child;
    }
    heap[index] = last;
  }
}

function isEarlier(a: Planned, b: Planned): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);
}

/** The microtask queue is empty when this resolves: only then does Node run immediates. */
function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** The wall clock at the start of every world. */
const EPOCH_MS = Date.UTC(2000, 0, 1);

/** The true time, as the store's servers have it. */
export class TrueClock implements Clock {
  readonly #time: SimTime;

  constructor(time: SimTime) {
    this.#time = time;
  }

  nowMs(): number {
    return this.#time.nowMs;
  }

  wallClock(): Date {
    return new Date(EPOCH_MS + this.#time.nowMs);
  }

  sleep(ms: number, signal: AbortSignal): Promise<void> {
    return sleepOn(signal, (wake) => this.#time.after(ms, wake));
  }

  yield(): Promise<void> {
    return new Promise((resolve) => this.#time.after(0, resolve));
  }
}

/** What a machine's clocks do wrong; shared by all its agents, one after the other. */
export interface ClockErrors {
  /** Monotonic milliseconds for each true one. */
  rate: number;
  /** Milliseconds that the wall clock is ahead. */
  wallOffsetMs: number;
  /** Wall milliseconds for each true one since a moment in true time; 1 when absent. */
  wallPace?: { readonly sinceMs: number; readonly pace: number } | undefined;
}

/**
 * The clock of one agent's life: it runs at its machine's rate, stands still towards the agent while that is paused, and is dead
 * after a crash. A timer that came due during a pause fires at its end, before anything else arrives (invariant B6).
 */
export class AgentClock implements Clock {
  readonly #time: SimTime;
  readonly #errors: ClockErrors;
  #lastTrueMs: number;
  #localMs: number;
  #paused = false;
  #dead = false;
  #due: (() => void)[] = [];

  constructor(time: SimTime, errors: ClockErrors) {
    this.#time = time;
    this.#errors = errors;
    this.#lastTrueMs = time.nowMs;
    this.#localMs = time.nowMs;
  }

  nowMs(): number {
    const trueMs = this.#time.nowMs;
    this.#localMs += (trueMs - this.#lastTrueMs) * this.#errors.rate;
    this.#lastTrueMs = trueMs;
    return this.#localMs;
  }

  wallClock(): Date {
    const { nowMs } = this.#time;
    const { wallOffsetMs, wallPace } = this.#errors;
    const gainedMs = wallPace === undefined ? 0 : (nowMs - wallPace.sinceMs) * (wallPace.pace - 1);
    return new Date(EPOCH_MS + nowMs + wallOffsetMs + gainedMs);
  }

  sleep(ms: number, signal: AbortSignal): Promise<void> {
    return sleepOn(signal, (wake) => this.timer(ms, wake));
  }

  yield(): Promise<void> {
    return new Promise((resolve) => this.timer(0, resolve));
  }

  /** Calls back after `ms` of this machine's time, later when paused then, never after a crash. */
  timer(ms: number, act: () => void): Cancel {
    const targetMs = this.nowMs() + Math.max(0, ms);
    let cancelled = false;
    const fire = (): void => {
      if (cancelled || this.#dead) return;
      if (this.#paused) {
        this.#due.push(fire);
        return;
      }
      // A sum of fractions must not end just before the time that was asked for.
      this.#localMs = Math.max(this.nowMs(), targetMs);
      act();
    };
    const cancel = this.#time.after(Math.max(0, ms) / this.#errors.rate, fire);
    return () => {
      cancelled = true;
      cancel();
    };
  }

  pause(): void {
    this.#paused = true;
  }

  /** Fires what came due, in order, each as an event of its own. */
  resume(): void {
    this.#paused = false;
    const due = this.#due;
    this.#due = [];
    for (const fire of due) this.#time.after(0, fire);
  }

  die(): void {
    this.#dead = true;
    this.#due = [];
  }
}

function sleepOn(signal: AbortSignal, plan: (wake: () => void) => Cancel): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) {
      reject(signal.reason);
      return;
    }
    const abort = (): void => {
      cancel();
      reject(signal.reason);
    };
    const cancel = plan(() => {
      signal.removeEventListener("abort", abort);
      resolve();
    });
    signal.addEventListener("abort", abort, { once: true });
  });
}
