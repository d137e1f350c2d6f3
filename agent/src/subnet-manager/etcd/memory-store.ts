import type { Clock } from "../../system/clock.ts";
import { CompactedError, storeClosed, storeUnavailable } from "./errors.ts";
import type {
  GrantedLease,
  KeyRange,
  KeyValueStore,
  LeaseId,
  RangeResult,
  RequestOptions,
  Transaction,
  TransactionResult,
  WatchBatch,
} from "./key-value-store.ts";
import { MemoryDatabase } from "./memory-database.ts";

export type Verb = "range" | "txn" | "watch" | "grantLease" | "revokeLease" | "timeToLive";

export interface MemoryStoreOptions {
  readonly clock: Clock;
  /** The cluster to connect to; without it the store makes one of its own, and closes it. */
  readonly database?: MemoryDatabase;
  /** Holds back each request and each reply until it resolves: where a schedule decides who comes first. */
  readonly pace?: (step: string) => Promise<void>;
}

/** A connection to a cluster in memory, whose faults are commands. */
export class MemoryStore implements KeyValueStore {
  readonly endpoints = "http://192.0.2.1:2379";
  readonly database: MemoryDatabase;
  /** Every request so far, answered or not. */
  readonly requests: Verb[] = [];
  readonly #pace: (step: string) => Promise<void>;
  readonly #ownsDatabase: boolean;
  readonly #lostRequests = new Map<Verb | "any", number>();
  readonly #lostReplies = new Map<Verb | "any", number>();
  #connected = true;
  #closed = false;
  #watches = new Set<AbortController>();

  constructor(options: MemoryStoreOptions) {
    this.#ownsDatabase = options.database === undefined;
    this.database = options.database ?? new MemoryDatabase(options.clock);
    this.#pace = options.pace ?? (() => Promise.resolve());
  }

  /** The next requests get no answer and are not done. */
  fail(count = 1, verb: Verb | "any" = "any"): void {
    this.#lostRequests.set(verb, count);
  }

  /** The next requests are done but get no answer. */
  loseReplies(count = 1, verb: Verb | "any" = "any"): void {
    this.#lostReplies.set(verb, count);
  }

  /** Cuts the connection, ending all watches, or mends it. */
  setConnected(connected: boolean): void {
    this.#connected = connected;
    if (!connected) this.disconnectWatches();
  }

  disconnectWatches(): void {
    for (const watch of this.#watches) watch.abort();
  }

  range(range: KeyRange, options: RequestOptions = {}): Promise<RangeResult> {
    return this.#request("range", options, () => this.database.range(range));
  }

  txn(transaction: Transaction, options: RequestOptions = {}): Promise<TransactionResult> {
    return this.#request("txn", options, () => this.database.txn(transaction));
  }

  grantLease(ttlSeconds: number, options: RequestOptions = {}): Promise<GrantedLease> {
    return this.#request("grantLease", options, () => this.database.grantLease(ttlSeconds));
  }

  revokeLease(leaseId: LeaseId, options: RequestOptions = {}): Promise<void> {
    return this.#request("revokeLease", options, () => this.database.expireLease(leaseId));
  }

  timeToLive(leaseId: LeaseId, options: RequestOptions = {}): Promise<number | undefined> {
    return this.#request("timeToLive", options, () => this.database.timeToLive(leaseId));
  }

  async *watch(
    range: KeyRange,
    fromRevision: number,
    options: RequestOptions & { readonly signal: AbortSignal },
  ): AsyncGenerator<WatchBatch, void> {
    const lost = new AbortController();
    this.#watches.add(lost);
    const ended = AbortSignal.any([options.signal, lost.signal]);
    try {
      await this.#request("watch", options, () => undefined);
      for (let next = fromRevision; ;) {
        if (next < this.database.compactRevision)
          throw new CompactedError(next, this.database.compactRevision);
        let events = this.database.eventsFrom(range, next);
        while (events.length === 0 && !ended.aborted) {
          await this.#change(ended);
          events = this.database.eventsFrom(range, next);
        }
        options.signal.throwIfAborted();
        if (this.#closed) throw storeClosed("watch");
        if (lost.signal.aborted) throw this.#unavailable("watch", "connection lost");
        // Read before the yield: what happens while the reader works belongs to the next batch.
        const { revision } = this.database;
        next = revision + 1;
        yield { revision, events };
      }
    } finally {
      this.#watches.delete(lost);
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.disconnectWatches();
    if (this.#ownsDatabase) this.database.close();
  }

  async #request<Result>(verb: Verb, options: RequestOptions, act: () => Result): Promise<Result> {
    options.signal?.throwIfAborted();
    this.requests.push(verb);
    await this.#pace(`${verb} request`);
    options.signal?.throwIfAborted();
    if (this.#closed) throw storeClosed(verb);
    if (!this.#connected || take(this.#lostRequests, verb))
      throw this.#unavailable(verb, "request lost");
    const result = act();
    await this.#pace(`${verb} reply`);
    options.signal?.throwIfAborted();
    if (!this.#connected || take(this.#lostReplies, verb))
      throw this.#unavailable(verb, "reply lost");
    return result;
  }

  /** Resolves after the next change of the database, or when the signal aborts. */
  #change(ended: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        forget();
        ended.removeEventListener("abort", wake);
        resolve();
      };
      const forget = this.database.onChange(wake);
      ended.addEventListener("abort", wake, { once: true });
    });
  }

  #unavailable(verb: Verb, reason: string): Error {
    return storeUnavailable(verb, this.endpoints, new Error(reason));
  }
}

/** Counts a fault down for the verb or for any; whether there was one left. */
function take(faults: Map<Verb | "any", number>, verb: Verb): boolean {
  for (const kind of [verb, "any"] as const) {
    const left = faults.get(kind) ?? 0;
    if (left === 0) continue;
    faults.set(kind, left - 1);
    return true;
  }
  return false;
}
