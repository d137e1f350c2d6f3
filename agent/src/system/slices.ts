/** Long computations in slices, so that the event loop serves everything else meanwhile. */
import type { Clock } from "./clock.ts";

/** A computation that may be interrupted wherever it yields. */
export type Steps<Result> = Generator<void, Result, undefined>;

/** A fifth of the longest block that is allowed, since a slice ends only at the next step. */
const SLICE_MS = 2;
/** Looking at the clock costs as much as several steps. */
const STEPS_PER_LOOK = 32;

export class Slices {
  readonly #clock: Pick<Clock, "nowMs" | "yield">;
  #steps = 0;
  #beganMs: number;

  constructor(clock: Pick<Clock, "nowMs" | "yield">) {
    this.#clock = clock;
    this.#beganMs = clock.nowMs();
  }

  async run<Result>(steps: Steps<Result>): Promise<Result> {
    for (;;) {
      const step = steps.next();
      if (step.done === true) return step.value;
      if (++this.#steps % STEPS_PER_LOOK === 0) await this.breathe();
    }
  }

  /** Lets others run when this slice is used up. */
  async breathe(): Promise<void> {
    if (this.#clock.nowMs() - this.#beganMs >= SLICE_MS) await this.#clock.yield();
    else return;
    this.#beganMs = this.#clock.nowMs();
  }
}

/** All in one go. */
export function finish<Result>(steps: Steps<Result>): Result {
  for (;;) {
    const step = steps.next();
    if (step.done === true) return step.value;
  }
}
