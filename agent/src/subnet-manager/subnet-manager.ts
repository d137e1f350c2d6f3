import type { Cidr, PerFamily } from "../core/ip.ts";
import type { Lease, LeaseAttributes } from "../core/lease.ts";
import type { NetworkConfig } from "../core/network-config.ts";

export interface PreviousLeases {
  readonly own: Lease | undefined;
  readonly others: readonly Lease[];
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
   * @throws AgentError "lease-lost" when another owner has it
   */
  keepLease(lease: Lease, onHeld: (held: boolean) => void, signal: AbortSignal): Promise<never>;
  /**
   * Has `keepLease` say this in the lease it keeps, with the same subnets, and renew with it from now on; the last call counts. Resolves
   * when the store has it; or, to the lease of another node that has one of its public addresses, when everything but that
   * address is published and the former one stands.
   */
  publish(attributes: LeaseAttributes, signal: AbortSignal): Promise<Lease | undefined>;
  /** Every peer's lease, whole, at once and again after each change. Gaps and compaction are healed inside. */
  watchPeers(own: Lease, signal: AbortSignal): AsyncIterable<readonly Lease[]>;
  /** Connects anew: the present connections may begin at an address that this node has no more, where no answer arrives. */
  reconnect(): void;
  close(): Promise<void>;
}
