import type { StoreContext } from "./context.ts";
import { type Grant, renewAfterMs } from "./grant.ts";
import type { Compare, KeyValue, LeaseId } from "./key-value-store.ts";

/** What we hold in the store, as far as we know. */
export interface Claim {
  readonly key: string;
  readonly modRevision: number;
  /** What the key held then. */
  readonly value: string;
  /** Absent for a reservation: it never runs out and is never renewed. */
  readonly leaseId?: LeaseId;
  /** Whether we made the etcd lease, so that no other key hangs on it. */
  readonly leaseIsOurs: boolean;
  /** Monotonic time to renew at; infinite for a reservation. */
  readonly renewAtMs: number;
  /** Monotonic time at which it runs out; absent where the etcd lease is not of our making. */
  readonly expiresAtMs?: number;
}

/** A write that is known to have been done. */
type Done = Pick<KeyValue, "key" | "modRevision" | "value">;

export function leasedClaim(
  context: StoreContext,
  { key, modRevision, value }: Done,
  grant: Grant,
): Claim {
  const renewAtMs = grant.askedMs + renewAfterMs(grant.ttlSeconds, context);
  const { leaseId, askedMs, ttlSeconds } = grant;
  const expiresAtMs = askedMs + ttlSeconds * 1_000;
  return { key, modRevision, value, leaseId, leaseIsOurs: true, renewAtMs, expiresAtMs };
}

export function reservationClaim({ key, modRevision, value }: Done): Claim {
  const never = Number.POSITIVE_INFINITY;
  return { key, modRevision, value, leaseIsOurs: false, renewAtMs: never, expiresAtMs: never };
}

/**
 * Nobody wrote or deleted the entry since it was read; its owner is then the same too (invariants A4, B3'). The revision alone would
 * not say so: a store restored from a backup counts up to it again, with other writes (invariant A9).
 */
export function unchanged({
  key,
  modRevision,
  leaseId,
}: Pick<KeyValue, "key" | "modRevision" | "leaseId">): readonly Compare[] {
  return [
    { key, target: "modRevision", is: "equal", to: modRevision },
    { key, target: "lease", is: "equal", to: leaseId },
  ];
}

/**
 * The key is not there, and no lease was written since the list was read: what was free in it, in every family, still is.
 * The key alone would not do: two keys may share one of their two subnets, or overlap after a change of length (invariant A1).
 */
export function stillFree(
  context: StoreContext,
  key: string,
  listRevision: number,
): readonly Compare[] {
  return [{ key, target: "version", is: "equal", to: 0 }, ...nothingWritten(context, listRevision)];
}

/** No lease was written since the list was read; deletions do not count, and free what they concern. */
export function nothingWritten({ keys }: StoreContext, listRevision: number): readonly Compare[] {
  return [{ prefix: keys.subnets, target: "modRevision", is: "less", to: listRevision + 1 }];
}
