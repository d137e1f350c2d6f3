import { type CallOptions, Channel } from "./etcd3-channel.ts";
import type { Endpoint } from "./endpoints.ts";
import type { CertificateFiles } from "./etcd3-credentials.ts";
import { fingerprint, readCertificates } from "./etcd3-credentials.ts";
import { isAuthenticationOff, isTokenRefused } from "./etcd3-errors.ts";
import { AUTHENTICATE, type Method, WATCH, type WireWatchResponse } from "./etcd3-messages.ts";
import { type Values, decodeMessage, encodeMessage } from "./etcd3-protobuf.ts";

/** A watch that is open: requests go in, responses come out. */
export interface WatchStream extends AsyncIterable<WireWatchResponse> {
  write(request: Values): void;
  /** Who reads gets an error. */
  cancel(): void;
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

/** How often the certificate files are looked at, at most. */
const LOOK_AT_FILES_MS = 1000;

/** The channel made with one reading of the certificate files. */
interface Generation {
  readonly channel: Channel;
  /** Calls and streams under way: the last one of a replaced generation closes it. */
  underWay: number;
}

/**
 * One member of the store, and who the agent is to it. Certificate files that changed serve every connection made from then on;
 * what is under way goes on.
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

  /** One request, one answer. @throws GrpcError, or the signal's reason */
  async call<Response>(method: Method, request: Values, options: CallOptions): Promise<Response> {
    const endMs = performance.now() + options.timeoutMs;
    const left = (): CallOptions => ({ ...options, timeoutMs: endMs - performance.now() });
    const token = await this.#authenticate(left());
    try {
      return await this.#callOnce<Response>(method, request, token, left());
    } catch (error) {
      if (!this.#refused(error, token)) throw error;
    }
    // A refused request was not carried out, so it is safe to send it again.
    const fresh = await this.#authenticate(left());
    return this.#callOnce<Response>(method, request, fresh, left());
  }

  /** Opens a watch stream that a member without a leader ends instead of keeping silent. */
  async watchStream(options: CallOptions): Promise<WatchStream> {
    const token = await this.#authenticate(options);
    const generation = this.#current();
    // Source: etcd api/v3rpc/rpctypes/metadatafields.go.
    const metadata = { ...metadataOf(token), hasleader: "true" };
    const stream = await this.#within(generation, async () => {
      const opened = await generation.channel.stream(WATCH.path, metadata, options);
      generation.underWay++;
      opened.onClose(() => this.#leave(generation));
      return opened;
    });
    return {
      write: (request) => stream.write(encodeMessage(WATCH.request, request)),
      cancel: () => stream.cancel(),
      async *[Symbol.asyncIterator]() {
        for await (const message of stream)
          yield decodeMessage(WATCH.response, message) as unknown as WireWatchResponse;
      },
    };
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
    for (const { channel } of [this.#generation, ...this.#replaced]) channel.close();
    this.#replaced.clear();
  }

  async #callOnce<Response>(
    { path, request: type, response }: Method,
    request: Values,
    token: string,
    options: CallOptions,
  ): Promise<Response> {
    const generation = this.#current();
    const message = encodeMessage(type, request);
    const answer = await this.#within(generation, () =>
      generation.channel.call(path, message, metadataOf(token), options),
    );
    return decodeMessage(response, answer) as Response;
  }

  /** Keeps a replaced generation open as long as the work takes. */
  async #within<T>(generation: Generation, work: () => Promise<T>): Promise<T> {
    generation.underWay++;
    try {
      return await work();
    } finally {
      this.#leave(generation);
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
        AUTHENTICATE,
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
    const secrets = endpoint.secure ? readCertificates(this.#identity.files) : undefined;
    return { channel: new Channel(endpoint, secrets), underWay: 0 };
  }

  #leave(generation: Generation): void {
    generation.underWay--;
    this.#closeIfIdle(generation);
  }

  #closeIfIdle(generation: Generation): void {
    if (generation.underWay > 0 || !this.#replaced.delete(generation)) return;
    generation.channel.close();
  }
}

function metadataOf(token: string): Readonly<Record<string, string>> {
  return token === "" ? {} : { token };
}
