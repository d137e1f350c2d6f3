/** One agent's connection to the store: a MemoryStore behind a network that takes its time, loses, delays and breaks. */
import { storeClosed, storeUnavailable } from "agent/subnet-manager/etcd/errors.ts";
import {
  type GrantedLease,
  type KeyRange,
  type KeyValueStore,
  type LeaseId,
  REQUEST_TIMEOUT_MS,
  type RangeResult,
  type RequestOptions,
  type Transaction,
  type TransactionResult,
  type WatchBatch,
} from "agent/subnet-manager/etcd/key-value-store.ts";
import { MemoryStore, type Verb } from "agent/subnet-manager/etcd/memory-store.ts";
import type { Random } from "agent/system/random.ts";
import type { AgentClock, SimTime } from "./sim-time.ts";

/** What the network between a node and the store does; it outlives the node's agents. */
export class Uplink {
  /** `refused`: every connection ends at once. `silent`: nothing arrives, nobody says so. */
  state: "open" | "refused" | "silent" = "open";
  /** Requests from now on that never arrive. */
  lostRequests = 0;
  /** Requests that arrive only after their sender has given up. */
  lateRequests = 0;
  /** Requests that are done but whose replies never arrive. */
  lostReplies = 0;
  /** Requests that arrive twice, as when a client library asks again on its own: the answer is to the second. */
  repeatedRequests = 0;
  readonly #listeners = new Set<() => void>();

