/** Whether the kernel has been behind the wish for so long that pods can no longer count on this node. */
import type { Clock } from "./system/clock.ts";

/** A burst of errors or a device that is made anew is over sooner. */
const BEHIND_MS = 30_000;

export class Lag {
  readonly #clock: Pick<Clock, "nowMs">;
  readonly #onBehind: (behind: boolean) => void;
  #sinceMs: number | undefined;

  /** @param onBehind told after each pass, that is at least every ten seconds */
  constructor(clock: Pick<Clock, "nowMs">, onBehind: (behind: boolean) => void) {
    this.#clock = clock;
    this.#onBehind = onBehind;
  }

  /** A pass is over. Refused changes of single peers are no failure of it: they harm nobody else. */
  passed(failed: boolean): void {
    const nowMs = this.#clock.nowMs();
    this.#sinceMs = failed ? (this.#sinceMs ?? nowMs) : undefined;
    this.#onBehind(this.#sinceMs !== undefined && nowMs - this.#sinceMs >= BEHIND_MS);
  }
}
