/**
 * The fold of a store's events into the set of leases it holds. Events may come twice, again from an earlier point after a
 * reconnect, or in batches cut anywhere: what is older than what a key already went through is ignored.
 */
import { equalAttributes, sameLease } from "./lease.ts";
import type { Lease } from "./lease.ts";

export interface LeaseEntry {
  /** The store's name for the lease, the same for the whole of its life. */
  readonly key: string;
  readonly lease: Lease;
  /** The store's revision of the last write to the key. */
  readonly modRevision: number;
}

/** Removed keys remembered at most, so that a store that makes keys for ever costs no memory for ever. */
const MAX_REMOVED_KEYS = 10_000;

export class LeaseTable {
  readonly #entries = new Map<string, LeaseEntry>();
  /** Its keys in order, and perhaps some that are gone; once somebody asked, and until one comes. */
  #order: readonly string[] | undefined;
  /** Revision of the removal of each key that is gone, in the order they were removed. */
  readonly #removed = new Map<string, number>();
  /** Everything up to here is in the table. */
  #floor = 0;
  #revision = 0;

  /** The newest revision that the table has taken in. */
  get revision(): number {
    return this.#revision;
  }

  /**
   * Starts over from a complete list, read at `revision`. Also goes back in time when the store did (a restore from a
   * backup); whether a list is too old to be believed is for the caller to judge.
   */
  reset(entries: readonly LeaseEntry[], revision: number = newestOf(entries)): void {
    const kept = entries.map(({ key, lease, modRevision }) => {
      return { key, lease: this.#sameAsBefore(key, lease), modRevision };
    });
    this.#entries.clear();
    this.#removed.clear();
    this.#order = undefined;
    for (const entry of kept) this.#entries.set(entry.key, entry);
    this.#floor = revision;
    this.#revision = revision;
  }

  /** A key was written. */
  put(key: string, lease: Lease, modRevision: number): void {
    if (modRevision < this.#appliedTo(key)) return;
    this.#removed.delete(key);
    if (!this.#entries.has(key)) this.#order = undefined;
    this.#entries.set(key, { key, lease: this.#sameAsBefore(key, lease), modRevision });
    this.#revision = Math.max(this.#revision, modRevision);
  }

  /** A key was deleted; deleting what is absent changes nothing. */
  remove(key: string, modRevision: number): void {
    if (modRevision < this.#appliedTo(key)) return;
    this.#entries.delete(key);
    this.#removed.delete(key);
    this.#removed.set(key, modRevision);
    this.#revision = Math.max(this.#revision, modRevision);
    this.#forgetOldest();
  }

  /** The leases in the order of their keys, without the one under `ownKey`; one that says the same as before is the same object. */
  snapshot(ownKey?: string): readonly Lease[] {
    this.#order ??= [...this.#entries.keys()].toSorted();
    return this.#order.flatMap((key) => {
      const entry = key === ownKey ? undefined : this.#entries.get(key);
      return entry === undefined ? [] : [entry.lease];
    });
  }

  /** The object of before where it says the same: a list or a renewal of thousands must not look like thousands of changes. */
  #sameAsBefore(key: string, lease: Lease): Lease {
    const before = this.#entries.get(key)?.lease;
    if (before === undefined || before === lease) return lease;
    return sameLease(before, lease) && equalAttributes(before, lease) ? before : lease;
  }

  #appliedTo(key: string): number {
    const known = this.#entries.get(key)?.modRevision ?? this.#removed.get(key) ?? 0;
    // The list itself brought all keys to the floor; what was written up to there is older than the list.
    return Math.max(known, this.#floor + 1);
  }

  /** A forgotten removal raises the floor instead: an event from before it cannot be news any more. */
  #forgetOldest(): void {
    if (this.#removed.size <= MAX_REMOVED_KEYS) return;
    for (const [key, revision] of this.#removed) {
      if (this.#removed.size <= MAX_REMOVED_KEYS / 2) return;
      this.#removed.delete(key);
      this.#floor = Math.max(this.#floor, revision);
    }
  }
}

function newestOf(entries: readonly LeaseEntry[]): number {
  return entries.reduce((newest, { modRevision }) => Math.max(newest, modRevision), 0);
}