  set(state: Uplink["state"]): void {
    this.state = state;
    for (const listener of this.#listeners) listener();
  }

  /** Ends every connection without harming new ones. */
  reset(): void {
    for (const listener of this.#listeners) listener();
  }

  /** Nothing is lost, late or repeated any more. */
  calm(): void {
    this.lostRequests = 0;
    this.lateRequests = 0;
    this.lostReplies = 0;
    this.repeatedRequests = 0;
  }

  /** Calls back when the state changes and at a reset, until the returned function is called. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}

/** A request at the moment the store carries it out. */
export interface Arrival {
  readonly verb: Verb;
  readonly transaction?: Transaction;
  readonly leaseId?: LeaseId;
}

export interface SimStoreParts {
  readonly time: SimTime;
  readonly clock: AgentClock;
  readonly inner: MemoryStore;
  readonly uplink: Uplink;
  readonly random: Random;
  /** Runs when the agent can take something in: at once, after a pause, or never once it is dead. */
  deliver(act: () => void): void;
  /** Told before each request is carried out; the returned function is told the result after it. */
  arriving(arrival: Arrival): (result: unknown) => void;
  /** Told of each request sent. */
  sent(arrival: Arrival): void;
  /** Told when a message is lost, and until when its sender may wait for it. */
  disturbed(untilMs: number): void;
  /** Told when no answer came over an open connection. */
  timedOut(): void;
  /** Told of each answer that reached the agent. */
  answered(verb: Verb, result: unknown): void;
}

/** One way: most messages take 0.2 to 2 ms, one in 32 up to 200 ms. */
const USUAL_MS = 2;
const SLOW_MS = 200;
const SLOW_ONE_IN = 32;
/** The latest that a late request arrives after its sender gave up. */
const LATE_MS = 20_000;
/** How long a watch over a silent connection stays unnoticed: the keep-alive of the real one. */
const SILENCE_NOTICED_MS = 15_000;

type Reply<Result> = { readonly result: Result } | { readonly error: unknown };

export class SimStore implements KeyValueStore {
  readonly endpoints: string;
  readonly #parts: SimStoreParts;
  #closed = false;

  constructor(parts: SimStoreParts) {
    this.#parts = parts;
    this.endpoints = parts.inner.endpoints;
  }

  range(range: KeyRange, options: RequestOptions = {}): Promise<RangeResult> {
    return this.#request({ verb: "range" }, options, (store) => store.range(range));
  }

  txn(transaction: Transaction, options: RequestOptions = {}): Promise<TransactionResult> {
    return this.#request({ verb: "txn", transaction }, options, (store) => store.txn(transaction));
  }

  grantLease(ttlSeconds: number, options: RequestOptions = {}): Promise<GrantedLease> {
    return this.#request({ verb: "grantLease" }, options, (store) => store.grantLease(ttlSeconds));
  }

  revokeLease(leaseId: LeaseId, options: RequestOptions = {}): Promise<void> {
    return this.#request({ verb: "revokeLease", leaseId }, options, (store) =>
      store.revokeLease(leaseId),
    );
  }

  timeToLive(leaseId: LeaseId, options: RequestOptions = {}): Promise<number | undefined> {
    return this.#request({ verb: "timeToLive" }, options, (store) => store.timeToLive(leaseId));
  }

  async *watch(
    range: KeyRange,
    fromRevision: number,
    options: RequestOptions & { readonly signal: AbortSignal },
  ): AsyncGenerator<WatchBatch, void> {
    const { uplink, inner, clock } = this.#parts;
    const lost = new AbortController();
    await this.#request({ verb: "watch" }, options, () => Promise.resolve());
    let noticed: (() => void) | undefined;
    const forget = uplink.onChange(() => {
      noticed?.();
      noticed = undefined;
      if (uplink.state === "silent") noticed = clock.timer(SILENCE_NOTICED_MS, () => lost.abort());
      else lost.abort();
    });
    const ended = AbortSignal.any([options.signal, lost.signal]);
    try {
      for await (const batch of inner.watch(range, fromRevision, { signal: ended })) {
        await this.#pass(lost.signal);
        options.signal.throwIfAborted();
        if (lost.signal.aborted) break;
        yield batch;
      }
    } catch (error) {
      await this.#delivered();
      options.signal.throwIfAborted();
      if (!lost.signal.aborted) throw error;
    } finally {
      forget();
      noticed?.();
    }
    await this.#delivered();
    options.signal.throwIfAborted();
    throw this.#unavailable("watch", "connection lost");
  }

  reconnect(): void {
    this.#parts.inner.reconnect();
  }

  async close(): Promise<void> {
    this.#closed = true;
    // What is on its way already may still arrive: only the watches end.
    this.#parts.inner.disconnectWatches();
  }

  #delivered(): Promise<void> {
    return new Promise((resolve) => this.#parts.deliver(resolve));
  }

  /** One message from the store to the agent: over the network, then into the process. */
  #pass(lost: AbortSignal): Promise<void> {
    const { time, uplink } = this.#parts;
    return new Promise((resolve) => {
      let done = false;
      const arrive = (): void => {
        if (done || (uplink.state !== "open" && !lost.aborted)) return;
        done = true;
        forget();
        lost.removeEventListener("abort", arrive);
        this.#parts.deliver(resolve);
      };
      const forget = uplink.onChange(arrive);
      lost.addEventListener("abort", arrive, { once: true });
      time.after(this.#latencyMs(), arrive);
    });
  }

  #request<Result>(
    arrival: Arrival,
    options: RequestOptions,
    ask: (store: MemoryStore) => Promise<Result>,
  ): Promise<Result> {
    const { time, clock, uplink } = this.#parts;
    const { verb } = arrival;
    const timeoutMs = options.timeoutMs ?? REQUEST_TIMEOUT_MS;
    return new Promise((resolve, reject) => {
      if (options.signal?.aborted === true) {
        reject(options.signal.reason);
        return;
      }
      if (this.#closed) {
        reject(storeClosed(verb));
        return;
      }
      this.#parts.sent(arrival);
      const abort = (): void => end(() => reject(options.signal?.reason));
      const stopTimer = clock.timer(timeoutMs, () =>
        end(() => {
          if (uplink.state === "open") this.#parts.timedOut();
          reject(this.#unavailable(verb, "no answer in time"));
        }),
      );
      let ended = false;
      const end = (act: () => void): void => {
        if (ended) return;
        ended = true;
        stopTimer();
        options.signal?.removeEventListener("abort", abort);
        act();
      };
      options.signal?.addEventListener("abort", abort, { once: true });
      const refuse = (): void =>
        this.#parts.deliver(() => end(() => reject(this.#unavailable(verb, "connection refused"))));

      const fate = this.#drawFate();
      if (fate !== "arrives" && fate !== "twice") this.#parts.disturbed(time.nowMs + timeoutMs);
      if (fate === "lost") return;
      const onTheWayMs =
        fate === "late" ? timeoutMs + this.#parts.random.integer(LATE_MS) : this.#latencyMs();
      time.after(onTheWayMs, () => {
        if (uplink.state === "refused") refuse();
        if (uplink.state !== "open") return;
        const carryOut = (): Promise<Reply<Result>> => this.#carryOut(arrival, ask);
        const replied = fate === "twice" ? carryOut().then(carryOut) : carryOut();
        void replied.then((reply) => {
          if (fate === "reply-lost") return;
          time.after(this.#latencyMs(), () => {
            if (uplink.state === "refused") refuse();
            if (uplink.state !== "open") return;
            this.#parts.deliver(() =>
              end(() => {
                this.#parts.answered(verb, "result" in reply ? reply.result : undefined);
                if ("result" in reply) resolve(reply.result);
                else reject(reply.error);
              }),
            );
          });
        });
      });
    });
  }

  async #carryOut<Result>(
    arrival: Arrival,
    ask: (store: MemoryStore) => Promise<Result>,
  ): Promise<Reply<Result>> {
    const done = this.#parts.arriving(arrival);
    try {
      const result = await ask(this.#parts.inner);
      done(result);
      return { result };
    } catch (error) {
      done(undefined);
      return { error };
    }
  }

  #drawFate(): "arrives" | "lost" | "late" | "reply-lost" | "twice" {
    const { uplink } = this.#parts;
    if (uplink.lostRequests > 0) {
      uplink.lostRequests--;
      return "lost";
    }
    if (uplink.lateRequests > 0) {
      uplink.lateRequests--;
      return "late";
    }
    if (uplink.lostReplies > 0) {
      uplink.lostReplies--;
      return "reply-lost";
    }
    if (uplink.repeatedRequests > 0) {
      uplink.repeatedRequests--;
      return "twice";
    }
    return "arrives";
  }

  #latencyMs(): number {
    const { random } = this.#parts;
    const limitMs = random.integer(SLOW_ONE_IN) === 0 ? SLOW_MS : USUAL_MS;
    return 0.2 + random.integer(limitMs * 1000) / 1000;
  }

  #unavailable(verb: string, reason: string): Error {
    return storeUnavailable(verb, this.endpoints, new Error(reason));
  }
}
