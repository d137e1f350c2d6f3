/** The newest of a series of values: who reads slowly misses the ones between, and memory holds one. */
export class Latest<Value> {
  #value: Value | undefined;
  #version = 0;
  #failure: { readonly error: unknown } | undefined;
  readonly #waiting = new Set<() => void>();

  /** Undefined before the first. */
  get value(): Value | undefined {
    return this.#value;
  }

  /** Counts the values so far. */
  get version(): number {
    return this.#version;
  }

  set(value: Value): void {
    this.#value = value;
    this.#version++;
    this.#wake();
  }

  /** No value will follow: everybody who waits for one gets the error. */
  fail(error: unknown): void {
    this.#failure = { error };
    this.#wake();
  }

  /** Waits until there were more values than `version`. Rejects with the signal's reason when it aborts. */
  async changedSince(version: number, signal: AbortSignal): Promise<void> {
    for (;;) {
      signal.throwIfAborted();
      if (this.#version > version) return;
      if (this.#failure !== undefined) throw this.#failure.error;
      await new Promise<void>((resolve) => {
        const wake = (): void => {
          this.#waiting.delete(wake);
          signal.removeEventListener("abort", wake);
          resolve();
        };
        this.#waiting.add(wake);
        signal.addEventListener("abort", wake, { once: true });
      });
    }
  }

  #wake(): void {
    for (const wake of this.#waiting) wake();
  }
}

/** The same for all: an error made anew each time costs more than the wait. */
const OVER = new Error("another wait was over first");

/** Settles as the first of some waits does, and ends the others. */
export async function firstOf(
  signal: AbortSignal,
  waits: readonly ((signal: AbortSignal) => Promise<void>)[],
): Promise<void> {
  const stop = new AbortController();
  const either = AbortSignal.any([signal, stop.signal]);
  try {
    await Promise.race(waits.map((wait) => wait(either)));
  } finally {
    stop.abort(OVER);
  }
}
