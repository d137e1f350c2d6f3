/** What the kernel refuses: when it is tried again, and what is said of it meanwhile. */
import { BackOff } from "./daemon-back-off.ts";
import type { Eagerness } from "./daemon-back-off.ts";
import type { Complaints } from "./daemon-complaints.ts";
import type { Cause } from "./daemon-counters.ts";
import { identityOf } from "./kernel/reconcile.ts";
import type { MayTry, PassReport, WishChanges } from "./kernel/reconcile.ts";
import type { Clock } from "./system/clock.ts";

/** A kernel event may say that what was in the way is gone; a sweep or another peer's change says nothing of the kind. */
const EAGERNESS: Record<Cause, Eagerness> = {
  start: "all",
  "kernel-event": "soon",
  retry: "due",
  sweep: "due",
  "lease-change": "due",
};

export class Refusals {
  readonly #clock: Clock;
  readonly #complaints: Complaints;
  readonly #backOff = new BackOff();
  /** By identity, as it was complained of. */
  #refused: ReadonlyMap<string, string> = new Map();

  constructor(clock: Clock, complaints: Complaints) {
    this.#clock = clock;
    this.#complaints = complaints;
  }

  /** When something is due to be tried again. */
  get dueMs(): number {
    return this.#backOff.dueMs;
  }

  get open(): BackOff["open"] {
    return this.#backOff.open;
  }

  /** What a pass for this reason tries again. */
  patience(cause: Cause): MayTry {
    return (identity, change) =>
      this.#backOff.mayTry(identity, change, this.#clock.nowMs(), EAGERNESS[cause]);
  }

  /** Whether anything is refused that was not before. */
  areNew({ failures }: PassReport): boolean {
    return failures.some(({ change }) => !this.#backOff.has(identityOf(change.object)));
  }

  /** @param about what the pass was about, of which only `report` is left to say; everything when undefined */
  conclude({ failures, waiting }: PassReport, about: WishChanges | undefined, cause: Cause): void {
    const nowMs = this.#clock.nowMs();
    const refused = new Map(about === undefined ? [] : this.#refused);
    const still = new Set(waiting.map(({ object }) => identityOf(object)));
    for (const identity of about?.keys() ?? []) if (!still.has(identity)) refused.delete(identity);
    for (const failure of failures) {
      still.add(identityOf(failure.change.object));
      this.#backOff.refused(failure, nowMs, about === undefined);
    }
    for (const identity of still) {
      const error = this.#backOff.errorOf(identity);
      if (error !== undefined) refused.set(identity, error.message);
    }
    // A retry is about all that is open.
    if (about === undefined || cause === "retry") this.#backOff.forgetAllBut(still);
    else
      for (const identity of about.keys()) if (!still.has(identity)) this.#backOff.forget(identity);
    this.#complaints.change(refused.values(), this.#refused.values());
    this.#refused = refused;
  }
}
