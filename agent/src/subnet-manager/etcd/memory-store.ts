import type { Clock } from "../../system/clock.ts";
import { CompactedError, storeClosed, storeUnavailable } from "./errors.ts";
import {
  type GrantedLease,
  type KeyRange,
  type KeyValueStore,
  type LeaseId,
  REQUEST_TIMEOUT_MS,
  type RangeResult,
  type RequestOptions,
  type StoreEvent,
  type Transaction,
  type TransactionResult,
  type WatchBatch,
} from "./key-value-store.ts";
import { MemoryDatabase } from "./memory-database.ts";
import { MemoryFaults, type Verb } from "./memory-faults.ts";
import { type Framing, WHOLE, nextBatches } from "./memory-framing.ts";
import type { MemoryMember } from "./memory-member.ts";
import type { Replica } from "./memory-replica.ts";

export type { Verb } from "./memory-faults.ts";

export interface MemoryStoreOptions {
  readonly clock: Clock;
  /** The cluster to connect to; without it the store makes one of its own, and closes it. */
  readonly database?: MemoryDatabase;
  /** The member to talk to; without it the leader. */
  readonly member?: MemoryMember;
  /** How the server cuts what watches say. */
  readonly framing?: Framing;
  /** Holds back each request and each reply until it resolves: where a schedule decides who comes first. */
  readonly pace?: (step: string) => Promise<void>;
}

/** Why nobody waits for a late answer any more. */
const ANSWERED = new Error("the answer is there");

/** One watch of a connection, for its commands. */
interface OpenWatch {
  readonly lost: AbortController;
  /** Everything up to here was delivered: a client that lost the watch goes on from here. */
  deliveredRevision: number;
}

/** What a member has to say, and the revision it was at. */
interface News {
  readonly events: readonly StoreEvent[];
  readonly revision: number;
}

/** A connection to a cluster in memory, whose faults are commands. */
export class MemoryStore implements KeyValueStore {
  readonly endpoints = "http://192.0.2.1:2379";
  readonly database: MemoryDatabase;
  /** Every request so far, answered or not. */
  readonly requests: Verb[] = [];
  /** Changes with the next response. */
  framing: Framing;
  readonly #clock: Clock;
  readonly #pace: (step: string) => Promise<void>;
  readonly #ownsDatabase: boolean;
  #member: MemoryMember | undefined;
  readonly #faults = new MemoryFaults();
  #connected = true;
  #closed = false;
  #tokenValid = true;
  readonly #watches = new Set<OpenWatch>();
  readonly #progressListeners = new Set<() => void>();

  constructor(options: MemoryStoreOptions) {
    this.#clock = options.clock;
    this.#ownsDatabase = options.database === undefined;
    this.database = options.database ?? new MemoryDatabase(options.clock);
    this.#member = options.member;
    this.framing = options.framing ?? WHOLE;
    this.#pace = options.pace ?? (() => Promise.resolve());
  }

  /** The next requests get no answer and are not done. */
  fail(count = 1, verb: Verb | "any" = "any"): void {
    this.#faults.set("lose-request", verb, count);
  }

  /** The next requests are done but get no answer. */
  loseReplies(count = 1, verb: Verb | "any" = "any"): void {
    this.#faults.set("lose-reply", verb, count);
  }

  /** The next requests arrive later, also when their sender has given up. */
  delayRequests(ms: number, count = 1, verb: Verb | "any" = "any"): void {
    this.#faults.set("delay-request", verb, count, ms);
  }

  /** The next requests are done at once and answered later. */
  delayReplies(ms: number, count = 1, verb: Verb | "any" = "any"): void {
    this.#faults.set("delay-reply", verb, count, ms);
  }

  /** The next requests are done twice, as when a client library asks again on its own: the answer is to the second. */
  duplicateRequests(count = 1, verb: Verb | "any" = "any"): void {
    this.#faults.set("repeat", verb, count);
  }

  /** The server no longer accepts our token: the next request is refused, and a new token got for the one after. */
  expireToken(): void {
    this.#tokenValid = false;
  }

