/** Whether a peer's lease may be programmed: what is in the store was written by other machines and may be wrong or hostile. */
import {
  cidrLength,
  containsIp,
  hasHostBits,
  isLoopback,
  isMulticast,
  isUnspecified,
  overlaps,
} from "./ip.ts";
import type { Cidr, Family, Ip, PerFamily } from "./ip.ts";
import type { Lease } from "./lease.ts";
import type { NetworkConfig, NetworkRange } from "./network-config.ts";

/**
 * Why one family of a peer's lease must be left out, or undefined when it is sound. `own` are this node's subnets, which no peer may
 * claim.
 */
export function checkPeerFamily(
  lease: Lease,
  { ranges }: Pick<NetworkConfig, "ranges">,
  family: Family,
  own: PerFamily<Cidr> = {},
): string | undefined {
  const { [family]: subnet } = lease.subnets;
  const { [family]: range } = ranges;
  if (range === undefined) return `IPv${family} is not enabled here`;
  if (subnet === undefined) return `no IPv${family} subnet`;
  return (
    checkSubnet(subnet, range, own[family]) ?? checkPublicIp(lease.publicIps[family], family, range)
  );
}

function checkSubnet(
  subnet: Cidr,
  { network }: NetworkRange,
  own: Cidr | undefined,
): string | undefined {
  if (hasHostBits(subnet)) return `subnet ${subnet} has host bits set`;
  if (!containsIp(network, subnet) || cidrLength(subnet) === cidrLength(network))
    return `subnet ${subnet} is no share of the network ${network}`;
  if (own !== undefined && overlaps(own, subnet))
    return `subnet ${subnet} overlaps this node's own ${own}`;
  return undefined;
}

function checkPublicIp(
  publicIp: Ip | undefined,
  family: Family,
  { network }: NetworkRange,
): string | undefined {
  if (publicIp === undefined || isUnspecified(publicIp))
    return `no public IPv${family} address to send its IPv${family} packets to`;
  if (isLoopback(publicIp)) return `public IP ${publicIp} is a loopback address`;
  if (isMulticast(publicIp) || publicIp === "255.255.255.255")
    return `public IP ${publicIp} is a multicast or broadcast address`;
  if (containsIp(network, publicIp))
    return `public IP ${publicIp} lies inside the pod network ${network}`;
  return undefined;
}
