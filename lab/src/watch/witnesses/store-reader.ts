import { LabError } from "../../errors.ts";
import type { StoreContent } from "../../lab.ts";
import type { Clock } from "../../system/clock.ts";
import type { StoreRead } from "../sightings.ts";

const LOOK_EVERY_MS = 100;

export interface StoreReaderOptions {
  readonly clock: Clock;
  /** Milliseconds since the run began. */
  readonly now: () => number;
  readonly see: (sighting: StoreRead) => void;
}

/**
 * Asks the store how far it is, for whoever compares it with another witness: on a busy machine its watch may tell seconds later
 * what was there before. A store that is away is asked again.
 */
export class StoreReader {
  readonly #options: StoreReaderOptions;
  #read: (() => Promise<StoreContent>) | undefined;
  #isAsked = false;

  constructor(options: StoreReaderOptions) {
    this.#options = options;
  }

  /** @param read everything below the prefix, linearizable; it may throw a LabError */
  readWith(read: () => Promise<StoreContent>): void {
    this.#read = read;
  }

  /** Tells soon of a read that begins after this. */
  ask(): void {
    this.#isAsked = true;
  }

  async run(signal: AbortSignal): Promise<void> {
    const { clock } = this.#options;
    while (!signal.aborted) {
      if (this.#isAsked && this.#read !== undefined) {
        this.#isAsked = false;
        await this.#tell(this.#read);
      }
      await clock.sleep(LOOK_EVERY_MS, signal);
    }
  }

  async #tell(read: () => Promise<StoreContent>): Promise<void> {
    const { now, see } = this.#options;
    const askedAt = now();
    try {
      const { entries } = await read();
      const newest = Math.max(0, ...entries.map(({ modRevision }) => modRevision));
      see({ witness: "store", kind: "read", at: now(), askedAt, newest });
    } catch (error) {
      if (!(error instanceof LabError)) {
        throw error;
      }
      this.#isAsked = true;
    }
  }
}
