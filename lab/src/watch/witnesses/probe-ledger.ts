import type { Gap } from "../../report/events.ts";

/** A packet that is not there so long after it was sent is lost. Milliseconds. */
export const LOST_AFTER_MS = 1000;
/** At the end one that later ones came before is lost after this time; one that is only reordered comes sooner. */
const OVERTAKEN_AFTER_MS = 200;

export interface LedgerGap extends Gap {
  /** Nothing had arrived before it, since the beginning or the last interruption. */
  readonly isFirst: boolean;
}

/** What happened to the numbered packets of one pair. Numbers begin with 0. */
export class ProbeLedger {
  readonly gaps: Gap[] = [];
  duplicates = 0;
  reordered = 0;
  misdelivered = 0;
  received = 0;
  /** Packets that were on their way when it was interrupted: neither lost nor received. */
  forgotten = 0;
  /** When the first was sent of those that the last interruption made it forget; undefined for none. */
  forgottenSince: number | undefined;
  readonly #sentAt: Map<number, number> = new Map();
  readonly #arrived: Set<number> = new Set();
  readonly #lost: Set<number> = new Set();
  #nextToSend = 0;
  /** The first number whose fate is open. */
  #next = 0;
  #highest = -1;
  #hasArrived = false;
  #gap: { readonly beginMs: number; lost: number } | undefined;

  /** How many packets are accounted for: arrived or lost. */
  get sent(): number {
    return this.#next - this.forgotten;
  }

  /** How many were sent, whatever became of them. */
  get begun(): number {
    return this.#nextToSend;
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
  settle(at: number): readonly LedgerGap[] {
    const ended: LedgerGap[] = [];
    for (; this.#next < this.#nextToSend; this.#next += 1) {
      const sentAt = this.#sentAt.get(this.#next) ?? 0;
      if (this.#arrived.delete(this.#next)) {
        ended.push(...this.#arrive(sentAt));
      } else if (at - sentAt > LOST_AFTER_MS) {
        this.#lose(sentAt);
      } else {
        break;
      }
      this.#sentAt.delete(this.#next);
    }
    return ended;
  }

  /**
   * The same for the last time, or because the lab itself takes the way away. What others overtook is lost, what may still be
   * on its way does not count, and a gap that is still open ends now.
   */
  interrupt(at: number): readonly LedgerGap[] {
    const ended = [...this.settle(at)];
    this.forgottenSince = undefined;
    for (; this.#next < this.#nextToSend; this.#next += 1) {
      const sentAt = this.#sentAt.get(this.#next) ?? 0;
      if (this.#arrived.delete(this.#next)) {
        ended.push(...this.#arrive(sentAt));
      } else if (this.#next < this.#highest && at - sentAt > OVERTAKEN_AFTER_MS) {
        this.#lose(sentAt);
      } else {
        this.forgotten += 1;
        this.forgottenSince ??= sentAt;
      }
      this.#sentAt.delete(this.#next);
    }
    ended.push(...this.#endGap(at));
    this.#hasArrived = false;
    return ended;
  }

  #lose(sentAt: number): void {
    this.#gap ??= { beginMs: sentAt, lost: 0 };
    this.#gap.lost += 1;
    this.#lost.add(this.#next);
  }

  #arrive(sentAt: number): readonly LedgerGap[] {
    this.received += 1;
    const ended = this.#endGap(sentAt);
    this.#hasArrived = true;
    return ended;
  }

  #endGap(at: number): readonly LedgerGap[] {
    if (this.#gap === undefined) {
      return [];
    }
    const { beginMs, lost } = this.#gap;
    this.#gap = undefined;
    const gap = { beginMs, lengthMs: at - beginMs, lost };
    this.gaps.push(gap);
    return [{ ...gap, isFirst: !this.#hasArrived }];
  }
}
