/** etcd by version 3 of its API, over gRPC. Only the `etcd3-*` files know the protocol. */
import { assert } from "../../core/assert.ts";
import { AgentError } from "../../core/errors.ts";
import { parseEndpoints } from "./endpoints.ts";
import { CompactedError, leaseGone, storeClosed, storeUnavailable } from "./errors.ts";
import { Etcd3Connection } from "./etcd3-connection.ts";
import { isLeaseGone, isPointless, isTokenRefused, refusalRemedy } from "./etcd3-errors.ts";
import {
  LEASE_GRANT,
  LEASE_REVOKE,
  LEASE_TIME_TO_LIVE,
  type Method,
  RANGE,
  TXN,
  type WireLease,
  type WireRangeResponse,
  type WireTxnResponse,
  type WireWatchResponse,
} from "./etcd3-messages.ts";
import type { Values } from "./etcd3-protobuf.ts";
import {
  readEvent,
  readKeyValue,
  readTransactionResult,
  wireRange,
  wireTransaction,
} from "./etcd3-wire.ts";
import {
  REQUEST_TIMEOUT_MS,
  type GrantedLease,
  type KeyRange,
  type KeyValueStore,
  type LeaseId,
  type RangeResult,
  type RequestOptions,
  type Transaction,
  type TransactionResult,
  type WatchBatch,
} from "./key-value-store.ts";

export interface Etcd3StoreOptions {
  /** As `--etcd-endpoints` names them. */
  readonly endpoints: readonly string[];
  /** As `--etcd-keyfile` and `--etcd-certfile`: both or none. */
  readonly keyFile?: string;
  readonly certificateFile?: string;
  /** As `--etcd-cafile`; without it the authorities of the system count. */
  readonly authoritiesFile?: string;
  /** As `--etcd-username` and `--etcd-password`: both or none. */
  readonly username?: string;
  readonly password?: string;
  /** What an operator should know although the store works. */
  readonly onWarning?: (message: string) => void;
}

/** Keys of one answer: it is decoded in one go, in a few milliseconds. */
const PAGE_KEYS = 1000;
const ZERO = Buffer.of(0);

interface Request {
  /** For the message: `read /coreos.com/network/config`. */
  readonly doing: string;
  readonly method: Method;
  readonly body: Values;
  /** Whether asking twice does no more than asking once: then every endpoint gets its turn. */
  readonly repeatable: boolean;
}

export class Etcd3Store implements KeyValueStore {
  readonly endpoints: string;
  readonly #connections: readonly Etcd3Connection[];
  /** Index of the endpoint that answered last. */
  #current = 0;
  readonly #closing = new AbortController();
  /** Whether a request was ever answered. */
  #admitted = false;

  /** Connects when first asked something. @throws AgentError "options-invalid", "file-unusable" */
  constructor(options: Etcd3StoreOptions) {
    const { keyFile = "", certificateFile = "", authoritiesFile = "" } = options;
    const files = { key: keyFile, certificate: certificateFile, authorities: authoritiesFile };
    const named = Object.values(files).some((file) => file !== "");
    const endpoints = parseEndpoints(options.endpoints, { secureByDefault: named });
    this.endpoints = endpoints.map(({ url }) => url).join(",");
    const warn = options.onWarning ?? ((): void => undefined);
    if (named && endpoints.every(({ secure }) => !secure))
      warn(
        `the etcd certificate files are not used: ${this.endpoints} is plain text, use https:// to have TLS`,
      );
    const identity = {
      files,
      username: options.username ?? "",
      password: options.password ?? "",
      onUnusableFiles: (error: Error) => warn(`${error.message}; going on with the former files`),
    };
    this.#connections = endpoints.map((endpoint) => new Etcd3Connection(endpoint, identity));
  }

