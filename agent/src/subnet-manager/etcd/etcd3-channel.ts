/**
 * gRPC over Node's own HTTP/2: requests with one answer, and streams. No retries and no back-off of its own: who waits and for how
 * long is decided where the log is. Source: grpc doc/PROTOCOL-HTTP2.md.
 */
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  type IncomingHttpHeaders,
  type SecureClientSessionOptions,
  connect,
  constants,
} from "node:http2";
import { connect as connectSocket } from "node:net";
import { type SecureContext, connect as connectSecurely, createSecureContext } from "node:tls";
import type { Endpoint } from "./endpoints.ts";
import { GrpcError, statusOf } from "./etcd3-errors.ts";
import { MessageParts, frame } from "./etcd3-framing.ts";

/**
 * Finds a connection that died without a word. etcd refuses pings more often than every 5 s, and those on a connection where nothing
 * is asked. Source: etcd embed/config.go, grpc-keepalive-min-time.
 */
const PING_EVERY_MS = 10_000;
const PING_TIMEOUT_MS = 5000;

/** The kernel would try for two minutes, more and more seldom, and not see for long that the way is free again. */
const CONNECT_TIMEOUT_MS = 3000;

/** A list of thousands of leases comes without waiting for us to say "go on". */
const WINDOW_BYTES = 4 * 1024 * 1024;

/** Ours instead of Node's, which would change nothing: the authorities of the system count already, unless a file names others. */
const ADVICE_OF_NODE = /; if the root CA is installed locally.*/;
const ADVICE = "; name the authority that signed it with --etcd-cafile";

/** What a connection is made with, beyond where to. */
export interface Secrets {
  readonly rootCertificate: Buffer;
  readonly privateKey: Buffer | null;
  readonly certChain: Buffer | null;
}

export interface CallOptions {
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
}

/** By lower-case name. */
type Metadata = Readonly<Record<string, string>>;

/** A stream both ways, of encoded messages. */
export interface MessageStream extends AsyncIterable<Buffer> {
  write(message: Buffer): void;
  /** Nothing comes any more; who reads gets an error. */
  cancel(): void;
  /** Told once. */
  onClose(listener: () => void): void;
}

/** One member, connected when first asked something, and again when asked after the connection was lost. */
export class Channel {
  readonly #endpoint: Endpoint;
  readonly #secrets: Secrets | undefined;
  readonly #open = new Set<ClientHttp2Session>();
  /** Made when first needed, and once: a hundred authorities of a system take longer to parse than a connection to make. */
  #options: SecureClientSessionOptions | undefined;
  #current: Promise<Connection> | undefined;
  #closed = false;

  constructor(endpoint: Endpoint, secrets?: Secrets) {
    this.#endpoint = endpoint;
    this.#secrets = secrets;
  }