  /** Cuts the connection, ending all watches, or mends it. */
  setConnected(connected: boolean): void {
    this.#connected = connected;
    if (!connected) this.disconnectWatches();
  }

  disconnectWatches(): void {
    this.#cancelWatches("connection lost");
  }

  /** Fails over to another member, or without one to the leader. */
  connectTo(member: MemoryMember | undefined): void {
    this.#member = member;
    this.disconnectWatches();
  }

  /** The server says how far each watch is that has nothing to say, as etcd does every ten minutes. */
  notifyProgress(): void {
    for (const listener of this.#progressListeners) listener();
  }

  /** Where each watch would be resumed: what to compact to hit that very revision. */
  get resumeRevisions(): readonly number[] {
    return [...this.#watches].map((watch) => watch.deliveredRevision);
  }

  range(range: KeyRange, options: RequestOptions = {}): Promise<RangeResult> {
    return this.#request("range", options, () => this.#read(range));
  }

  txn(transaction: Transaction, options: RequestOptions = {}): Promise<TransactionResult> {
    return this.#request("txn", options, () => this.#applied(this.database.txn(transaction)));
  }

  grantLease(ttlSeconds: number, options: RequestOptions = {}): Promise<GrantedLease> {
    return this.#request("grantLease", options, () =>
      this.#applied(this.database.grantLease(ttlSeconds)),
    );
  }

  revokeLease(leaseId: LeaseId, options: RequestOptions = {}): Promise<void> {
    return this.#request("revokeLease", options, () =>
      this.#applied(this.database.expireLease(leaseId)),
    );
  }

  timeToLive(leaseId: LeaseId, options: RequestOptions = {}): Promise<number | undefined> {
    return this.#request("timeToLive", options, () => this.database.timeToLive(leaseId));
  }

  async *watch(
    range: KeyRange,
    fromRevision: number,
    options: RequestOptions & { readonly signal: AbortSignal },
  ): AsyncGenerator<WatchBatch, void> {
    const watch = { lost: new AbortController(), deliveredRevision: fromRevision - 1 };
    this.#watches.add(watch);
    const forget = this.database.onWatchesCancelled((reason) => watch.lost.abort(reason));
    const ended = AbortSignal.any([options.signal, watch.lost.signal]);
    const check = (): void => {
      options.signal.throwIfAborted();
      if (this.#closed) throw storeClosed("watch");
      if (watch.lost.signal.aborted)
        throw this.#unavailable("watch", String(watch.lost.signal.reason));
    };
    const replica = this.#replica;
    try {
      await this.#request("watch", options, () => undefined);
      for (let next = fromRevision; ;) {
        // A watch may begin at the compacted revision; one under way that has not come past it may have missed a deletion there.
        const oldest = replica.compactRevision + (next === fromRevision ? 0 : 1);
        if (next < oldest) throw new CompactedError(next, replica.compactRevision);
        const { events, revision } = await this.#news(range, next, ended);
        check();
        for (const batch of this.#responses(events, Math.max(revision, next - 1))) {
          watch.deliveredRevision = batch.revision;
          next = batch.revision + 1;
          yield batch;
          check();
        }
      }
    } finally {
      forget();
      this.#watches.delete(watch);
    }
  }

  reconnect(): void {
    this.disconnectWatches();
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.disconnectWatches();
    if (this.#ownsDatabase) this.database.close();
  }

  get #replica(): Replica {
    return this.#member?.replica ?? this.database.leader;
  }

  #responses(events: readonly StoreEvent[], head: number): readonly WatchBatch[] {
    if (events.length === 0) return [{ revision: head, events }];
    return nextBatches(events, head, this.framing);
  }

  #cancelWatches(reason: string): void {
    for (const watch of this.#watches) watch.lost.abort(reason);
  }

