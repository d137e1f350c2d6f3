import { LabError, messageOf } from "../../errors.ts";
import type { StoreEntry } from "../../lab.ts";
import type { Clock } from "../../system/clock.ts";
import type { Blindness, StoreChange, StoreRevision } from "../sightings.ts";
import { StoreStream } from "./store-stream.ts";

/** Between two tries to reach a member. */
const RECONNECT_MS = 100;

export interface StoreWatchOptions {
  /** One a member: each is watched, so that one that stands still hides nothing. */
  readonly endpoints: readonly string[];
  readonly prefix: string;
  readonly clock: Clock;
  /** Milliseconds since the run began. */
  readonly now: () => number;
  readonly see: (sighting: StoreRevision | Blindness) => void;
}

/**
 * Sees every revision of the store below a prefix, from the first one on, as soon as one of its members tells it. A store
 * that is away is waited for; what was compacted meanwhile, or a revision that went back, is told as blindness.
 */
export class StoreWatch {
  readonly #options: StoreWatchOptions;
  /** For a token that the store takes; undefined where it wants none. */
  #logIn: () => Promise<string | undefined> = () => Promise.resolve(undefined);
  readonly #streams: readonly StoreStream[];
  readonly #content: Map<string, StoreEntry> = new Map();
  #next = 1;
  /** Ends the connections that there are, for a pause. */
  #connections: AbortController = new AbortController();
  #connecting: readonly Promise<void>[] = [];
  #resumed: PromiseWithResolvers<void> | undefined;

  constructor(options: StoreWatchOptions) {
    this.#options = options;
    this.#streams = options.endpoints.map((endpoint) => new StoreStream(endpoint, options.prefix));
  }

  /** Whether it sees at this moment what the store does. */
  get isConnected(): boolean {
    return this.#streams.some(({ isConnected }) => isConnected);
  }

  /** Shows a token to the store from now on. */
  logInWith(logIn: () => Promise<string | undefined>): void {
    this.#logIn = logIn;
  }

  /** Ends, without an error, when the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      this.#connections = new AbortController();
      const ends = AbortSignal.any([signal, this.#connections.signal]);
      this.#connecting = this.#streams.map((stream) => this.#follow(stream, ends));
      await Promise.all(this.#connecting);
      await this.#resumed?.promise;
    }
  }

  /** Looks away until `resume`. */
  async pause(): Promise<void> {
    this.#resumed = Promise.withResolvers();
    this.#connections.abort();
    await Promise.all(this.#connecting);
  }

  /** What leads from the content that was seen last to another one. */
  changesTo(entries: readonly StoreEntry[]): readonly StoreChange[] {
    const there = new Set(entries.map(({ key }) => key));
    return [
      ...[...this.#content.keys()]
        .filter((key) => !there.has(key))
        .map((key): StoreChange => ({ kind: "delete", key })),
      ...entries
        .filter((entry) => this.#content.get(entry.key)?.modRevision !== entry.modRevision)
        .map((entry): StoreChange => ({ kind: "put", version: 1, entry })),
    ];
  }

  /** The store is at this revision now, and these changes led to it. */
  resume(revision: number, changes: readonly StoreChange[]): void {
    this.#streams.forEach((stream) => {
      stream.forget();
    });
    this.#tell(revision, changes);
    this.#resumed?.resolve();
    this.#resumed = undefined;
  }

  async #follow(stream: StoreStream, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        await this.#connect(stream, signal);
      } catch (error) {
        // Away, or told to stop: the store's faults are part of the play, and the next try begins where this one ended.
        if (!(error instanceof LabError) && !signal.aborted) {
          this.#tellBlind(messageOf(error));
        }
      }
      await this.#options.clock.sleep(RECONNECT_MS, signal);
    }
  }

  async #connect(stream: StoreStream, signal: AbortSignal): Promise<void> {
    for await (const answer of stream.read(this.#next, await this.#logIn(), signal)) {
      if (answer.kind === "compacted") {
        // Another member may have told of them before.
        if (answer.revision >= this.#next) {
          this.#tellBlind(
            `revisions ${this.#next} to ${answer.revision - 1} were compacted before they were seen`,
          );
          this.#next = answer.revision;
        }
      } else if (answer.kind === "went-back") {
        this.#tellBlind(`the store went back from revision ${answer.from} to ${answer.to}`);
        this.#next = 1;
      } else if (answer.revision >= this.#next) {
        this.#tell(answer.revision, answer.changes);
      }
    }
  }

  #tell(revision: number, changes: readonly StoreChange[]): void {
    this.#next = revision + 1;
    for (const change of changes) {
      if (change.kind === "put") {
        this.#content.set(change.entry.key, change.entry);
      } else {
        this.#content.delete(change.key);
      }
    }
    this.#options.see({
      witness: "store",
      kind: "revision",
      at: this.#options.now(),
      revision,
      changes,
    });
  }

  #tellBlind(why: string): void {
    this.#options.see({ witness: "store", kind: "blind", at: this.#options.now(), why });
  }
}
