import { assert } from "../../core/assert.ts";
import type { Clock } from "../../system/clock.ts";
import { leaseGone } from "./errors.ts";
import {
  type Compare,
  type GrantedLease,
  type KeyRange,
  type KeyValue,
  type LeaseId,
  type Operation,
  type RangeResult,
  type StoreEvent,
  type Transaction,
  type TransactionResult,
  keyOf,
  revisionOf,
} from "./key-value-store.ts";

interface MemoryLease {
  readonly expiresMs: number;
  /** Stops the timer of the lease. */
  readonly ended: AbortController;
}

/**
 * What an etcd cluster holds: keys with their revisions, the history that watches read, leases that run out by the clock.
 * `MemoryStore` is a connection to one; several may share it. Its commands are what an operator does to a cluster.
 */
export class MemoryDatabase {
  readonly #clock: Clock;
  /** As in a new etcd, whose first write makes revision 2. */
  #revision = 1;
  #clusterId = 1;
  #compactRevision = 0;
  #entries = new Map<string, KeyValue>();
  #history: StoreEvent[] = [];
  #leases = new Map<LeaseId, MemoryLease>();
  #lastLease = 0;
  #listeners = new Set<() => void>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get revision(): number {
    return this.#revision;
  }

  get compactRevision(): number {
    return this.#compactRevision;
  }

  get clusterId(): string {
    return String(this.#clusterId);
  }

  /** The leases there are, for a test to count. */
  get leaseIds(): readonly LeaseId[] {
    return [...this.#leases.keys()];
  }

  range(range: KeyRange): RangeResult {
    return { entries: this.#read(range), revision: this.#revision, clusterId: this.clusterId };
  }

  txn(transaction: Transaction): TransactionResult {
    const succeeded = transaction.compare.every((compare) => this.#holds(compare));
    const operations = succeeded ? transaction.success : transaction.failure;
    this.#checkOperations(operations);
    const revision = this.#revision + 1;
    const reads: (readonly KeyValue[])[] = [];
    for (const operation of operations) {
      if (operation.action === "range") reads.push(this.#read(operation.range));
      else if (operation.action === "delete") this.#delete(operation.key, revision);
      else this.#put(operation, revision);
    }
    this.#announce();
    return { succeeded, revision: this.#revision, reads };
  }

  /** Writes as an operator would. Equivalent to `etcdctl put KEY VALUE --lease LEASE`. */
  put(key: string, value: string, leaseId?: LeaseId): void {
    const lease = leaseId === undefined ? {} : { leaseId };
    this.txn({ compare: [], success: [{ action: "put", key, value, ...lease }], failure: [] });
  }

  /** Equivalent to `etcdctl del KEY`. */
  delete(key: string): void {
    this.txn({ compare: [], success: [{ action: "delete", key }], failure: [] });
  }

  grantLease(ttlSeconds: number): GrantedLease {
    const leaseId = String(++this.#lastLease);
    const ended = new AbortController();
    const ttlMs = ttlSeconds * 1000;
    this.#leases.set(leaseId, { expiresMs: this.#clock.nowMs() + ttlMs, ended });
    void this.#clock.sleep(ttlMs, ended.signal).then(
      () => this.expireLease(leaseId),
      // The lease was revoked first: nothing is left to run out.
      () => undefined,
    );
    return { leaseId, ttlSeconds };
  }

  /** Removes the lease and its keys, all in one revision: what running out and revoking have in common. */
  expireLease(leaseId: LeaseId): void {
    const lease = this.#leases.get(leaseId);
    if (lease === undefined) return;
    this.#leases.delete(leaseId);
    lease.ended.abort();
    const revision = this.#revision + 1;
    for (const { key } of this.#read({ prefix: "" }).filter((entry) => entry.leaseId === leaseId))
      this.#delete(key, revision);
    this.#announce();
  }

  timeToLive(leaseId: LeaseId): number | undefined {
    const lease = this.#leases.get(leaseId);
    if (lease === undefined) return undefined;
    return Math.max(0, Math.floor((lease.expiresMs - this.#clock.nowMs()) / 1000));
  }

  /**
   * Forgets the history before a revision. As etcd without the fix of its pull request 18274 does, forgets a deletion at that
   * very revision too, without refusing to watch from there. Equivalent to `etcdctl compaction REVISION`.
   */
  compact(revision: number): void {
    assert(revision <= this.#revision, `cannot compact future revision ${revision}`);
    this.#compactRevision = Math.max(this.#compactRevision, revision);
    this.#history = this.#history.filter(
      (event) =>
        revisionOf(event) > revision || (revisionOf(event) === revision && event.type === "put"),
    );
    this.#announce();
  }

  /**
   * Makes the cluster anew with these keys, as from a backup: at an early revision and without leases. It is another cluster
   * unless the operator gave it the old one's name.
   */
  restore(
    values: ReadonlyMap<string, string>,
    options: { readonly sameCluster: boolean } = { sameCluster: false },
  ): void {
    for (const leaseId of this.leaseIds) this.expireLease(leaseId);
    if (!options.sameCluster) this.#clusterId++;
    this.#revision = 1;
    this.#compactRevision = 0;
    this.#entries = new Map();
    this.#history = [];
    for (const [key, value] of values) this.put(key, value);
  }

  /** The events of a range from a revision on. */
  eventsFrom(range: KeyRange, revision: number): readonly StoreEvent[] {
    return this.#history.filter(
      (event) => revisionOf(event) >= revision && inRange(range, keyOf(event)),
    );
  }

  /** Calls back after each change and each compaction, until the returned function is called. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Stops the timers of all leases. */
  close(): void {
    for (const lease of this.#leases.values()) lease.ended.abort();
  }

  #read(range: KeyRange): KeyValue[] {
    if ("key" in range) {
      const entry = this.#entries.get(range.key);
      return entry === undefined ? [] : [entry];
    }
    return [...this.#entries.values()]
      .filter((entry) => entry.key.startsWith(range.prefix))
      .toSorted((a, b) => (a.key < b.key ? -1 : 1));
  }

  #holds(compare: Compare): boolean {
    const found = this.#read(compare);
    const values = found.length === 0 ? [0] : found.map((entry) => entry[compare.target]);
    return values.every((value) => {
      if (compare.is === "equal") return value === compare.to;
      return compare.is === "less" ? value < compare.to : value > compare.to;
    });
  }

  #checkOperations(operations: readonly Operation[]): void {
    const written = operations.flatMap((operation) =>
      operation.action === "range" ? [] : [operation.key],
    );
    assert(new Set(written).size === written.length, "duplicate key given in txn request");
    for (const operation of operations) {
      if (operation.action !== "put" || operation.leaseId === undefined) continue;
      if (!this.#leases.has(operation.leaseId)) throw leaseGone(`put ${operation.key}`);
    }
  }

  #put(operation: Extract<Operation, { action: "put" }>, revision: number): void {
    const before = this.#entries.get(operation.key);
    const { key, value, leaseId } = operation;
    const entry: KeyValue = {
      key,
      value,
      createRevision: before?.createRevision ?? revision,
      modRevision: revision,
      version: (before?.version ?? 0) + 1,
      ...(leaseId === undefined ? {} : { leaseId }),
    };
    this.#revision = revision;
    this.#entries.set(key, entry);
    this.#history.push({ type: "put", entry });
  }

  #delete(key: string, revision: number): void {
    if (!this.#entries.delete(key)) return;
    this.#revision = revision;
    this.#history.push({ type: "delete", key, modRevision: revision });
  }

  #announce(): void {
    for (const listener of this.#listeners) listener();
  }
}

function inRange(range: KeyRange, key: string): boolean {
  return "key" in range ? key === range.key : key.startsWith(range.prefix);
}
