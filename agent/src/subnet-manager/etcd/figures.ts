import { Histogram } from "../../core/histogram.ts";
import type { StoreFigures, StoreVerb } from "../subnet-manager.ts";

/** What the subnet manager has done so far and knows of its lease, kept for whoever shows it: nothing here decides anything. */
export class Figures {
  /** How far the peers were followed. */
  revision: number | undefined;
  renewals = 0;
  /** Monotonic time at which our lease runs out as far as this node knows; undefined while it has none or cannot know. */
  leaseEndsMs: number | undefined;
  readonly #restarts = { resumed: 0, relisted: 0 };
  readonly #durations: Readonly<Record<StoreVerb, Histogram>> = byVerb(() => new Histogram());
  readonly #failures: Record<StoreVerb, number> = byVerb(() => 0);

  /** A watch that ended was taken up again, where it was or with a list of everything. */
  restarted(how: "resumed" | "relisted"): void {
    this.#restarts[how]++;
  }

  claimed({ expiresAtMs }: { readonly expiresAtMs?: number }): void {
    this.leaseEndsMs = expiresAtMs;
  }

  /** A request has ended, whatever its answer. */
  asked(verb: StoreVerb, seconds: number, answered: boolean): void {
    this.#durations[verb].observe(seconds);
    if (!answered) this.#failures[verb]++;
  }

  get values(): StoreFigures {
    return {
      store_watch_restarts_total: { ...this.#restarts },
      store_lease_renewals_total: this.renewals,
      store_request_duration_seconds: byVerb((verb) => this.#durations[verb].figures),
      store_request_failures_total: { ...this.#failures },
    };
  }
}

function byVerb<T>(value: (verb: StoreVerb) => T): Record<StoreVerb, T> {
  return {
    range: value("range"),
    txn: value("txn"),
    grant: value("grant"),
    revoke: value("revoke"),
    "time-to-live": value("time-to-live"),
  };
}
