import { assert } from "../../core/assert.ts";
import type { Clock } from "../../system/clock.ts";
import { leaseGone, storeUnavailable } from "./errors.ts";
import type {
  Compare,
  GrantedLease,
  KeyRange,
  KeyValue,
  LeaseId,
  Operation,
  RangeResult,
  StoreEvent,
  Transaction,
  TransactionResult,
} from "./key-value-store.ts";
import { Replica } from "./memory-replica.ts";

interface MemoryLease {
  readonly ttlSeconds: number;
  readonly expiresMs: number;
  /** Stops the timer of the lease. */
  readonly ended: AbortController;
}

/** All that a backup holds: keys with their revisions, the history not compacted yet, and the leases. */
export interface MemorySnapshot {
  readonly replica: Replica;
  /** By name, with the whole time each was granted for, in seconds. */
  readonly leases: ReadonlyMap<LeaseId, number>;
}

/** What members apply, one after the other; `revision` is the cluster's after it. */
export type LogItem = { readonly revision: number } & (
  | { readonly events: readonly StoreEvent[] }
  | { readonly compacted: number }
);

/** A member of the cluster, as the leader sees it. */
interface Follower {
  /** Something was committed. */
  receive(item: LogItem): void;
  /** Everything is another now: begin with what the leader has. */
  restart(): void;
  /** Applies everything, and needs no timer any more. */
  catchUp(): void;
}

/**
 * What an etcd cluster holds: keys with their revisions, the history that watches read, leases that run out by the clock.
 * `MemoryStore` is a connection to one; several may share it. Its commands are what an operator does to a cluster.
 */
export class MemoryDatabase {
  /** What the leader has: everything that is committed. */
  readonly leader: Replica = new Replica();
  readonly #clock: Clock;
  readonly #members = new Set<Follower>();
  readonly #cancelListeners = new Set<(reason: string) => void>();
  #clusterId = 1;
  #leases = new Map<LeaseId, MemoryLease>();
  #lastLease = 0;
  #outOfSpace = false;
  /** The events of the transaction that is being done. */
  #events: StoreEvent[] = [];

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get revision(): number {
    return this.leader.revision;
  }

  get compactRevision(): number {
    return this.leader.compactRevision;
  }

