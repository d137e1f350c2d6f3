/**
 * What supervises the agent is told how it fares: ready, stopping, alive, and one line for people.
 * Source: sd_notify(3), sd_watchdog_enabled(3).
 */
import type { Clock } from "./clock.ts";
import type { Log } from "./log.ts";

export interface ServiceManagerParts {
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** The process id of the agent: a watchdog may be meant for a parent of it. */
  readonly pid: number;
  /** Sends one datagram to a unix socket; `@` begins the name of an abstract one. @throws Error */
  readonly send: (socket: string, text: string) => void;
  readonly clock: Clock;
  readonly log: Log;
}

/** A datagram that was not taken is sent again, as long as nothing newer is to be said. */
const RETRY_MS = 1_000;
const MICROSECONDS_PER_MS = 1_000;

export class ServiceManager implements AsyncDisposable {
  readonly #parts: ServiceManagerParts;
  readonly #socket: string;
  readonly #closed = new AbortController();
  readonly #watchdog: Promise<void>;
  #retries: Promise<void> | undefined;
  #wasReady = false;
  #stopping = false;
  /** What the service manager has not taken yet. */
  #unsent = "";
  #complained = false;

  private constructor(parts: ServiceManagerParts, socket: string) {
    this.#parts = parts;
    this.#socket = socket;
    this.#tell("STATUS=starting");
    const limitMs = watchdogMs(parts);
    this.#watchdog = limitMs === undefined ? Promise.resolve() : this.#stayAlive(limitMs / 2);
  }

  /** Undefined where nobody listens: `NOTIFY_SOCKET` is not set, or names no unix socket. */
  static open(parts: ServiceManagerParts): ServiceManager | undefined {
    const { NOTIFY_SOCKET: socket = "" } = parts.environment;
    if (socket === "") return undefined;
    if (/^[/@]./.test(socket)) return new ServiceManager(parts, socket);
    parts.log.warn(
      { socket },
      "NOTIFY_SOCKET is neither a path nor the name of an abstract socket: nobody is told that the agent is ready",
    );
    return undefined;
  }

  /**
   * A service that was ready stays so for the service manager; the line for people goes back.
   * @param ready whether what waits for this service can start: it may serve although there are reasons not to call it ready
   */
  setReady(ready: boolean, reasons: readonly string[] = []): void {
    if (this.#stopping) return;
    const why = reasons.length === 0 ? "" : `: ${reasons.join("; ")}`;
    if (ready) this.#tell(`READY=1\nSTATUS=${why === "" ? "ready" : `serving, not ready${why}`}`);
    else if (this.#wasReady) this.#tell(`STATUS=not ready${why}`);
    this.#wasReady ||= ready;
  }

  setStopping(): void {
    if (this.#stopping) return;
    this.#stopping = true;
    this.#tell("STOPPING=1\nSTATUS=stopping");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.setStopping();
    this.#closed.abort(new Error("closed"));
    await Promise.all([this.#watchdog, this.#retries]);
  }

  async #stayAlive(everyMs: number): Promise<void> {
    do this.#send("WATCHDOG=1");
    while (await this.#slept(everyMs));
  }

  #tell(text: string): void {
    this.#unsent = this.#send(text) ? "" : text;
    if (this.#unsent !== "") this.#retries ??= this.#tellAgain();
  }

  async #tellAgain(): Promise<void> {
    while (this.#unsent !== "" && (await this.#slept(RETRY_MS)))
      if (this.#unsent !== "") this.#tell(this.#unsent);
    this.#retries = undefined;
  }

  /** False once this is closed. */
  async #slept(ms: number): Promise<boolean> {
    const { signal } = this.#closed;
    try {
      await this.#parts.clock.sleep(ms, signal);
      return true;
    } catch (error) {
      if (!signal.aborted) throw error;
      return false;
    }
  }

  #send(text: string): boolean {
    const { send, log } = this.#parts;
    try {
      send(this.#socket, text);
      this.#complained = false;
      return true;
    } catch (error) {
      if (!this.#complained)
        log.warn(
          { err: error, socket: this.#socket },
          "the service manager hears nothing: trying again",
        );
      this.#complained = true;
      return false;
    }
  }
}

/** Undefined where no watchdog waits for this process. */
function watchdogMs({ environment, pid }: ServiceManagerParts): number | undefined {
  const { WATCHDOG_USEC: limit = "", WATCHDOG_PID: process = "" } = environment;
  if (!/^[1-9]\d{0,15}$/.test(limit) || (process !== "" && process !== String(pid)))
    return undefined;
  return Math.max(1, Number(limit) / MICROSECONDS_PER_MS);
}
