/** What the kernel refuses: when it is tried again, and what is said of it meanwhile. */
import { BackOff } from "./daemon-back-off.ts";
import type { Eagerness } from "./daemon-back-off.ts";
import type { Complaints } from "./daemon-complaints.ts";
import type { Cause } from "./daemon-counters.ts";
import { ByIdentity } from "./kernel/reconcile.ts";
import type {
  Identity,
  MayTry,
  PassReport,
  ReadonlyByIdentity,
  WishChanges,
} from "./kernel/reconcile.ts";
import type { Clock } from "./system/clock.ts";

/** A kernel event may say that what was in the way is gone; a sweep or another peer's change says nothing of the kind. */
const EAGERNESS: Record<Cause, Eagerness> = {
  start: "all",
  "kernel-event": "soon",
  retry: "due",
  sweep: "due",
  "lease-change": "due",
};

/** What was said of one thing that is refused. */
interface Complained {
  readonly of: Identity;
  readonly message: string;
}

export class Refusals {
  readonly #clock: Clock;
  readonly #complaints: Complaints;
  readonly #backOff = new BackOff();
  #refused: ReadonlyByIdentity<Complained> = new ByIdentity();

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
    const nowMs = this.#clock.nowMs();
    return (change) => this.#backOff.mayTry(change, nowMs, EAGERNESS[cause]);
  }

  /** Whether anything is refused that was not before. */
  areNew({ failures }: PassReport): boolean {
    return failures.some(({ change }) => !this.#backOff.has(change.object));
  }

  /** @param about what the pass was about, of which only `report` is left to say; everything when undefined */
  conclude({ failures, waiting }: PassReport, about: WishChanges | undefined, cause: Cause): void {
    const nowMs = this.#clock.nowMs();
    const refused = new ByIdentity<Complained>();
    const still = new ByIdentity<Identity>();
    for (const { object } of waiting) still.set(object, object);
    if (about !== undefined)
      for (const said of this.#refused.values())
        if (!about.has(said.of) || still.has(said.of)) refused.set(said.of, said);
    for (const failure of failures) {
      still.set(failure.change.object, failure.change.object);
      this.#backOff.refused(failure, nowMs, about === undefined);
    }
    for (const of of still.values()) {
      const error = this.#backOff.errorOf(of);
      if (error !== undefined) refused.set(of, { of, message: error.message });
    }
    // A retry is about all that is open.
    if (about === undefined || cause === "retry") this.#backOff.forgetAllBut(still);
    else for (const { of } of about.values()) if (!still.has(of)) this.#backOff.forget(of);
    this.#complaints.change(messages(refused), messages(this.#refused));
    this.#refused = refused;
  }
}

function messages(said: ReadonlyByIdentity<Complained>): readonly string[] {
  return said.values().map(({ message }) => message);
}
