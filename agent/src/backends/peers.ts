/** Which peers a backend can program: what every backend asks of a lease, whatever it does with it. */
import { cidrAddress, cidrLength, compareIp, FAMILIES, overlaps } from "../core/ip.ts";
import type { Cidr, Family, Ip, PerFamily } from "../core/ip.ts";
import type { Lease } from "../core/lease.ts";
import { checkPeerLease } from "../core/lease-validation.ts";
import type { NetworkConfig } from "../core/network-config.ts";

/** One family of a peer's lease. */
export interface SelectedPeer {
  readonly lease: Lease;
  readonly subnet: Cidr;
  readonly publicIp: Ip;
  /** As published: unchecked. */
  readonly data: unknown;
}

export interface Rejection {
  readonly peer: Lease;
  readonly reason: string;
}

export interface Selection {
  /** In the order of the subnets, whatever the order of the leases. */
  readonly selected: readonly SelectedPeer[];
  readonly rejected: readonly Rejection[];
}

/** Families that the network config gives a range to. */
export function enabledFamilies(config: NetworkConfig): readonly Family[] {
  return FAMILIES.filter((family) => config.ranges[family] !== undefined);
}

/**
 * The peers to program in one family. Each family is judged by itself, so that a mistake in one does not cut off the other
 * (spec 10 V9). Of two that cannot both be programmed the one with the lower subnet stays.
 */
export function selectPeers(
  peers: readonly Lease[],
  {
    type,
    family,
    config,
    own,
  }: {
    readonly type: string;
    readonly family: Family;
    readonly config: NetworkConfig;
    readonly own: Lease;
  },
): Selection {
  const rejected: Rejection[] = [];
  const selected: SelectedPeer[] = [];
  const label = `IPv${family}`;
  for (const peer of inSubnetOrder(peers, family)) {
    const reason =
      typeProblem(peer, type) ??
      familyProblem(peer, family, { config, own }) ??
      overlapProblem(peer, selected.at(-1));
    if (reason === undefined) selected.push(peer);
    else rejected.push({ peer: peer.lease, reason: `${label}: ${reason}` });
  }
  return { selected, rejected };
}

/** The reason is the same in all families: leases of another backend are none of ours. */
function typeProblem({ lease }: SelectedPeer, type: string): string | undefined {
  return lease.backendType === type
    ? undefined
    : `backend type is ${JSON.stringify(lease.backendType.slice(0, 32))}, ours is "${type}"`;
}

function familyProblem(
  { lease, publicIp }: SelectedPeer,
  family: Family,
  { config, own }: { readonly config: NetworkConfig; readonly own: Lease },
): string | undefined {
  const { [family]: range } = config.ranges;
  const ranges: PerFamily<NonNullable<typeof range>> =
    range === undefined ? {} : { [family]: range };
  const problem = checkPeerLease(lease, { ranges }, own.subnets);
  if (problem !== undefined) return problem;
  return publicIp === own.publicIps[family]
    ? `public IP ${publicIp} is this node's own`
    : undefined;
}

/** Subnets are sorted and the selected ones disjoint, so only the last one can reach into the next. */
function overlapProblem(peer: SelectedPeer, last: SelectedPeer | undefined): string | undefined {
  return last !== undefined && overlaps(last.subnet, peer.subnet)
    ? `subnet ${peer.subnet} overlaps ${last.subnet} of ${last.publicIp}`
    : undefined;
}

function inSubnetOrder(peers: readonly Lease[], family: Family): readonly SelectedPeer[] {
  return peers
    .flatMap((lease): SelectedPeer[] => {
      const { [family]: subnet } = lease.subnets;
      const { [family]: publicIp } = lease.publicIps;
      const data = lease.backendData[family];
      // Without an address it is refused by familyProblem, which names that.
      return subnet === undefined
        ? []
        : [{ lease, subnet, publicIp: publicIp ?? ("" as Ip), data }];
    })
    .toSorted(compareSubnets);
}

/** By address, then the wider one first; equal subnets by what else tells them apart. */
function compareSubnets(a: SelectedPeer, b: SelectedPeer): number {
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
