import type { Gap } from "../../report/events.ts";

/** A packet that is not there so long after it was sent is lost. Milliseconds. */
export const LOST_AFTER_MS = 1000;

/** What happened to the numbered packets of one pair. Numbers begin with 0. */
export class ProbeLedger {
  readonly gaps: Gap[] = [];
  duplicates = 0;
  reordered = 0;
  misdelivered = 0;
  received = 0;
  readonly #sentAt: Map<number, number> = new Map();
  readonly #arrived: Set<number> = new Set();
  readonly #lost: Set<number> = new Set();
  #nextToSend = 0;
  /** The first number whose fate is open. */
  #next = 0;
  #highest = -1;
  #gap: { readonly beginMs: number; lost: number } | undefined;

  /** How many packets are accounted for: arrived or lost. */
  get sent(): number {
    return this.#next;
  }

  /** Notes a packet that goes out now, and returns its number. */
  send(at: number): number {
    const number = this.#nextToSend;
    this.#nextToSend += 1;
    this.#sentAt.set(number, at);
    return number;
  }

  /** When a packet was sent, unless its fate is known. */
  sentAt(number: number): number | undefined {
    return this.#sentAt.get(number);
  }

  /** A number that was never sent is no packet of ours. */
  receive(number: number): void {
    if (number >= this.#nextToSend) {
      return;
    }
    if (this.#arrived.has(number) || (number < this.#next && !this.#lost.has(number))) {
      this.duplicates += 1;
      return;
    }
    // A straggler that was given up stays lost: it came too late to be of use.
    if (number < this.#highest) {
      this.reordered += 1;
    }
    this.#highest = Math.max(this.#highest, number);
    if (!this.#lost.delete(number)) {
      this.#arrived.add(number);
    }
  }

  /** Decides what can be decided by now, and returns the gaps that ended. */
  settle(at: number): readonly Gap[] {
    const ended: Gap[] = [];
    for (; this.#next < this.#nextToSend; this.#next += 1) {
      const sentAt = this.#sentAt.get(this.#next) ?? 0;
      if (this.#arrived.delete(this.#next)) {
        this.received += 1;
        ended.push(...this.#endGap(sentAt));
      } else if (at - sentAt > LOST_AFTER_MS) {
        this.#gap ??= { beginMs: sentAt, lost: 0 };
        this.#gap.lost += 1;
        this.#lost.add(this.#next);
      } else {
        break;
      }
      this.#sentAt.delete(this.#next);
    }
    return ended;
  }

  /** The same for the last time: a gap that is still open ends now; packets that may be on their way do not count. */
  finish(at: number): readonly Gap[] {
    return [...this.settle(at), ...this.#endGap(at)];
  }

  #endGap(at: number): readonly Gap[] {
    if (this.#gap === undefined) {
      return [];
    }
    const { beginMs, lost } = this.#gap;
    this.#gap = undefined;
    const gap = { beginMs, lengthMs: at - beginMs, lost };
    this.gaps.push(gap);
    return [gap];
  }
}
