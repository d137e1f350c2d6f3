import {
  type KeyRange,
  type KeyValue,
  type RangeResult,
  type StoreEvent,
  keyOf,
  revisionOf,
} from "./key-value-store.ts";

/** What one etcd member has of the keys: the newest values, and the history that watches read. */
export class Replica {
  /** As in a new etcd, whose first write makes revision 2. */
  #revision = 1;
  #compactRevision = 0;
  #entries = new Map<string, KeyValue>();
  /** In the order of revisions. */
  #history: StoreEvent[] = [];
  readonly #listeners = new Set<() => void>();

  get revision(): number {
    return this.#revision;
  }

  get compactRevision(): number {
    return this.#compactRevision;
  }

  entry(key: string): KeyValue | undefined {
    return this.#entries.get(key);
  }

  range(range: KeyRange, clusterId: string): RangeResult {
    return { entries: this.read(range), revision: this.#revision, clusterId };
  }

  /** In key order. */
  read(range: KeyRange): KeyValue[] {
    if ("key" in range) {
      const entry = this.#entries.get(range.key);
      return entry === undefined ? [] : [entry];
    }
    return [...this.#entries.values()]
      .filter((entry) => entry.key.startsWith(range.prefix))
      .toSorted((a, b) => (a.key < b.key ? -1 : 1));
  }

  apply(event: StoreEvent): void {
    this.#revision = revisionOf(event);
    if (event.type === "put") this.#entries.set(event.entry.key, event.entry);
    else this.#entries.delete(event.key);
    this.#history.push(event);
  }

  /**
   * Forgets the history before a revision. As etcd without the fix of its pull request 18274 does, forgets a deletion at that
   * very revision too, without refusing to watch from there.
   */
  compact(revision: number): void {
    this.#compactRevision = Math.max(this.#compactRevision, revision);
    this.#history = this.#history.filter(
      (event) =>
        revisionOf(event) > revision || (revisionOf(event) === revision && event.type === "put"),
    );
  }

  /** The events of a range from a revision on. */
  eventsFrom(range: KeyRange, revision: number): readonly StoreEvent[] {
    const events: StoreEvent[] = [];
    // Watches nearly always ask for the newest: look from the end.
    for (let index = this.#history.length - 1; index >= 0; index--) {
      const event = this.#history[index];
      if (event === undefined || revisionOf(event) < revision) break;
      if (inRange(range, keyOf(event))) events.push(event);
    }
    return events.toReversed();
  }

  /** Becomes what another one is. */
  copy(other: Replica): void {
    this.#revision = other.#revision;
    this.#compactRevision = other.#compactRevision;
    this.#entries = new Map(other.#entries);
    this.#history = [...other.#history];
  }

  /** Calls back after each change that is announced, until the returned function is called. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  announce(): void {
    for (const listener of this.#listeners) listener();
  }
}

function inRange(range: KeyRange, key: string): boolean {
  return "key" in range ? key === range.key : key.startsWith(range.prefix);
}
