export type Verb =
  | "range"
  | "txn"
  | "watch"
  | "grantLease"
  | "revokeLease"
  | "timeToLive"
  | "authenticate";

/** What may befall one request. */
export type FaultKind = "lose-request" | "lose-reply" | "delay-request" | "delay-reply" | "repeat";

interface Fault {
  left: number;
  readonly ms: number;
}

/** Faults that wait for the next requests of one connection, by kind and verb. */
export class MemoryFaults {
  readonly #faults = new Map<string, Fault>();

  set(kind: FaultKind, verb: Verb | "any", count: number, ms = 0): void {
    this.#faults.set(`${kind} ${verb}`, { left: count, ms });
  }

  /** Whether any answer may take longer than none at all. */
  get anyDelay(): boolean {
    return [...this.#faults].some(([name, { left }]) => name.startsWith("delay-") && left > 0);
  }

  /** Counts a fault down, for the verb or for any; its milliseconds, or undefined when there is none. */
  take(kind: FaultKind, verb: Verb): number | undefined {
    for (const which of [verb, "any"]) {
      const fault = this.#faults.get(`${kind} ${which}`);
      if (fault === undefined || fault.left === 0) continue;
      fault.left--;
      return fault.ms;
    }
    return undefined;
  }
}
