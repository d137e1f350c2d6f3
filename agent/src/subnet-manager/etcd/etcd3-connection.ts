import { castGrpcError } from "etcd3/lib/errors.js";
import { ConnectionPool } from "etcd3/lib/connection-pool.js";
import type { Endpoint } from "./endpoints.ts";
import type { CertificateFiles } from "./etcd3-credentials.ts";
import { fingerprint, readCertificates } from "./etcd3-credentials.ts";
import { isAuthenticationOff, isTokenRefused } from "./etcd3-errors.ts";

/**
 * gRPC channel arguments. The library's own answers to trouble (retries, circuit breakers, long back-off) are all off or
 * short: who waits and for how long is decided where the log is.
 * Source: grpc-js README "Supported Channel Options".
 */
const CHANNEL_OPTIONS = {
  // A proxy meant for web pages must not sit between a node and its store.
  "grpc.enable_http_proxy": 0,
  "grpc.enable_retries": 0,
  "grpc.service_config_disable_resolution": 1,
  "grpc.initial_reconnect_backoff_ms": 100,
  // Otherwise up to two minutes pass unnoticed after the store is back.
  "grpc.max_reconnect_backoff_ms": 700,
  // A list of 5,000 leases is larger than the usual 4 MiB allow; etcd limits what it stores.
  "grpc.max_receive_message_length": -1,
  // Finds a connection that died without a word. etcd refuses pings more often than every 5 s.
  "grpc.keepalive_time_ms": 10_000,
  "grpc.keepalive_timeout_ms": 5000,
};

type Service = "KV" | "Lease" | "Watch" | "Auth";
type ServiceConnection = Parameters<Parameters<ConnectionPool["withConnection"]>[1]>[0];
type Metadata = ServiceConnection["metadata"];

type UnaryMethod = (
  request: object,
  metadata: Metadata,
  options: { readonly deadline: Date },
  callback: (error: Error | null, response: unknown) => void,
) => { cancel(): void };

/** The part of a gRPC stream that a watch needs; the library types none of it. */
export interface Stream extends AsyncIterable<unknown> {
  write(request: object): void;
  cancel(): void;
  on(event: "error", listener: (error: Error) => void): void;
}

/** Who the agent is, for etcd. */
export interface Identity {
  readonly files: CertificateFiles;
  /** Empty for no authentication. */
  readonly username: string;
  readonly password: string;
  /** Told once when files that changed are unusable: the connection keeps what it had. */
  readonly onUnusableFiles: (error: Error) => void;
}

interface CallOptions {
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
}

/** How often the certificate files are looked at, at most. */
const LOOK_AT_FILES_MS = 1000;

/** The channels made with one reading of the certificate files. */
interface Generation {
  readonly pool: ConnectionPool;
  readonly clients: Map<Service, ServiceConnection["client"]>;
  /** Cancels each call and stream under way: the last one of a replaced generation closes it. */
  readonly underWay: Set<() => void>;
}

/**
 * One member of the store, reached through etcd3's channels, without its retries and its authentication, which has no
 * deadlines. Certificate files that changed serve every connection made from then on; what is under way goes on.
 */
export class Etcd3Connection {
  readonly endpoint: Endpoint;
  readonly #identity: Identity;
  readonly #replaced = new Set<Generation>();
  #generation: Generation;
  #fingerprint: string;
  #lookedMs = performance.now();
  /** From the last authentication; undefined before it, empty when etcd knows no users. */
  #token: string | undefined;

  /** @throws AgentError "file-unusable" */
  constructor(endpoint: Endpoint, identity: Identity) {
    this.endpoint = endpoint;
    this.#identity = identity;
    this.#fingerprint = fingerprint(identity.files);
    this.#generation = this.#openGeneration();
  }

