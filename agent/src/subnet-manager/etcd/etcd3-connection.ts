import { castGrpcError } from "etcd3/lib/errors.js";
import { ConnectionPool } from "etcd3/lib/connection-pool.js";
import type { Endpoint } from "./endpoints.ts";

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
  "grpc.max_reconnect_backoff_ms": 1000,
  // A list of 5,000 leases is larger than the usual 4 MiB allow; etcd limits what it stores.
  "grpc.max_receive_message_length": -1,
  // Finds a connection that died without a word. etcd refuses pings more often than every 5 s.
  "grpc.keepalive_time_ms": 10_000,
  "grpc.keepalive_timeout_ms": 5000,
};

type Service = "KV" | "Lease" | "Watch";
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

/** One member of the store, reached through etcd3's channel and its authentication, without its retries. */
export class Etcd3Connection {
  readonly endpoint: Endpoint;
  readonly #pool: ConnectionPool;
  readonly #clients = new Map<Service, ServiceConnection["client"]>();

  constructor(endpoint: Endpoint) {
    this.endpoint = endpoint;
    const scheme = endpoint.secure ? "https" : "http";
    this.#pool = new ConnectionPool({
      hosts: [`${scheme}://${endpoint.target}`],
      grpcOptions: CHANNEL_OPTIONS,
    });
  }

  /** One request, one answer. Rejects with etcd3's error, or with the signal's reason. */
  async call<Response>(
    service: Service,
    method: string,
    request: object,
    options: { readonly timeoutMs: number; readonly signal?: AbortSignal | undefined },
  ): Promise<Response> {
    const { client, metadata } = await this.#open(service);
    const { signal } = options;
    signal?.throwIfAborted();
    const unary = (client as unknown as Record<string, UnaryMethod>)[method];
    if (unary === undefined) throw new Error(`etcd has no method ${service}/${method}`);
    return new Promise((resolve, reject) => {
      const deadline = new Date(Date.now() + options.timeoutMs);
      const call = unary.call(client, request, metadata, { deadline }, (error, response) => {
        signal?.removeEventListener("abort", abort);
        if (signal?.aborted === true) reject(signal.reason);
        else if (error !== null) reject(castGrpcError(error));
        else resolve(response as Response);
      });
      const abort = (): void => call.cancel();
      signal?.addEventListener("abort", abort, { once: true });
    });
  }

  /** Opens a watch stream that a member without a leader ends instead of keeping silent. */
  async watchStream(): Promise<Stream> {
    const { client, metadata } = await this.#open("Watch");
    const requireLeader = metadata.clone();
    // Source: etcd api/v3rpc/rpctypes/metadatafields.go.
    requireLeader.set("hasleader", "true");
    return (client as unknown as { watch(metadata: Metadata): Stream }).watch(requireLeader);
  }

  /** Ends all calls and streams. */
  close(): void {
    for (const client of this.#clients.values()) client.close();
  }

  async #open(service: Service): Promise<ServiceConnection> {
    const connection = await this.#pool.withConnection(service, (opened) => opened);
    this.#clients.set(service, connection.client);
    return connection;
  }
}