  /** @throws GrpcError, or the signal's reason */
  async call(
    path: string,
    message: Buffer,
    metadata: Metadata,
    options: CallOptions,
  ): Promise<Buffer> {
    const stop = new Stop(options);
    try {
      const connection = await stop.orResult(this.#connection());
      const stream = request(connection, path, metadata, options.timeoutMs);
      stop.onStop(() => stream.close(constants.NGHTTP2_CANCEL));
      stream.end(frame(message));
      return await stop.orResult(onlyMessage(stream));
    } finally {
      stop.release();
    }
  }

  /** The time limit is for the connection only. @throws GrpcError, or the signal's reason */
  async stream(path: string, metadata: Metadata, options: CallOptions): Promise<MessageStream> {
    const stop = new Stop(options);
    try {
      const connection = await stop.orResult(this.#connection());
      return asMessageStream(request(connection, path, metadata));
    } finally {
      stop.release();
    }
  }

  /** Ends the connection and everything on it. */
  close(): void {
    this.#closed = true;
    this.#current = undefined;
    for (const session of this.#open) session.destroy();
  }

  #connection(): Promise<Connection> {
    this.#current ??= this.#connect();
    return this.#current;
  }

  #connect(): Promise<Connection> {
    if (this.#closed)
      return Promise.reject(new GrpcError("UNAVAILABLE", "the connection is closed"));
    this.#options ??= sessionOptions(this.#secrets);
    const session = openSession(this.#endpoint, this.#options);
    this.#open.add(session);
    const connection = { session, streams: 0 };
    const ping = keepAlive(connection);
    const late = setTimeout(
      () => session.destroy(new Error(`no connection within ${CONNECT_TIMEOUT_MS} ms`)),
      CONNECT_TIMEOUT_MS,
    );
    let failure: Error | undefined;
    const connected = new Promise<Connection>((resolve, reject) => {
      session.once("connect", () => {
        clearTimeout(late);
        // Told a tick late: it may have been given up meanwhile, and then its end is all there is to tell.
        if (session.destroyed) return;
        session.setLocalWindowSize(WINDOW_BYTES);
        resolve(connection);
      });
      session.on("error", (error: Error) => (failure ??= error));
      session.once("close", () => {
        clearTimeout(late);
        clearInterval(ping);
        this.#open.delete(session);
        forget();
        reject(new GrpcError("UNAVAILABLE", textOf(failure) ?? "the connection was closed"));
      });
    });
    const forget = (): void => {
      if (this.#current === connected) this.#current = undefined;
    };
    // The member finishes what it has and takes nothing new.
    session.once("goaway", forget);
    // Nobody may wait for it any more.
    connected.catch(() => undefined);
    return connected;
  }
}

interface Connection {
  readonly session: ClientHttp2Session;
  /** Calls and streams that are open. */
  streams: number;
}

/** Ends a wait at its deadline or when its signal aborts, whichever comes first. */
class Stop {
  readonly #signal: AbortSignal | undefined;
  readonly #timer: NodeJS.Timeout;
  readonly #stopped: Promise<never>;
  readonly #abort: () => void;
  #listener: (() => void) | undefined;

  constructor({ timeoutMs, signal }: CallOptions) {
    signal?.throwIfAborted();
    const { promise, reject } = Promise.withResolvers<never>();
    // Whoever waits is told; the rest is not to be a rejection that nobody handles.
    promise.catch(() => undefined);
    this.#stopped = promise;
    const stop = (reason: unknown): void => {
      reject(reason);
      this.#listener?.();
    };
    this.#abort = () => stop(signal?.reason);
    this.#signal = signal;
    signal?.addEventListener("abort", this.#abort, { once: true });
    this.#timer = setTimeout(
      () =>
        stop(new GrpcError("DEADLINE_EXCEEDED", `no answer within ${Math.round(timeoutMs)} ms`)),
      Math.max(0, timeoutMs),
    );
  }

  orResult<T>(work: Promise<T>): Promise<T> {
    return Promise.race([this.#stopped, work]);
  }

  onStop(listener: () => void): void {
    this.#listener = listener;
  }

  release(): void {
    clearTimeout(this.#timer);
    this.#signal?.removeEventListener("abort", this.#abort);
  }
}

function openSession(
  { target, secure }: Endpoint,
  options: SecureClientSessionOptions,
): ClientHttp2Session {
  const scheme = secure ? "https" : "http";
  const [, path] = /^unix:(.*)$/s.exec(target) ?? [];
  if (path === undefined) return connect(`${scheme}://${target}`, options);
  // What the other end of a socket in the file system is called. Source: grpc doc/naming.md.
  return connect(`${scheme}://localhost`, {
    ...options,
    createConnection: () =>
      secure
        ? connectSecurely({ ...options, path, servername: "localhost", ALPNProtocols: ["h2"] })
        : connectSocket(path),
  });
}

function sessionOptions(secrets: Secrets | undefined): SecureClientSessionOptions {
  const settings = { enablePush: false, initialWindowSize: WINDOW_BYTES };
  return secrets === undefined ? { settings } : { settings, secureContext: contextOf(secrets) };
}

function contextOf({ rootCertificate, privateKey, certChain }: Secrets): SecureContext {
  return createSecureContext({
    ca: rootCertificate,
    ...(privateKey === null ? {} : { key: privateKey }),
    ...(certChain === null ? {} : { cert: certChain }),
  });
}

/** Ends a connection on which no answer comes any more. */
function keepAlive(connection: Connection): NodeJS.Timeout {
  const { session } = connection;
  return setInterval(() => {
    if (session.connecting || session.destroyed || connection.streams === 0) return;
    const timer = setTimeout(
      () => session.destroy(new Error(`no answer to a ping within ${PING_TIMEOUT_MS} ms`)),
      PING_TIMEOUT_MS,
    );
    const isSent = session.ping(() => clearTimeout(timer));
    if (!isSent) clearTimeout(timer);
  }, PING_EVERY_MS).unref();
}

/** @throws GrpcError where the connection was lost and nobody has heard of it yet */
function request(
  connection: Connection,
  path: string,
  metadata: Metadata,
  timeoutMs?: number,
): ClientHttp2Stream {
  const headers = {
    ":method": "POST",
    ":path": path,
    "content-type": "application/grpc",
    te: "trailers",
    ...(timeoutMs === undefined
      ? {}
      : { "grpc-timeout": `${Math.max(1, Math.round(timeoutMs))}m` }),
    ...metadata,
  };
  let stream: ClientHttp2Stream;
  try {
    stream = connection.session.request(headers);
  } catch (error) {
    throw new GrpcError("UNAVAILABLE", error instanceof Error ? error.message : String(error));
  }
  connection.streams++;
  stream.once("close", () => connection.streams--);
  return stream;
}

/** The status that ended a stream: in the trailers, or in the headers where there is nothing else. */
class Ending {
  /** By us. */
  isCancelled = false;
  #headers: IncomingHttpHeaders = {};
  #trailers: IncomingHttpHeaders = {};
  #failure: Error | undefined;

  constructor(stream: ClientHttp2Stream) {
    stream.on("response", (headers) => (this.#headers = headers));
    stream.on("trailers", (trailers) => (this.#trailers = trailers));
    stream.on("error", (error: Error) => (this.#failure ??= error));
  }

  /** Undefined when the member said that all went well. To be asked when the stream is closed. */
  get error(): GrpcError | undefined {
    const said = [this.#trailers, this.#headers].find((one) => one["grpc-status"] !== undefined);
    if (said !== undefined) {
      const status = statusOf(String(said["grpc-status"]));
      return status === "OK"
        ? undefined
        : new GrpcError(status, decodeText(String(said["grpc-message"] ?? "")));
    }
    const httpStatus = Number(this.#headers[":status"] ?? constants.HTTP_STATUS_OK);
    if (httpStatus !== constants.HTTP_STATUS_OK)
      return new GrpcError("UNAVAILABLE", `the answer is HTTP status ${httpStatus}`);
    if (this.isCancelled) return new GrpcError("CANCELLED", "it was cancelled");
    return new GrpcError("UNAVAILABLE", textOf(this.#failure) ?? "the connection was lost");
  }
}

/** The one message of an answer. */
function onlyMessage(stream: ClientHttp2Stream): Promise<Buffer> {
  const ending = new Ending(stream);
  const parts = new MessageParts();
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
  const messages: Buffer[] = [];
  stream.on("data", (chunk: Buffer) => {
    try {
      messages.push(...parts.take(chunk));
    } catch (error) {
      reject(error);
      stream.close(constants.NGHTTP2_CANCEL);
    }
  });
  stream.once("close", () => {
    const [message] = messages;
    const { error } = ending;
    if (error !== undefined) reject(error);
    else if (message === undefined) reject(new GrpcError("INTERNAL", "the answer has no message"));
    else resolve(message);
  });
  return promise;
}

function asMessageStream(stream: ClientHttp2Stream): MessageStream {
  const ending = new Ending(stream);
  const closed = new Promise<void>((resolve) => stream.once("close", resolve));
  async function* messages(): AsyncGenerator<Buffer, void> {
    const parts = new MessageParts();
    try {
      for await (const chunk of stream) yield* parts.take(chunk as Buffer);
    } catch (error) {
      if (error instanceof GrpcError) throw error;
      // The ending says it better.
    }
    // A member that has said its last word waits for ours.
    stream.close();
    await closed;
    if (ending.error !== undefined) throw ending.error;
  }
  return {
    write: (message) => void stream.write(frame(message)),
    cancel: () => {
      ending.isCancelled = true;
      stream.close(constants.NGHTTP2_CANCEL);
    },
    onClose: (listener) => stream.once("close", listener),
    [Symbol.asyncIterator]: messages,
  };
}

/** Source: PROTOCOL-HTTP2.md, Status-Message: percent-encoded UTF-8. */
function decodeText(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    // A stray percent sign: as it is, it still tells more than nothing.
    return text;
  }
}

/** The innermost reason, because HTTP/2's own words are that a stream was cancelled. */
function textOf(error: Error | undefined): string | undefined {
  if (error?.cause instanceof Error) return textOf(error.cause) ?? error.message;
  return error?.message.replace(ADVICE_OF_NODE, ADVICE);
}
