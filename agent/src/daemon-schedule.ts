/** When to look again: at the whole kernel soon after a kernel event, at a changed lease at once, and never so often that it is all we do. */
import type { Cause } from "./daemon-counters.ts";

/** Drift that no kernel event told of is found this often (invariant D11). */
const SWEEP_MS = 10_000;
/** Kernel events come in bursts, our own changes among them: look once per burst. */
const BURST_MS = 100;
/** From one look to the next while events keep coming; what an event tells of is repaired within a second. */
const SPACING_MS = 500;
/** A look that costs more makes the next one wait longer: of the time, no more than one part in so many is spent on looking. */
const SPACING_PER_COST = 2;
/**
 * The same for passes over changed leases. The first is made at once; when many nodes join together the changes behind it are collected:
 * one pass about ten peers costs less than ten passes.
 */
const PART_SPACING_PER_COST = 10;
/** Half of this is the longest that a change waits on average in such a storm (invariant D4: half of all within 100 ms). */
const PART_SPACING_MS_MAX = 150;

export class Schedule {
  #sweepMs = 0;
  #askedMs = Number.POSITIVE_INFINITY;
  #cause: Cause = "sweep";
  #beganMs = Number.NEGATIVE_INFINITY;
  #spacingMs = 0;
  #partMs = Number.NEGATIVE_INFINITY;

  /** @param delayMs at least so long from now on */
  ask(cause: Cause, nowMs: number, delayMs: number = BURST_MS): void {
    if (nowMs + delayMs >= this.#askedMs) return;
    this.#askedMs = nowMs + delayMs;
    this.#cause = cause;
  }

  /** When the next look is due, and why. */
  get next(): { readonly atMs: number; readonly cause: Cause } {
    const askedMs = Math.max(this.#askedMs, this.#beganMs + this.#spacingMs);
    return askedMs < this.#sweepMs
      ? { atMs: askedMs, cause: this.#cause }
      : { atMs: this.#sweepMs, cause: "sweep" };
  }

  began(nowMs: number): void {
    this.#askedMs = Number.POSITIVE_INFINITY;
    this.#beganMs = nowMs;
    this.#sweepMs = nowMs + SWEEP_MS;
  }

  /** @param isElsewhere whether it found the node's surroundings changed: of several changes it may have seen but the first */
  ended(nowMs: number, isElsewhere = false): void {
    const costMs = nowMs - this.#beganMs;
    const leastMs = isElsewhere ? BURST_MS : SPACING_MS;
    this.#spacingMs = Math.max(leastMs, SPACING_PER_COST * costMs);
    this.#sweepMs = Math.max(this.#sweepMs, this.#beganMs + this.#spacingMs);
  }

  /** When the next pass over changed leases may begin. */
  get partMs(): number {
    return this.#partMs;
  }

  /** A pass over changed leases is over. */
  partEnded(beganMs: number, nowMs: number): void {
    const spacingMs = Math.min(PART_SPACING_PER_COST * (nowMs - beganMs), PART_SPACING_MS_MAX);
    this.#partMs = Math.max(nowMs, beganMs + spacingMs);
  }
}
