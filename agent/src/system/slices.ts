/** Long computations in slices, so that the event loop serves everything else meanwhile. */
import type { Clock } from "./clock.ts";

/** A computation that may be interrupted wherever it yields. */
export type Steps<Result> = Generator<void, Result, undefined>;

/** A fifth of the longest block that is allowed, since a slice ends only at the next step. */
const SLICE_MS = 2;
/** A step costs as much as several of the things that are done in it, and ends with a look at the clock. */
const ITEMS_PER_STEP = 32;

export class Slices {
  readonly #clock: Pick<Clock, "nowMs" | "yield">;
  #beganMs: number;

  constructor(clock: Pick<Clock, "nowMs" | "yield">) {
    this.#clock = clock;
    this.#beganMs = clock.nowMs();
  }

  async run<Result>(steps: Steps<Result>): Promise<Result> {
    for (;;) {
      const step = steps.next();
      if (step.done === true) return step.value;
      if (this.#isOver) await this.breathe();
    }
  }

  /** Lets others run when this slice is used up. */
  async breathe(): Promise<void> {
    if (!this.#isOver) return;
    await this.#clock.yield();
    this.#beganMs = this.#clock.nowMs();
  }

  get #isOver(): boolean {
    return this.#clock.nowMs() - this.#beganMs >= SLICE_MS;
  }
}

/**
 * Whether a computation that has come to this item of many should `yield`. Loops count by an index and stand in the generator itself: V8
 * drops what it made of a function when the last closure of it goes, and a loop over an iterator makes an object for each turn.
 */
export function isStep(index: number): boolean {
  return index % ITEMS_PER_STEP === ITEMS_PER_STEP - 1;
}

/** All in one go. */
export function finish<Result>(steps: Steps<Result>): Result {
  for (;;) {
    const step = steps.next();
    if (step.done === true) return step.value;
  }
}
