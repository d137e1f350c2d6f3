import type { StoreContext } from "./context.ts";
import { CompactedError, storeUnavailable } from "./errors.ts";
import type { KeyRange, KeyValue, RangeResult, StoreEvent, WatchBatch } from "./key-value-store.ts";
import { revisionOf } from "./key-value-store.ts";
import { jitteredMs } from "../../system/random.ts";
import { Backoff, isOutage, untilAnswered } from "./outage.ts";

/** A list older than what is known comes from a member that lags, which passes, or from a restored backup, which does not. */
const LAG_PATIENCE_MS = 5000;
/** How long it is waited for before such a list is asked for again; all nodes do so at once. */
const LAG_AGAIN_MS = 2000;
/** A watch that lived this long was a good one: the next failure is a new one. */
const GOOD_WATCH_MS = 5000;

type FollowContext = Pick<StoreContext, "store" | "clock" | "random" | "log" | "outage"> &
  Partial<Pick<StoreContext, "figures">>;

/** Takes in a range of the store: everything at first and after a gap, in between what changes. */
export interface RangeFollower {
  /** Everything there is, at a revision; what was known before counts no more. */
  list(everything: RangeResult): void | Promise<void>;
  /** Newer events, in order, none of them twice, all of a revision at once. */
  change(events: readonly StoreEvent[]): void;
}

/** How far a range was followed. */
interface Position {
  readonly clusterId: string;
  /** Everything up to here was taken in. */
  readonly revision: number;
  /**
   * The write that the range was left with, if it carries an etcd lease: a lease is granted once, so as long as the store has this
   * write, its history up to it is the one that was followed. Revisions alone would not say so: a store restored from a backup
   * counts up to them again (invariant C9).
   */
  readonly pin?: KeyValue;
}

/**
 * Follows a range until the signal aborts:
 *
 *     list ──► watch ──► change … ──► connection lost ──► back-off ──► is the last write still there? ──yes──► watch
 *      ▲                     └──────► compacted ────┐                          │
 *      └─────────────────────────────── back-off ◄──┴──────no, or one key──────┘
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
  const relist = async (known?: Position): Promise<Position> => {
    const everything = await list(context, range, known, signal);
    await follower.list(everything);
    return follow(positionOf(everything));
  };
  const { figures } = context;
  const few = "key" in range;
  const follow = (position: Position): Position => {
    if (!few && figures !== undefined) figures.revision = position.revision;
    return position;
  };
  let position = await relist();
  const backoff = new Backoff(random);
  for (;;) {
    const startedMs = clock.nowMs();
    try {
      const watch = store.watch(range, position.revision, { signal });
      for await (const batch of wholeRevisions(watch)) {
        const events = newerThan(position.revision, batch);
        position = follow(moved(position, batch.revision, events));
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
      // One key is read as cheaply as it is asked about.
      const same = !compacted && !few && (await stillThere(context, position, signal));
      position = same ? atPin(position) : await relist(position);
      figures?.restarted(same ? "resumed" : "relisted");
    }
  }
}

/** What a server cuts into pieces is held back until the rest of its revision is there: nobody sees half a change (invariant C1). */
async function* wholeRevisions(watch: AsyncIterable<WatchBatch>): AsyncGenerator<WatchBatch, void> {
  let waiting: readonly StoreEvent[] = [];
  for await (const { revision, events } of watch) {
    const known = [...waiting, ...events];
    waiting = known.filter((event) => revisionOf(event) > revision);
    yield { revision, events: known.filter((event) => revisionOf(event) <= revision) };
  }
}

function newerThan(revision: number, batch: WatchBatch): readonly StoreEvent[] {
  return batch.events.filter((event) => revisionOf(event) > revision);
}

/** After an older write than the newest revision there may have been deletions, of which a list says nothing. */
function positionOf({ entries, revision, clusterId }: RangeResult): Position {
  return { clusterId, revision, ...pinnedAt(revision, entries) };
}

function moved(position: Position, batchRevision: number, events: readonly StoreEvent[]): Position {
  const { clusterId } = position;
  const revision = Math.max(position.revision, batchRevision);
  const last = events.at(-1);
  if (last === undefined) return { ...position, revision };
  const entries = events.flatMap((event) => (event.type === "put" ? [event.entry] : []));
  return { clusterId, revision, ...pinnedAt(revisionOf(last), entries) };
}

function pinnedAt(revision: number, entries: readonly KeyValue[]): Pick<Position, "pin"> {
  const pin = entries.find((one) => one.modRevision === revision && one.leaseId !== undefined);
  return pin === undefined ? {} : { pin };
}

/** A restored store may hold other things than were seen from the pin on; what was followed had nothing there. */
function atPin(position: Position): Position {
  const { revision, pin } = position;
  return { ...position, revision: Math.min(revision, pin?.modRevision ?? revision) };
}

/** A linearizable read of next to nothing: whether the store's history is the one that was followed. */
async function stillThere(
  { store, ...context }: FollowContext,
  { clusterId, pin }: Position,
  signal: AbortSignal,
): Promise<boolean> {
  if (pin === undefined) return false;
  const ask = (): Promise<RangeResult> => store.range({ key: pin.key }, { signal });
  const now = await untilAnswered(context, ask, signal);
  const [entry] = now.entries;
  return (
    now.clusterId === clusterId &&
    entry?.modRevision === pin.modRevision &&
    entry.leaseId === pin.leaseId
  );
}

/** Reads everything, refusing for a while an answer that is older than what is known already. */
async function list(
  context: FollowContext,
  range: KeyRange,
  known: Position | undefined,
  signal: AbortSignal,
): Promise<RangeResult> {
  const { store, clock, random, log } = context;
  const patientUntilMs = clock.nowMs() + LAG_PATIENCE_MS;
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
    const againMs = jitteredMs(random, LAG_AGAIN_MS);
    await clock.sleep(Math.min(againMs, patientUntilMs - clock.nowMs()), signal);
  }
}
