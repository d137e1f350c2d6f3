import type { Log } from "./system/log.ts";

/** Says each complaint once when it begins and once when it ends, however many peers and passes repeat it. */
export class Complaints {
  readonly #log: Log;
  readonly #counts = new Map<string, number>();

  constructor(log: Log) {
    this.#log = log;
  }

  /** What goes on in other words is neither over nor new. */
  change(begun: Iterable<string>, ended: Iterable<string>): void {
    const before = new Map<string, number>();
    const count = (message: string, step: number): void => {
      const now = this.#counts.get(message) ?? 0;
      if (!before.has(message)) before.set(message, now);
      this.#counts.set(message, now + step);
    };
    for (const message of begun) count(message, 1);
    for (const message of ended) count(message, -1);
    for (const [message, was] of before) {
      const now = this.#counts.get(message) ?? 0;
      if (now <= 0) this.#counts.delete(message);
      if (was === 0 && now > 0) this.#log.warn({}, message);
      if (was > 0 && now <= 0) this.#log.info({ was: message }, "no longer so");
    }
  }
}