  get clusterId(): string {
    return String(this.#clusterId);
  }

  /** The leases there are, for a test to count. */
  get leaseIds(): readonly LeaseId[] {
    return [...this.#leases.keys()];
  }

  range(range: KeyRange): RangeResult {
    return this.leader.range(range, this.clusterId);
  }

  txn(transaction: Transaction): TransactionResult {
    const succeeded = transaction.compare.every((compare) => this.#holds(compare));
    const operations = succeeded ? transaction.success : transaction.failure;
    if ([...transaction.success, ...transaction.failure].some(({ action }) => action === "put"))
      this.#checkSpace("write");
    this.#checkOperations(operations);
    const revision = this.revision + 1;
    const reads: (readonly KeyValue[])[] = [];
    for (const operation of operations) {
      if (operation.action === "range") reads.push(this.leader.read(operation.range));
      else if (operation.action === "delete") this.#delete(operation.key, revision);
      else this.#put(operation, revision);
    }
    this.#commit();
    return { succeeded, revision: this.revision, reads };
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
    this.#checkSpace("grant a lease");
    const leaseId = String(++this.#lastLease);
    this.#startLease(leaseId, ttlSeconds);
    return { leaseId, ttlSeconds };
  }

  /** Removes the lease and its keys, all in one revision: what running out and revoking have in common. */
  expireLease(leaseId: LeaseId): void {
    const lease = this.#leases.get(leaseId);
    if (lease === undefined) return;
    this.#leases.delete(leaseId);
    lease.ended.abort();
    const revision = this.revision + 1;
    const keys = this.leader.read({ prefix: "" }).filter((entry) => entry.leaseId === leaseId);
    for (const { key } of keys) this.#delete(key, revision);
    this.#commit();
  }

  timeToLive(leaseId: LeaseId): number | undefined {
    const lease = this.#leases.get(leaseId);
    if (lease === undefined) return undefined;
    return Math.max(0, Math.floor((lease.expiresMs - this.#clock.nowMs()) / 1000));
  }

  /** Forgets the history before a revision. Equivalent to `etcdctl compaction REVISION`. */
  compact(revision: number): void {
    assert(revision <= this.revision, `cannot compact future revision ${revision}`);
    this.leader.compact(revision);
    this.leader.announce();
    for (const member of this.#members)
      member.receive({ revision: this.revision, compacted: revision });
  }

  /**
   * Another member becomes the leader: watches that ask for one end, and no lease runs out earlier than its whole time from now.
   * Source: etcd server/lease/lessor.go Promote, invariant B10.
   */
  changeLeader(): void {
    for (const [leaseId, { ttlSeconds, ended }] of this.#leases) {
      ended.abort();
      this.#startLease(leaseId, ttlSeconds);
    }
    this.#cancelWatches("etcdserver: no leader");
  }

  /** The disks are full, or no more: nothing can be put and no lease granted, all else is done. Equivalent to the alarm NOSPACE. */
  setOutOfSpace(outOfSpace: boolean): void {
    this.#outOfSpace = outOfSpace;
  }

  /**
   * Makes the cluster anew with these keys, as from a backup: at an early revision and without leases. It is another cluster
   * unless the operator gave it the old one's name.
   */
  restore(
    values: ReadonlyMap<string, string>,
    options: { readonly sameCluster: boolean } = { sameCluster: false },
  ): void {
    this.#becomes({ replica: new Replica(), leases: new Map() }, options);
    for (const [key, value] of values) this.put(key, value);
    this.#restarted();
  }

  /** Equivalent to `etcdctl snapshot save`. */
  snapshot(): MemorySnapshot {
    const replica = new Replica();
    replica.copy(this.leader);
    const leases = new Map([...this.#leases].map(([id, { ttlSeconds }]) => [id, ttlSeconds]));
    return { replica, leases };
  }

  /**
   * Makes the cluster anew as it was: keys keep their revisions and leases, of which each begins its whole time again. It is
   * another cluster unless the members and the token have the old one's names. Equivalent to `etcdctl snapshot restore`.
   * Source: etcd etcdutl/snapshot/v3_snapshot.go, server/lease/lessor.go Promote.
   */
  restoreSnapshot(snapshot: MemorySnapshot, options: { readonly sameCluster: boolean }): void {
    this.#becomes(snapshot, options);
    this.#restarted();
  }

  /** Calls back after each change and each compaction, until the returned function is called. */
  onChange(listener: () => void): () => void {
    return this.leader.onChange(listener);
  }

  /** Calls back when the servers end all watches, until the returned function is called. */
  onWatchesCancelled(listener: (reason: string) => void): () => void {
    this.#cancelListeners.add(listener);
    return () => this.#cancelListeners.delete(listener);
  }

  /** A new member, which begins with all there is. */
  join(member: Follower): void {
    this.#members.add(member);
    member.restart();
  }

  /** Stops the timers of all leases. */
  close(): void {
    for (const lease of this.#leases.values()) lease.ended.abort();
    for (const member of this.#members) member.catchUp();
  }

  /** No name of a lease is ever given twice, whatever is forgotten here: real ones are made of time and member. */
  #becomes({ replica, leases }: MemorySnapshot, options: { readonly sameCluster: boolean }): void {
    for (const { ended } of this.#leases.values()) ended.abort();
    this.#leases.clear();
    if (!options.sameCluster) this.#clusterId++;
    this.leader.copy(replica);
    for (const [leaseId, ttlSeconds] of leases) this.#startLease(leaseId, ttlSeconds);
  }

  /** All members begin with what the leader has now, and whoever watched must ask again. */
  #restarted(): void {
    this.leader.announce();
    for (const member of this.#members) member.restart();
    this.#cancelWatches("the member was stopped");
  }

  #startLease(leaseId: LeaseId, ttlSeconds: number): void {
    const ended = new AbortController();
    const ttlMs = ttlSeconds * 1000;
    this.#leases.set(leaseId, { ttlSeconds, expiresMs: this.#clock.nowMs() + ttlMs, ended });
    void this.#clock.sleep(ttlMs, ended.signal).then(
      () => this.expireLease(leaseId),
      // The lease was revoked first: nothing is left to run out.
      () => undefined,
    );
  }

  #checkSpace(doing: string): void {
    if (!this.#outOfSpace) return;
    const cause = new Error("etcdserver: mvcc: database space exceeded");
    throw storeUnavailable(doing, "the cluster", cause);
  }

  #holds(compare: Compare): boolean {
    const found = this.leader.read(compare);
    if (compare.target === "lease")
      return found.length === 0
        ? compare.to === undefined
        : found.every((entry) => entry.leaseId === compare.to);
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
    const before = this.leader.entry(operation.key);
    const { key, value, leaseId } = operation;
    const entry: KeyValue = {
      key,
      value,
      createRevision: before?.createRevision ?? revision,
      modRevision: revision,
      version: (before?.version ?? 0) + 1,
      ...(leaseId === undefined ? {} : { leaseId }),
    };
    this.#apply({ type: "put", entry });
  }

  #delete(key: string, revision: number): void {
    if (this.leader.entry(key) === undefined) return;
    this.#apply({ type: "delete", key, modRevision: revision });
  }

  #apply(event: StoreEvent): void {
    this.leader.apply(event);
    this.#events.push(event);
  }

  /** Tells everybody what was done; nothing, where nothing was. */
  #commit(): void {
    const events = this.#events;
    this.#events = [];
    if (events.length === 0) return;
    this.leader.announce();
    for (const member of this.#members) member.receive({ revision: this.revision, events });
  }

  #cancelWatches(reason: string): void {
    for (const listener of this.#cancelListeners) listener(reason);
  }
}