  async range(range: KeyRange, options: RequestOptions = {}): Promise<RangeResult> {
    const doing = `read ${nameOf(range)}`;
    const body = { ...wireRange(range), limit: PAGE_KEYS };
    const first = await this.#ask<WireRangeResponse>(
      { doing, method: RANGE, body, repeatable: true },
      options,
    );
    const { header } = first;
    const entries = first.kvs.map(readKeyValue);
    for (let page = first; page.more;) {
      const last = page.kvs.at(-1)?.key ?? Buffer.alloc(0);
      const rest = { ...body, key: Buffer.concat([last, ZERO]), revision: header.revision };
      // Not by another member: a list goes on in the history that it began in, or is to be begun anew.
      page = await this.#ask<WireRangeResponse>(
        { doing, method: RANGE, body: rest, repeatable: false },
        options,
      );
      if (
        page.header.cluster_id !== header.cluster_id ||
        page.header.raft_term !== header.raft_term
      )
        throw storeUnavailable(doing, this.endpoints, new Error("the cluster changed meanwhile"));
      entries.push(...page.kvs.map(readKeyValue));
    }
    return { entries, revision: Number(header.revision), clusterId: header.cluster_id };
  }

  async txn(transaction: Transaction, options: RequestOptions = {}): Promise<TransactionResult> {
    const response = await this.#ask<WireTxnResponse>(
      {
        doing: `write ${writtenKeys(transaction)}`,
        method: TXN,
        body: wireTransaction(transaction),
        repeatable: false,
      },
      options,
    );
    return readTransactionResult(response);
  }

  async grantLease(ttlSeconds: number, options: RequestOptions = {}): Promise<GrantedLease> {
    const response = await this.#ask<WireLease>(
      {
        doing: `get an etcd lease of ${ttlSeconds} s`,
        method: LEASE_GRANT,
        body: { TTL: ttlSeconds, ID: 0 },
        repeatable: false,
      },
      options,
    );
    return { leaseId: response.ID, ttlSeconds: Number(response.TTL) };
  }

  async revokeLease(leaseId: LeaseId, options: RequestOptions = {}): Promise<void> {
    const request: Request = {
      doing: `revoke etcd lease ${leaseId}`,
      method: LEASE_REVOKE,
      body: { ID: leaseId },
      repeatable: true,
    };
    try {
      await this.#ask(request, options);
    } catch (error) {
      if (!(error instanceof AgentError && error.code === "lease-lost")) throw error;
    }
  }

  async timeToLive(leaseId: LeaseId, options: RequestOptions = {}): Promise<number | undefined> {
    const response = await this.#ask<WireLease>(
      {
        doing: `read etcd lease ${leaseId}`,
        method: LEASE_TIME_TO_LIVE,
        body: { ID: leaseId },
        repeatable: true,
      },
      options,
    );
    const seconds = Number(response.TTL);
    return seconds < 0 ? undefined : seconds;
  }

  /** etcd reports progress on a quiet watch every ten minutes, so that a resumed one need not go far back. */
  async *watch(
    range: KeyRange,
    fromRevision: number,
    options: RequestOptions & { readonly signal: AbortSignal },
  ): AsyncGenerator<WatchBatch, void> {
    const doing = `watch ${nameOf(range)}`;
    const index = this.#current;
    const ended = AbortSignal.any([options.signal, this.#closing.signal]);
    try {
      for await (const response of this.#responses(range, fromRevision, options, index, ended)) {
        if (Number(response.compact_revision) > 0)
          throw new CompactedError(fromRevision, Number(response.compact_revision));
        // A refused token is not named in the stream, whatever the reason says: the next watch authenticates anew.
        if (response.canceled) this.#connection(index).forgetToken();
        if (response.canceled) throw new Error(response.cancel_reason || "watch canceled");
        if (response.created) continue;
        const events = response.events.map(readEvent);
        const last = response.events.at(-1);
        // With more to come the header is already ahead of the events: only the last event says how far this went.
        yield { revision: Number(last?.kv.mod_revision ?? response.header.revision), events };
      }
      throw new Error("the server ended the watch");
    } catch (error) {
      options.signal.throwIfAborted();
      if (error instanceof CompactedError) throw error;
      if (isTokenRefused(error)) this.#connection(index).forgetToken();
      throw this.#failed(doing, index, error);
    }
  }

  reconnect(): void {
    for (const connection of this.#connections) connection.renew();
  }

  async close(): Promise<void> {
    this.#closing.abort();
    for (const connection of this.#connections) connection.close();
  }

  async *#responses(
    range: KeyRange,
    fromRevision: number,
    options: RequestOptions,
    index: number,
    ended: AbortSignal,
  ): AsyncGenerator<WireWatchResponse, void> {
    ended.throwIfAborted();
    const timeoutMs = options.timeoutMs ?? REQUEST_TIMEOUT_MS;
    const stream = await this.#connection(index).watchStream({ timeoutMs, signal: ended });
    let late = false;
    const stop = (): void => stream.cancel();
    const timer = setTimeout(() => {
      late = true;
      stop();
    }, timeoutMs);
    ended.addEventListener("abort", stop, { once: true });
    try {
      stream.write({
        create_request: {
          ...wireRange(range),
          start_revision: fromRevision,
          progress_notify: true,
        },
      });
      for await (const response of stream) {
        clearTimeout(timer);
        yield response;
      }
    } catch (error) {
      throw late ? new Error(`no answer within ${timeoutMs} ms`, { cause: error }) : error;
    } finally {
      clearTimeout(timer);
      ended.removeEventListener("abort", stop);
      stop();
    }
  }

  /** One answer from the current endpoint, or, for what may be repeated, from the first that has one. */
  async #ask<Response>(request: Request, options: RequestOptions): Promise<Response> {
    const signals = options.signal === undefined ? [] : [options.signal];
    const signal = AbortSignal.any([...signals, this.#closing.signal]);
    const tries = request.repeatable ? this.#connections.length : 1;
    // A member that hangs must leave time to ask another, also for what only the caller may ask again.
    const timeoutMs = (options.timeoutMs ?? REQUEST_TIMEOUT_MS) / this.#connections.length;
    for (let left = tries; ; left--) {
      const index = this.#current;
      try {
        const answer = await this.#connection(index).call<Response>(request.method, request.body, {
          timeoutMs,
          signal,
        });
        this.#admitted = true;
        return answer;
      } catch (error) {
        options.signal?.throwIfAborted();
        if (isLeaseGone(error)) throw leaseGone(request.doing, error);
        const failure = this.#failed(request.doing, index, error);
        if (left <= 1 || !failure.retryable) throw failure;
      }
    }
  }

  /** Names what went wrong, and lets the next request try the next endpoint. */
  #failed(doing: string, index: number, error: unknown): AgentError {
    if (this.#closing.signal.aborted) return storeClosed(doing);
    if (this.#current === index) this.#current = (index + 1) % this.#connections.length;
    const { url } = this.#connection(index).endpoint;
    const remedy = refusalRemedy(error);
    // Who was let in once waits for the operator to put it right; who never was has the wrong flags.
    if (remedy !== undefined)
      return storeUnavailable(doing, url, error, { retryable: this.#admitted, remedy });
    return storeUnavailable(doing, url, error, { retryable: !isPointless(error) });
  }

  #connection(index: number): Etcd3Connection {
    const connection = this.#connections[index];
    assert(connection !== undefined, `no etcd endpoint ${index}`);
    return connection;
  }
}

function nameOf(range: KeyRange): string {
  return "key" in range ? range.key : `${range.prefix}*`;
}

function writtenKeys(transaction: Transaction): string {
  const keys = transaction.success.flatMap((operation) =>
    operation.action === "range" ? [] : [operation.key],
  );
  return keys.join(" and ");
}
