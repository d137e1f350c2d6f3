/** Which key a node should hold, from what the store holds: decided here, done by acquire.ts. */
import { FAMILIES, type Cidr, type Family, type Ip, type PerFamily } from "../../core/ip.ts";
import type { Lease, LeaseAttributes } from "../../core/lease.ts";
import type { NetworkConfig } from "../../core/network-config.ts";
import { chooseSubnets, isCompatible, isCompatibleSubnet } from "../../core/subnet-allocator.ts";
import type { StoredLease, StoredLeases } from "./lease-entries.ts";

export interface ClaimPlan {
  readonly subnets: PerFamily<Cidr>;
  /** Our own entry under the same key, to be written again; undefined when the key is new. */
  readonly reused: StoredLease | undefined;
  /** Our own other entries, to go in the same transaction: a node holds one lease at most (invariant A3). */
  readonly removed: readonly StoredLease[];
  /** Whether the key is to stay without an etcd lease: an operator reserved it for this node (invariant A9). */
  readonly reservation: boolean;
}

/**
 * Our own lease if it fits the configuration, else whatever part of it still fits, else the preferred subnets, else free ones.
 * @param pick a whole number from 0 up to, not including, its argument
 * @throws AgentError "subnet-exhausted"
 * Source: spec 03 section 5; spec 10 E20 for keeping the part that fits.
 */
export function planClaim(
  config: NetworkConfig,
  publicIp: Ip,
  stored: StoredLeases,
  preferred: PerFamily<Cidr>,
  pick: (limit: number) => number,
): ClaimPlan {
  const own = ownLeases(stored, publicIp);
  const fitting = own.filter(({ lease }) => isCompatible(lease.subnets, config));
  const reused = fitting.find(isReservation) ?? fitting[0];
  if (reused !== undefined)
    return {
      subnets: reused.lease.subnets,
      reused,
      // A reservation is the operator's, and outlives what the node makes of it.
      removed: own.filter((other) => other !== reused && !isReservation(other)),
      reservation: isReservation(reused),
    };

  const ownKeys = new Set(own.map(({ entry }) => entry.key));
  const taken = stored.taken.filter(({ key }) => !ownKeys.has(key)).map(({ subnets }) => subnets);
  const subnets = chooseSubnets(config, taken, pick, wishes(config, own, preferred));
  return {
    subnets,
    reused: undefined,
    removed: own,
    reservation: own.some((other) => isReservation(other) && sharesSubnet(other.lease, subnets)),
  };
}

/** The leases of the node with this public IPv4 address, the only identity there is (spec 03 section 5). */
export function ownLeases(stored: StoredLeases, publicIp: Ip): readonly StoredLease[] {
  return stored.leases.filter(({ lease }) => lease.publicIps[4] === publicIp);
}

export function isReservation({ entry }: StoredLease): boolean {
  return entry.leaseId === undefined;
}

/** The address that identifies a node. */
export function identityOf(attributes: Pick<LeaseAttributes, "publicIps">): Ip | undefined {
  return attributes.publicIps[4];
}

/** Per family: the own subnet that still fits, else the preferred one. */
function wishes(
  config: NetworkConfig,
  own: readonly StoredLease[],
  preferred: PerFamily<Cidr>,
): PerFamily<Cidr> {
  const result: Partial<Record<Family, Cidr>> = { ...preferred };
  for (const family of FAMILIES) {
    const range = config.ranges[family];
    const kept = own
      .toSorted((a, b) => Number(isReservation(b)) - Number(isReservation(a)))
      .map(({ lease }) => lease.subnets[family])
      .find(
        (subnet) =>
          subnet !== undefined && range !== undefined && isCompatibleSubnet(subnet, range),
      );
    if (kept !== undefined) result[family] = kept;
  }
  return result;
}

function sharesSubnet(lease: Lease, subnets: PerFamily<Cidr>): boolean {
  return FAMILIES.some(
    (family) => lease.subnets[family] !== undefined && lease.subnets[family] === subnets[family],
  );
}
