import type { KernelEvent } from "./kernel.ts";

/** Changes of a burst that are told one by one; of more than these it is only said that there were some. */
const MAX_ABOUT = 1024;

/** Events between a kernel and one watcher: a burst that nobody has read yet is one event, and an overrun outweighs a change. */
export class EventQueue implements AsyncIterable<KernelEvent> {
  readonly #signal: AbortSignal;
  #pending: KernelEvent | undefined;
  #failure: Error | undefined;
  #wake: () => void = () => undefined;

  constructor(signal: AbortSignal) {
    this.#signal = signal;
    signal.addEventListener("abort", () => this.#wake(), { once: true });
  }

  push(event: KernelEvent): void {
    this.#pending = this.#pending === undefined ? event : merged(this.#pending, event);
    this.#wake();
  }

  /** Ends the iteration with this error once the pending event was read. */
  fail(error: Error): void {
    this.#failure = error;
    this.#wake();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<KernelEvent, void, undefined> {
    while (!this.#signal.aborted) {
      const event = this.#pending;
      if (event !== undefined) {
        this.#pending = undefined;
        yield event;
      } else if (this.#failure !== undefined) throw this.#failure;
      else await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }
}

function merged(first: KernelEvent, second: KernelEvent): KernelEvent {
  if (first.kind === "overrun" || second.kind === "overrun") return { kind: "overrun" };
  if (first.about === undefined || second.about === undefined) return { kind: "changed" };
  if (first.about.length + second.about.length > MAX_ABOUT) return { kind: "changed" };
  return { kind: "changed", about: [...first.about, ...second.about] };
}
