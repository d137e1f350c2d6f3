/**
 * The words of etcd's v3 API that leases need: revisions, transactions, leases and a watch that hides no gap.
 * Values are text that anybody may have written: bytes that are no UTF-8 arrive as replacement characters, never as an error.
 *
 * Every verb throws AgentError "store-unavailable" when no answer came within the deadline. Such a write may have happened
 * all the same, or happen later: ask again before believing either.
 * Source: etcd api/etcdserverpb/rpc.proto.
 */

/** One key, or every key that starts with a prefix. */
export type KeyRange = { readonly key: string } | { readonly prefix: string };

/** Name of an etcd lease: 63 bits, so text. */
export type LeaseId = string;

export interface KeyValue {
  readonly key: string;
  readonly value: string;
  /** Revision that made this instance of the key. */
  readonly createRevision: number;
  /** Revision that wrote it last. */
  readonly modRevision: number;
  /** 1 for a new key, one more with each write. */
  readonly version: number;
  /** Absent for a key that does not run out. */
  readonly leaseId?: LeaseId;
}

export interface RequestOptions {
  /** How long to wait for the answer. For `watch`: for the server's word that it watches. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

/** Enough for a leader election, short enough to try another endpoint soon. */
export const REQUEST_TIMEOUT_MS = 5000;

export interface RangeResult {
  /** In key order. Empty when there is nothing. */
  readonly entries: readonly KeyValue[];
  /** The store's revision that this was read at. */
  readonly revision: number;
  /** Changes when the cluster was made anew, from a snapshot for instance. */
  readonly clusterId: string;
}

/**
 * A condition of a transaction. Over a prefix it must hold for every key there; a key that is absent counts as version 0,
 * create and mod revision 0, no lease.
 */
export type Compare = KeyRange &
  (
    | {
        readonly target: "version" | "createRevision" | "modRevision";
        readonly is: "equal" | "less" | "greater";
        readonly to: number;
      }
    | {
        readonly target: "lease";
        readonly is: "equal";
        /** Undefined for a key that does not run out. */
        readonly to: LeaseId | undefined;
      }
  );

/** A key that no operation of the same transaction names twice. */
export type Operation =
  | {
      readonly action: "put";
      readonly key: string;
      readonly value: string;
      readonly leaseId?: LeaseId;
    }
  | { readonly action: "delete"; readonly key: string }
  | { readonly action: "range"; readonly range: KeyRange };

export interface Transaction {
  readonly compare: readonly Compare[];
  /** Done when every condition holds. */
  readonly success: readonly Operation[];
  /** Done otherwise. */
  readonly failure: readonly Operation[];
}

export interface TransactionResult {
  readonly succeeded: boolean;
  /** Revision after the transaction: what its writes carry. */
  readonly revision: number;
  /** What each `range` among the operations done read, in their order. */
  readonly reads: readonly (readonly KeyValue[])[];
}

export interface GrantedLease {
  readonly leaseId: LeaseId;
  /** What the server granted, which may differ from what was asked. */
  readonly ttlSeconds: number;
}

export type StoreEvent =
  | { readonly type: "put"; readonly entry: KeyValue }
  | { readonly type: "delete"; readonly key: string; readonly modRevision: number };

export function keyOf(event: StoreEvent): string {
  return event.type === "put" ? event.entry.key : event.key;
}

/** The revision that the event happened at. */
export function revisionOf(event: StoreEvent): number {
  return event.type === "put" ? event.entry.modRevision : event.modRevision;
}

export interface WatchBatch {
  /** Everything up to and including this revision has been delivered. */
  readonly revision: number;
  /** In the order of their revisions. Empty when the server only reports progress. */
  readonly events: readonly StoreEvent[];
}

export interface KeyValueStore {
  /** Where the store is, for messages and command lines; without user names and passwords. */
  readonly endpoints: string;
  /** A linearizable read. */
  range(range: KeyRange, options?: RequestOptions): Promise<RangeResult>;
  /** @throws AgentError "lease-lost" when a put names a lease that has run out; nothing was written then */
  txn(transaction: Transaction, options?: RequestOptions): Promise<TransactionResult>;
  /**
   * The changes from a revision on, in order, until the signal aborts.
   * @throws CompactedError when the revision is no longer kept; AgentError "store-unavailable" when the connection is lost
   */
  watch(
    range: KeyRange,
    fromRevision: number,
    options: RequestOptions & { readonly signal: AbortSignal },
  ): AsyncIterable<WatchBatch>;
  grantLease(ttlSeconds: number, options?: RequestOptions): Promise<GrantedLease>;
  /** Removes a lease and the keys attached to it. One that is gone already is no error. */
  revokeLease(leaseId: LeaseId, options?: RequestOptions): Promise<void>;
  /** Seconds until a lease runs out, or undefined when it is gone. */
  timeToLive(leaseId: LeaseId, options?: RequestOptions): Promise<number | undefined>;
  /** Lets go of the present connections: requests and watches under way end as when a connection is lost, new ones connect anew. */
  reconnect(): void;
  /** Ends every request and watch; nothing keeps the process alive after it. */
  close(): Promise<void>;
}