  /** One request, one answer. Rejects with etcd3's error, or with the signal's reason. */
  async call<Response>(
    service: Service,
    method: string,
    request: object,
    options: CallOptions,
  ): Promise<Response> {
    const endMs = performance.now() + options.timeoutMs;
    const left = (): CallOptions => ({ ...options, timeoutMs: endMs - performance.now() });
    const token = await this.#authenticate(left());
    try {
      return await this.#callOnce<Response>(service, method, request, token, left());
    } catch (error) {
      if (!this.#refused(error, token)) throw error;
    }
    // A refused request was not carried out, so it is safe to send it again.
    const fresh = await this.#authenticate(left());
    return this.#callOnce<Response>(service, method, request, fresh, left());
  }

  /** Opens a watch stream that a member without a leader ends instead of keeping silent. */
  async watchStream(options: CallOptions): Promise<Stream> {
    const token = await this.#authenticate(options);
    const generation = this.#current();
    const { client, metadata } = await open(generation, "Watch", token);
    // Source: etcd api/v3rpc/rpctypes/metadatafields.go.
    metadata.set("hasleader", "true");
    const stream = (client as unknown as { watch(metadata: Metadata): Stream }).watch(metadata);
    const cancel = (): void => stream.cancel();
    generation.underWay.add(cancel);
    (stream as unknown as { once(event: "close", listener: () => void): void }).once("close", () =>
      this.#leave(generation, cancel),
    );
    return stream;
  }

  /** For a watch, whose refusal arrives in the stream: the next call authenticates anew. */
  forgetToken(): void {
    this.#token = undefined;
  }

  /** Ends all calls and streams; those from now on go over new channels. */
  renew(): void {
    const fresh = this.#tryToOpen();
    if (fresh === undefined) return;
    this.close();
    this.#generation = fresh;
  }

  /** Ends all calls and streams. */
  close(): void {
    for (const generation of [this.#generation, ...this.#replaced]) closeGeneration(generation);
    this.#replaced.clear();
  }

  async #callOnce<Response>(
    service: Service,
    method: string,
    request: object,
    token: string,
    { signal, timeoutMs }: CallOptions,
  ): Promise<Response> {
    const generation = this.#current();
    const end = new AbortController();
    const cancel = (): void => end.abort();
    generation.underWay.add(cancel);
    try {
      const { client, metadata } = await open(generation, service, token);
      signal?.throwIfAborted();
      const unary = (client as unknown as Record<string, UnaryMethod>)[method];
      if (unary === undefined) throw new Error(`etcd has no method ${service}/${method}`);
      return await new Promise((resolve, reject) => {
        const deadline = new Date(Date.now() + timeoutMs);
        const call = unary.call(client, request, metadata, { deadline }, (error, response) => {
          signal?.removeEventListener("abort", abort);
          if (signal?.aborted === true) reject(signal.reason);
          else if (error !== null) reject(castGrpcError(error));
          else resolve(response as Response);
        });
        const abort = (): void => call.cancel();
        signal?.addEventListener("abort", abort, { once: true });
        end.signal.addEventListener("abort", abort, { once: true });
      });
    } finally {
      this.#leave(generation, cancel);
    }
  }

  /** The token to send, which is empty for none. */
  async #authenticate(options: CallOptions): Promise<string> {
    const { username, password } = this.#identity;
    if (username === "" || password === "") return "";
    if (this.#token !== undefined) return this.#token;
    try {
      const request = { name: username, password };
      const { token } = await this.#callOnce<{ readonly token: string }>(
        "Auth",
        "authenticate",
        request,
        "",
        options,
      );
      this.#token = token;
    } catch (error) {
      if (!isAuthenticationOff(error)) throw error;
      this.#token = "";
    }
    return this.#token;
  }

  #refused(error: unknown, token: string): boolean {
    const { username, password } = this.#identity;
    if (username === "" || password === "" || !isTokenRefused(error)) return false;
    // Unless another call has a new one already.
    if (this.#token === token) this.#token = undefined;
    return true;
  }

  /** The channels to use now, made anew when the certificate files changed. */
  #current(): Generation {
    const nowMs = performance.now();
    if (!this.endpoint.secure || nowMs - this.#lookedMs < LOOK_AT_FILES_MS) return this.#generation;
    this.#lookedMs = nowMs;
    const now = fingerprint(this.#identity.files);
    if (now === this.#fingerprint) return this.#generation;
    this.#fingerprint = now;
    const fresh = this.#tryToOpen();
    if (fresh === undefined) return this.#generation;
    const old = this.#generation;
    this.#generation = fresh;
    this.#replaced.add(old);
    this.#closeIfIdle(old);
    return fresh;
  }

  /** Undefined, and said, when the certificate files cannot be used. */
  #tryToOpen(): Generation | undefined {
    try {
      return this.#openGeneration();
    } catch (error) {
      this.#identity.onUnusableFiles(error instanceof Error ? error : new Error(String(error)));
      return undefined;
    }
  }

  #openGeneration(): Generation {
    const { endpoint } = this;
    const pool = new ConnectionPool({
      hosts: [`${endpoint.secure ? "https" : "http"}://${endpoint.target}`],
      grpcOptions: CHANNEL_OPTIONS,
      ...(endpoint.secure ? { credentials: readForChannel(this.#identity.files) } : {}),
    });
    return { pool, clients: new Map(), underWay: new Set() };
  }

  #leave(generation: Generation, cancel: () => void): void {
    generation.underWay.delete(cancel);
    this.#closeIfIdle(generation);
  }

  #closeIfIdle(generation: Generation): void {
    if (generation.underWay.size > 0 || !this.#replaced.delete(generation)) return;
    closeGeneration(generation);
  }
}

async function open(
  { pool, clients }: Generation,
  service: Service,
  token: string,
): Promise<ServiceConnection> {
  const connection = await pool.withConnection(service, (opened) => opened);
  clients.set(service, connection.client);
  const metadata = connection.metadata.clone();
  if (token !== "") metadata.set("token", token);
  return { ...connection, metadata };
}

function closeGeneration({ clients, underWay }: Generation): void {
  for (const cancel of underWay) cancel();
  for (const client of clients.values()) client.close();
}

/** gRPC takes null for a part that is not given; the library's types do not say so. */
function readForChannel(files: CertificateFiles): {
  rootCertificate: Buffer;
  privateKey: Buffer;
  certChain: Buffer;
} {
  return readCertificates(files) as unknown as ReturnType<typeof readForChannel>;
}
