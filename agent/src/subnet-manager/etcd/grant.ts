import { assert } from "../../core/assert.ts";
import type { StoreContext } from "./context.ts";
import type { LeaseId } from "./key-value-store.ts";
import { untilAnswered } from "./outage.ts";

/** An etcd lease of our own making. */
export interface Grant {
  readonly leaseId: LeaseId;
  readonly ttlSeconds: number;
  /** Monotonic time of the request, so that our deadline is never later than the server's. */
  readonly askedMs: number;
}

/** How long a stop or a lost race may be held up to give back a lease that would run out by itself. */
const REVOKE_TIMEOUT_MS = 500;

/** Gets an etcd lease, asking until there is an answer. */
export async function grantLease(context: StoreContext, signal: AbortSignal): Promise<Grant> {
  const { store, clock, leaseTtlSeconds } = context;
  return untilAnswered(
    context,
    async () => {
      const askedMs = clock.nowMs();
      return { ...(await store.grantLease(leaseTtlSeconds, { signal })), askedMs };
    },
    signal,
  );
}

/**
 * Gives a lease back, so that leases do not pile up (spec 10, E15). Only for a lease that no key we claim may be attached to:
 * the key would go with it (invariant B9). One try: what is not given back runs out.
 */
export async function revokeLease({ store, log }: StoreContext, leaseId: LeaseId): Promise<void> {
  try {
    await store.revokeLease(leaseId, { timeoutMs: REVOKE_TIMEOUT_MS });
  } catch (error) {
    log.debug({ err: error, leaseId }, "an unused etcd lease was not given back and will run out");
  }
}

/** When a lease is renewed, in milliseconds after it was asked for: the margin before its end, or half way when the margin leaves no time. */
export function renewAfterMs(
  ttlSeconds: number,
  { renewMarginMinutes }: Pick<StoreContext, "renewMarginMinutes">,
): number {
  const ttlMs = ttlSeconds * 1000;
  const beforeEndMs = ttlMs - renewMarginMinutes * 60_000;
  return Math.max(RENEW_AT_LEAST_MS, beforeEndMs > 0 ? beforeEndMs : ttlMs / 2);
}

/**
 * How long after a renewal that nobody answered the next one is tried, in milliseconds: a minute as in the reference, sooner when
 * the margin would be over by then (invariant B5).
 */
export function renewAgainMs(
  context: Pick<StoreContext, "leaseTtlSeconds" | "renewMarginMinutes">,
): number {
  const ttlMs = context.leaseTtlSeconds * 1000;
  const marginMs = ttlMs - renewAfterMs(context.leaseTtlSeconds, context);
  return Math.max(RENEW_AT_LEAST_MS, Math.min(RENEW_AGAIN_MS, marginMs / TRIES_WITHIN_MARGIN));
}

/** Source: flannel pkg/subnet/etcd/subnet.go, spec 03 section 6. */
const RENEW_AGAIN_MS = 60_000;
/** As many renewals as this fit into the margin at least, each with its time to wait for an answer. */
const TRIES_WITHIN_MARGIN = 6;

/** Whatever time to live a server answers, renewing is no busy loop (invariant B7). */
const RENEW_AT_LEAST_MS = 1000;

/** A lease granted longer ago than this share of its time is not used for a new claim. */
const STALE_SHARE = 1 / 4;

/** The etcd lease of a claim in the making: kept from one attempt to the next, given back when none succeeds. */
export class SpareGrant {
  readonly #context: StoreContext;
  #grant: Grant | undefined;

  constructor(context: StoreContext) {
    this.#context = context;
  }

  /** The one there is, unless it is too old for a new claim. */
  get fresh(): Grant | undefined {
    const grant = this.#grant;
    if (grant === undefined) return undefined;
    const ageMs = this.#context.clock.nowMs() - grant.askedMs;
    return ageMs < grant.ttlSeconds * 1000 * STALE_SHARE ? grant : undefined;
  }

  async take(signal: AbortSignal): Promise<Grant> {
    const { fresh } = this;
    if (fresh !== undefined) return fresh;
    await this.giveBack();
    this.#grant = await grantLease(this.#context, signal);
    return this.#grant;
  }

  /** The lease holds a key now, so it is no longer to be given back. */
  use(): Grant {
    const grant = this.#grant;
    assert(grant !== undefined, "no lease was granted");
    this.#grant = undefined;
    return grant;
  }

  /** Lets the lease run out by itself, since nobody knows whether it holds a key. */
  forget(): void {
    this.#grant = undefined;
  }

  async giveBack(): Promise<void> {
    const grant = this.#grant;
    this.#grant = undefined;
    if (grant !== undefined) await revokeLease(this.#context, grant.leaseId);
  }
}
