/** Which peers a backend can program: what every backend asks of a lease, whatever it does with it. */
import { cidrAddress, cidrLength, compareIp, FAMILIES } from "../core/ip.ts";
import type { Cidr, Family, Ip } from "../core/ip.ts";
import type { Lease } from "../core/lease.ts";
import { checkPeerFamily } from "../core/lease-validation.ts";
import type { NetworkConfig } from "../core/network-config.ts";

/** One family of a peer's lease. */
export interface SelectedPeer {
  readonly lease: Lease;
  readonly family: Family;
  readonly subnet: Cidr;
  readonly publicIp: Ip;
  /** As published: unchecked. */
  readonly data: unknown;
}

export interface Rejection {
  readonly peer: Lease;
  readonly reason: string;
}

/** Families that the network config gives a range to. */
export function enabledFamilies(config: NetworkConfig): readonly Family[] {
  return FAMILIES.filter((family) => config.ranges[family] !== undefined);
}

/** What is asked of every peer. */
export interface PeerRules {
  /** `Backend.Type` of the leases to program. */
  readonly type: string;
  readonly config: NetworkConfig;
}

/** One family of a lease; undefined when it has no subnet there. */
export function peerOf(lease: Lease, family: Family): SelectedPeer | undefined {
  const { [family]: subnet } = lease.subnets;
  const { [family]: publicIp } = lease.publicIps;
  const data = lease.backendData[family];
  // Without an address it is refused by familyProblem, which names that.
  return subnet === undefined
    ? undefined
    : { lease, family, subnet, publicIp: publicIp ?? ("" as Ip), data };
}

/**
 * What makes a peer unusable by itself, whoever else there is. Each family is judged alone, so that a mistake in one does not cut off
 * the other (spec 10 V9).
 */
export function peerProblem(peer: SelectedPeer, rules: PeerRules, own: Lease): string | undefined {
  return typeProblem(peer, rules.type) ?? familyProblem(peer, rules.config, own);
}

/** The reason is the same in all families: leases of another backend are none of ours. */
function typeProblem({ lease }: SelectedPeer, type: string): string | undefined {
  return lease.backendType === type
    ? undefined
    : `backend type is ${JSON.stringify(lease.backendType.slice(0, 32))}, ours is "${type}"`;
}

function familyProblem(
  { lease, family, publicIp }: SelectedPeer,
  config: NetworkConfig,
  own: Lease,
): string | undefined {
  const problem = checkPeerFamily(lease, config, family, own.subnets);
  if (problem !== undefined) return problem;
  return publicIp === own.publicIps[family]
    ? `public IP ${publicIp} is this node's own`
    : undefined;
}

/** By address, then the wider one first; equal subnets by what else tells them apart. */
export function compareSubnets(a: SelectedPeer, b: SelectedPeer): number {
  return (
    compareIp(cidrAddress(a.subnet), cidrAddress(b.subnet)) ||
    cidrLength(a.subnet) - cidrLength(b.subnet) ||
    compareText(a.publicIp, b.publicIp) ||
    compareText(JSON.stringify(a.lease), JSON.stringify(b.lease))
  );
}

function compareText(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}
