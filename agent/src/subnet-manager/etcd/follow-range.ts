import type { StoreContext } from "./context.ts";
import { CompactedError, storeUnavailable } from "./errors.ts";
import type { KeyRange, RangeResult, StoreEvent, WatchBatch } from "./key-value-store.ts";
import { revisionOf } from "./key-value-store.ts";
import { Backoff, isOutage, untilAnswered } from "./outage.ts";

/** A list older than what is known comes from a member that lags, which passes, or from a restored backup, which does not. */
const LAG_PATIENCE_MS = 5000;
/** A watch that lived this long was a good one: the next failure is a new one. */
const GOOD_WATCH_MS = 5000;

type FollowContext = Pick<StoreContext, "store" | "clock" | "random" | "log" | "outage">;

/** Takes in a range of the store: everything at first and after a gap, in between what changes. */
export interface RangeFollower {
  /** Everything there is, at a revision; what was known before counts no more. */
  list(everything: RangeResult): void;
  /** Newer events, in order, none of them twice. */
  change(events: readonly StoreEvent[]): void;
}

/**
 * Follows a range until the signal aborts:
 *
 *     list ──► watch ──► change … ──► connection lost ──► back-off ──► has the store gone back? ──no──► watch
 *      ▲                     └──────► compacted ────┐                          │
 *      └─────────────────────────────── back-off ◄──┴────yes, or one key───────┘
 *
 * A watch begins at the last revision already seen, not after it, and skips what it repeats: the server then refuses as
 * compacted whatever it may have forgotten. etcd without the fix of its pull request 18274 (3.4.23 among them) accepts a
 * watch that begins exactly at the compacted revision and leaves out a deletion made there.
 */
export async function followRange(
  context: FollowContext,
  range: KeyRange,
  follower: RangeFollower,
  signal: AbortSignal,
): Promise<never> {
  const { store, clock, random, outage } = context;
  let cursor = await list(context, range, undefined, signal);
  follower.list(cursor);
  const backoff = new Backoff(random);
  for (;;) {
    const startedMs = clock.nowMs();
    try {
      for await (const batch of store.watch(range, cursor.revision, { signal })) {
        const events = newerThan(cursor.revision, batch);
        cursor = { ...cursor, revision: Math.max(cursor.revision, batch.revision) };
        if (events.length > 0) follower.change(events);
      }
      throw storeUnavailable("watch", store.endpoints, new Error("the watch ended"));
    } catch (error) {
      signal.throwIfAborted();
      if (!isOutage(error)) throw error;
      if (clock.nowMs() - startedMs >= GOOD_WATCH_MS) backoff.reset();
      const compacted = error instanceof CompactedError;
      if (!compacted) outage.failed(error);
      await clock.sleep(backoff.nextMs(), signal);
      // One key is read as cheaply as nothing; and a backup restored under the old name may be as new as the key was.
      const few = "key" in range;
      if (!compacted && !few && (await stillThere(context, range.prefix, cursor, signal))) continue;
      cursor = await list(context, range, cursor, signal);
      follower.list(cursor);
    }
  }
}

function newerThan(revision: number, batch: WatchBatch): readonly StoreEvent[] {
  return batch.events.filter((event) => revisionOf(event) > revision);
}

/** A linearizable read of next to nothing: whether this is the cluster we knew, no older than we knew it. */
async function stillThere(
  context: FollowContext,
  prefix: string,
  cursor: RangeResult,
  signal: AbortSignal,
): Promise<boolean> {
  const ask = (): Promise<RangeResult> => context.store.range({ key: prefix }, { signal });
  const head = await untilAnswered(context, ask, signal);
  return head.clusterId === cursor.clusterId && head.revision >= cursor.revision;
}

/** Reads everything, refusing for a while an answer that is older than what is known already. */
async function list(
  context: FollowContext,
  range: KeyRange,
  known: RangeResult | undefined,
  signal: AbortSignal,
): Promise<RangeResult> {
  const { store, clock, random, log } = context;
  const patientUntilMs = clock.nowMs() + LAG_PATIENCE_MS;
  const backoff = new Backoff(random);
  for (;;) {
    const found = await untilAnswered(context, () => store.range(range, { signal }), signal);
    if (known === undefined) return found;
    const sameCluster = found.clusterId === known.clusterId;
    if (sameCluster && found.revision >= known.revision) return found;
    if (!sameCluster || clock.nowMs() >= patientUntilMs) {
      log.warn(
        { revision: found.revision, known: known.revision },
        "etcd is an older or another one than before, as after a restored backup: starting over from what it holds",
      );
      return found;
    }
    await clock.sleep(backoff.nextMs(), signal);
  }
}
