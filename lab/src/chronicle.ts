import type { LabEvent, LabNews } from "./lab.ts";
import type { Clock } from "./system/clock.ts";

/** What happened in a lab, in its order, for those who follow it: agents that start and end, faults that end by themselves. */
export class Chronicle {
  readonly #clock: Clock;
  readonly #happened: { readonly atMs: number; readonly event: LabEvent }[] = [];
  #more: PromiseWithResolvers<void> = Promise.withResolvers();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  add(event: LabEvent): void {
    this.#happened.push({ atMs: this.#clock.nowMs(), event });
    this.#more.resolve();
    this.#more = Promise.withResolvers();
  }

  /** Waits until more than `after` events happened; an abort ends the waiting, and what there is is returned. */
  async read(after: number, signal: AbortSignal): Promise<LabNews> {
    if (this.#happened.length <= after && !signal.aborted) {
      const ended = Promise.withResolvers<void>();
      const end = (): void => {
        ended.resolve();
      };
      signal.addEventListener("abort", end, { once: true });
      await Promise.race([this.#more.promise, ended.promise]);
      signal.removeEventListener("abort", end);
    }
    const nowMs = this.#clock.nowMs();
    return {
      events: this.#happened
        .slice(after)
        .map(({ atMs, event }) => ({ agoMs: nowMs - atMs, event })),
      count: this.#happened.length,
    };
  }
}
