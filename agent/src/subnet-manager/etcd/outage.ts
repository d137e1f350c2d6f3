import { AgentError } from "../../core/errors.ts";
import type { Clock } from "../../system/clock.ts";
import type { Log } from "../../system/log.ts";
import { type Random, jitteredMs } from "../../system/random.ts";

/** How often a lasting outage is mentioned, and the least time between two that are. */
const MENTION_MS = 60_000;
/** Source: flannel pkg/subnet/etcd/registry.go, spec 03 section 9. */
const BACKOFF_FIRST_MS = 100;
const BACKOFF_LAST_MS = 5000;
/** For a request that has no answer at all: so short that a node is back within two seconds of the store's return. */
const ASK_AGAIN_LAST_MS = 1000;

/**
 * One voice for everything that waits for the store: says so when it does not answer, again each minute, and when it is back.
 * A store that comes and goes is mentioned no more often (invariant E5).
 */
export class Outage {
  readonly #clock: Clock;
  readonly #log: Log;
  /** When the first request of the present outage failed. */
  #sinceMs: number | undefined;
  #mentionedMs: number | undefined;
  /** Whether the present outage was mentioned, so that its end is worth a line. */
  #mentioned = false;

  constructor(clock: Clock, log: Log) {
    this.#clock = clock;
    this.#log = log;
  }

  /** How long the store has not answered; undefined while it does. */
  get seconds(): number | undefined {
    return this.#sinceMs === undefined ? undefined : (this.#clock.nowMs() - this.#sinceMs) / 1_000;
  }

  failed(error: unknown): void {
    const nowMs = this.#clock.nowMs();
    this.#sinceMs ??= nowMs;
    if (this.#mentionedMs !== undefined && nowMs - this.#mentionedMs < MENTION_MS) return;
    this.#mentionedMs = nowMs;
    this.#mentioned = true;
    const reason = error instanceof Error ? error.message : String(error);
    this.#log.warn(
      { seconds: Math.round((nowMs - this.#sinceMs) / 1000) },
      `${reason}; trying again until it answers`,
    );
  }

  answered(): void {
    if (this.#sinceMs === undefined) return;
    const seconds = Math.round((this.#clock.nowMs() - this.#sinceMs) / 1000);
    this.#sinceMs = undefined;
    if (!this.#mentioned) return;
    this.#mentioned = false;
    this.#log.info({ seconds }, "etcd answers again");
  }
}

/** Waits that double from 100 ms to 5 s, or less, each with jitter. */
export class Backoff {
  readonly #random: Random;
  readonly #lastMs: number;
  #nextMs = BACKOFF_FIRST_MS;

  constructor(random: Random, lastMs: number = BACKOFF_LAST_MS) {
    this.#random = random;
    this.#lastMs = lastMs;
  }

  nextMs(): number {
    const ms = this.#nextMs;
    this.#nextMs = Math.min(this.#lastMs, 2 * ms);
    return jitteredMs(this.#random, ms);
  }

  reset(): void {
    this.#nextMs = BACKOFF_FIRST_MS;
  }
}

/** Whether the same request may be answered later. */
export function isOutage(error: unknown): boolean {
  return error instanceof AgentError && error.code === "store-unavailable" && error.retryable;
}

/** Asks again, for ever, until the store answers. The request may be done more than once. */
export async function untilAnswered<Answer>(
  {
    clock,
    random,
    outage,
  }: { readonly clock: Clock; readonly random: Random; readonly outage: Outage },
  ask: () => Promise<Answer>,
  signal: AbortSignal,
): Promise<Answer> {
  const backoff = new Backoff(random, ASK_AGAIN_LAST_MS);
  for (;;) {
    signal.throwIfAborted();
    try {
      const answer = await ask();
      outage.answered();
      return answer;
    } catch (error) {
      signal.throwIfAborted();
      if (!isOutage(error)) throw error;
      outage.failed(error);
    }
    await clock.sleep(backoff.nextMs(), signal);
  }
}
