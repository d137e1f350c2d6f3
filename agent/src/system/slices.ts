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

/** Does the same with each in steps of many. */
export function* each<Item>(items: readonly Item[], act: (item: Item) => void): Steps<void> {
  for (let start = 0; start < items.length; start += ITEMS_PER_STEP) {
    if (start > 0) yield;
    actOn(items, start, act);
  }
}

/** Apart, since a generator's own loop makes an object for each turn. */
function actOn<Item>(items: readonly Item[], start: number, act: (item: Item) => void): void {
  const end = Math.min(start + ITEMS_PER_STEP, items.length);
  for (let index = start; index < end; index++) act(items[index] as Item);
}

/** The same for a map as it is now. Two lists are made faster, and of less, than a pair for each entry. */
export function* eachEntry<Key, Value>(
  entries: ReadonlyMap<Key, Value>,
  act: (key: Key, value: Value) => void,
): Steps<void> {
  const values = [...entries.values()];
  let index = 0;
  yield* each([...entries.keys()], (key) => act(key, values[index++] as Value));
}

/** All in one go. */
export function finish<Result>(steps: Steps<Result>): Result {
  for (;;) {
    const step = steps.next();
    if (step.done === true) return step.value;
  }
}