  /**
   * What there is to say from a revision on, once there is something; no events for a report of progress, or when the signal
   * aborts. Taken at the very moment of the change: a compaction right after it does not take it back.
   */
  #news(range: KeyRange, fromRevision: number, ended: AbortSignal): Promise<News> {
    const replica = this.#replica;
    const known = (): News => ({
      events: replica.eventsFrom(range, fromRevision),
      revision: replica.revision,
    });
    return new Promise((resolve) => {
      const look = (): void => {
        const news = known();
        if (news.events.length > 0 || ended.aborted) tell(news);
      };
      const progress = (): void => {
        if (replica.revision >= fromRevision - 1) tell(known());
      };
      const tell = (news: News): void => {
        forget();
        this.#progressListeners.delete(progress);
        ended.removeEventListener("abort", look);
        resolve(news);
      };
      const forget = replica.onChange(look);
      this.#progressListeners.add(progress);
      ended.addEventListener("abort", look, { once: true });
      look();
    });
  }

  async #read(range: KeyRange): Promise<RangeResult> {
    if (this.#member?.staleReads !== true) await this.#applied(undefined);
    return this.#replica.range(range, this.database.clusterId);
  }

  /** A reply comes when the member has applied what was committed so far. */
  async #applied<Result>(result: Result): Promise<Result> {
    await this.#member?.applied(this.database.revision);
    return result;
  }

  /** With nothing that could be late, no timer is made: a schedule then has nothing to wait for. */
  #request<Result>(
    verb: Verb,
    options: RequestOptions,
    act: () => Result | Promise<Result>,
  ): Promise<Result> {
    const mayBeLate = this.#faults.anyDelay || this.#member !== undefined;
    const reply = this.#exchange(verb, options, act);
    return mayBeLate ? this.#within(reply, verb, options) : reply;
  }

  async #exchange<Result>(
    verb: Verb,
    options: RequestOptions,
    act: () => Result | Promise<Result>,
  ): Promise<Result> {
    options.signal?.throwIfAborted();
    this.requests.push(verb);
    await this.#pace(`${verb} request`);
    options.signal?.throwIfAborted();
    if (this.#closed) throw storeClosed(verb);
    if (!this.#connected || this.#takes("lose-request", verb))
      throw this.#unavailable(verb, "request lost");
    if (!this.#tokenValid) throw this.#refused(verb);
    await this.#delay("delay-request", verb);
    if (this.#takes("repeat", verb)) await act();
    const result = await act();
    await this.#delay("delay-reply", verb);
    await this.#pace(`${verb} reply`);
    options.signal?.throwIfAborted();
    if (!this.#connected || this.#takes("lose-reply", verb))
      throw this.#unavailable(verb, "reply lost");
    return result;
  }

  async #within<Result>(
    reply: Promise<Result>,
    verb: Verb,
    options: RequestOptions,
  ): Promise<Result> {
    const timeoutMs = options.timeoutMs ?? REQUEST_TIMEOUT_MS;
    const stop = new AbortController();
    const signals = options.signal === undefined ? [] : [options.signal];
    const late = this.#clock
      .sleep(timeoutMs, AbortSignal.any([...signals, stop.signal]))
      .then(() => {
        throw this.#unavailable(verb, `no answer within ${timeoutMs} ms`);
      });
    try {
      return await Promise.race([reply, late]);
    } finally {
      stop.abort(ANSWERED);
    }
  }

  /** Asks for a new token, so that the request after this one has one. */
  #refused(verb: Verb): Error {
    this.requests.push("authenticate");
    this.#tokenValid = !this.#takes("lose-request", "authenticate");
    return this.#unavailable(verb, "etcdserver: invalid auth token");
  }

  #takes(kind: "lose-request" | "lose-reply" | "repeat", verb: Verb): boolean {
    return this.#faults.take(kind, verb) !== undefined;
  }

  /** Nothing stops what is on its way. */
  async #delay(kind: "delay-request" | "delay-reply", verb: Verb): Promise<void> {
    const ms = this.#faults.take(kind, verb);
    if (ms !== undefined) await this.#clock.sleep(ms, new AbortController().signal);
  }

  #unavailable(verb: Verb, reason: string): Error {
    return storeUnavailable(verb, this.endpoints, new Error(reason));
  }
}
