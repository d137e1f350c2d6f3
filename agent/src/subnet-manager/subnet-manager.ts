import type { HistogramFigures } from "../core/histogram.ts";
import type { Cidr, PerFamily } from "../core/ip.ts";
import type { Latest } from "../core/latest.ts";
import type { Lease, LeaseAttributes } from "../core/lease.ts";
import type { NetworkConfig } from "../core/network-config.ts";

export interface PreviousLeases {
  readonly own: Lease | undefined;
  readonly others: readonly Lease[];
}

/** Our lease as the store has it, as far as this node knows. */
export interface HeldLease {
  readonly lease: Lease;
  /** Monotonic time at which it runs out; infinite for a reservation. */
  readonly endsMs: number;
  /** The store's name for what the lease hangs on; absent for a reservation. */
  readonly id?: string;
}

/** What is asked of a store. */
export type StoreVerb = "range" | "txn" | "grant" | "revoke" | "time-to-live";

/** Counters only grow, from the start of the process; named as Prometheus names them. */
export interface StoreFigures {
  /** A watch that ended was taken up where it was, or with a list of everything. */
  readonly store_watch_restarts_total: Readonly<Record<"resumed" | "relisted", number>>;
  readonly store_lease_renewals_total: number;
  readonly store_request_duration_seconds: Readonly<Record<StoreVerb, HistogramFigures>>;
  /** Requests without an answer. */
  readonly store_request_failures_total: Readonly<Record<StoreVerb, number>>;
}

/** The store and our lease in it, as this node knows them now. */
export interface StoreState {
  /** Where the store is; without user names and passwords. */
  readonly endpoints: string;
  /** How long it has not answered; absent while it does. */
  readonly outageSeconds?: number;
  /** Until our lease runs out; never for a reservation, absent without a lease and where nobody can know. */
  readonly leaseSecondsLeft?: number | "never";
  /** How far the peers were followed; absent before the first list of them. */
  readonly revision?: number;
  readonly figures: StoreFigures;
}

/**
 * Where leases live. Every wait takes the signal and ends with its reason when it aborts; a store that does not answer is
 * waited for with jittered back-off and reported once a minute, never thrown, except where noted.
 */
export interface SubnetManager {
  /** For the log: `Etcd Local Manager with Previous Subnet: None`. */
  readonly name: string;
  /** Waits until there is a configuration, saying once that there is none. @throws AgentError "config-invalid" for one that cannot be used */
  networkConfig(signal: AbortSignal): Promise<NetworkConfig>;
  /** What a node with this public IP published last time, so that a restart can keep its VTEP MAC and keys; and what all others do. */
  previousLeases(
    publicIps: LeaseAttributes["publicIps"],
    signal: AbortSignal,
  ): Promise<PreviousLeases>;
  /**
   * Claims a subnet for this node: the one in the store under our public IP, else `preferred` if still free, else a random free one.
   * @throws AgentError "subnet-exhausted"
   */
  acquireLease(
    config: NetworkConfig,
    wanted: LeaseAttributes,
    preferred: PerFamily<Cidr>,
    signal: AbortSignal,
  ): Promise<Lease>;
  /**
   * Keeps our lease alive until the signal aborts. `onHeld` is told when the store has it no more, however long it takes to take it
   * again, and when it has it again (invariant B1).
   * @param formerId of what a lease hung on that an earlier run of this node acquired, as `held` said then
   * @throws AgentError "lease-lost" when another owner has it
   */
  keepLease(
    lease: Lease,
    onHeld: (held: boolean) => void,
    signal: AbortSignal,
    formerId?: string,
  ): Promise<never>;
  /** What `acquireLease` and `keepLease` know of our lease: nothing before the first, undefined while the store has it no more. */
  readonly held: Latest<HeldLease | undefined>;
  /**
   * Has `keepLease` say this in the lease it keeps, with the same subnets, and renew with it from now on; the last call counts. Resolves
   * when the store has it; or, to the lease of another node that has one of its public addresses, when everything but that
   * address is published and the former one stands.
   */
  publish(attributes: LeaseAttributes, signal: AbortSignal): Promise<Lease | undefined>;
  /** Every peer's lease, whole, at once and again after each change. Gaps and compaction are healed inside. */
  watchPeers(own: Lease, signal: AbortSignal): AsyncIterable<readonly Lease[]>;
  /** For whoever shows it; asks the store nothing. */
  state(): StoreState;
  /** Connects anew: the present connections may begin at an address that this node has no more, where no answer arrives. */
  reconnect(): void;
  close(): Promise<void>;
}
