/** What the loop has done so far, as plain numbers named as Prometheus names them. */
import { Histogram } from "./core/histogram.ts";
import type { HistogramFigures } from "./core/histogram.ts";

/** Why a pass was made. */
export type Cause = "start" | "lease-change" | "kernel-event" | "sweep" | "retry";
/** Whether everything was dumped and compared, or only what had changed was written. */
export type PassKind = "whole" | "part";

/** Counters only grow, from the start of the process; the two gauges are as of the last pass and the last dump. */
export interface ReconcileCounters {
  readonly reconcile_objects_wanted: number;
  /** Of those, how many the last dump found as wanted. */
  readonly reconcile_objects_present: number;
  readonly reconcile_objects_changed_total: Readonly<Record<Cause, number>>;
  /** Changes that the kernel refused, each try counted. */
  readonly reconcile_objects_refused_total: number;
  /** Changes that are refused, or held for one that is, at this moment. */
  readonly reconcile_objects_open: number;
  /** How many times one family of a peer was planned. */
  readonly reconcile_peers_planned_total: number;
  readonly reconcile_dumps_total: number;
  readonly reconcile_passes_total: Readonly<Record<Cause, Readonly<Record<PassKind, number>>>>;
  readonly reconcile_pass_duration_seconds: Readonly<Record<PassKind, HistogramFigures>>;
  readonly reconcile_pass_duration_seconds_max: Readonly<Record<PassKind, number>>;
}

/** What one pass did. */
export interface PassFigures {
  readonly cause: Cause;
  readonly kind: PassKind;
  readonly seconds: number;
  readonly wanted: number;
  readonly present: number;
  readonly changed: number;
  readonly refused: number;
  readonly open: number;
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] extends object ? Mutable<T[K]> : T[K] };

/** Kept by other means than by counting up. */
type Apart = "reconcile_peers_planned_total" | "reconcile_pass_duration_seconds";

/** A pass that is over. */
export interface PastPass extends PassFigures {
  /** Monotonic time of its end. */
  readonly endedMs: number;
}

export class Counters {
  planned = 0;
  readonly #latest = new Map<Cause, PastPass>();
  readonly #durations = { whole: new Histogram(), part: new Histogram() };
  readonly #counts: Omit<Mutable<ReconcileCounters>, Apart> = {
    reconcile_objects_wanted: 0,
    reconcile_objects_present: 0,
    reconcile_objects_changed_total: byCause(() => 0),
    reconcile_objects_refused_total: 0,
    reconcile_objects_open: 0,
    reconcile_dumps_total: 0,
    reconcile_passes_total: byCause(() => ({ whole: 0, part: 0 })),
    reconcile_pass_duration_seconds_max: { whole: 0, part: 0 },
  };

  get values(): ReconcileCounters {
    return {
      ...structuredClone(this.#counts),
      reconcile_peers_planned_total: this.planned,
      reconcile_pass_duration_seconds: {
        whole: this.#durations.whole.figures,
        part: this.#durations.part.figures,
      },
    };
  }

  /** The last pass of each cause, the newest first. */
  get latest(): readonly PastPass[] {
    return [...this.#latest.values()].toSorted((a, b) => b.endedMs - a.endedMs);
  }

  /** A pass that failed as a whole has no figures. */
  passed(figures: PassFigures, endedMs: number): void {
    const { cause, kind, seconds } = figures;
    this.#latest.set(cause, { ...figures, endedMs });
    this.#durations[kind].observe(seconds);
    const counts = this.#counts;
    counts.reconcile_objects_wanted = figures.wanted;
    counts.reconcile_objects_present = figures.present;
    counts.reconcile_objects_open = figures.open;
    counts.reconcile_objects_changed_total[cause] += figures.changed;
    counts.reconcile_objects_refused_total += figures.refused;
    if (kind === "whole") counts.reconcile_dumps_total++;
    counts.reconcile_passes_total[cause][kind]++;
    const longest = counts.reconcile_pass_duration_seconds_max;
    longest[kind] = Math.max(longest[kind], seconds);
  }
}

function byCause<T>(value: () => T): Record<Cause, T> {
  return {
    start: value(),
    "lease-change": value(),
    "kernel-event": value(),
    sweep: value(),
    retry: value(),
  };
}
