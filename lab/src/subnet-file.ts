import { type Cidr, networkOf, formatCidr, parseCidr } from "./addresses.ts";

/** What a node's flanneld says in subnet.env. Source: flannel Documentation/configuration.md, "subnet-file". */
export interface SubnetFile {
  /** The node's own address in each leased subnet with the subnet's length, one per family; never empty. */
  readonly gateways: readonly Cidr[];
  /** Bytes. */
  readonly mtu: number;
}

/**
 * Reads subnet.env. Returns undefined while the file is not complete: it must hold an MTU, the masquerade line that is
 * written last, and a subnet for every network it names.
 */
export function parseSubnetFile(text: string): SubnetFile | undefined {
  const values = new Map<string, string>();
  for (const line of text.split("\n")) {
    const match = /^([A-Z0-9_]+)=(.*)$/.exec(line.trim());
    if (match?.[1] !== undefined && match[2] !== undefined) {
      values.set(match[1], match[2]);
    }
  }
  const mtu = values.get("FLANNEL_MTU") ?? "";
  if (!/^\d+$/.test(mtu) || !values.has("FLANNEL_IPMASQ")) {
    return undefined;
  }
  const gateways: Cidr[] = [];
  for (const prefix of ["FLANNEL_", "FLANNEL_IPV6_"]) {
    const subnet = values.get(`${prefix}SUBNET`);
    const gateway = subnet === undefined ? undefined : parseCidr(subnet);
    if (gateway !== undefined) {
      gateways.push(gateway);
    } else if (subnet !== undefined || values.has(`${prefix}NETWORK`)) {
      return undefined;
    }
  }
  return gateways.length === 0 ? undefined : { gateways, mtu: Number(mtu) };
}

/** The leased subnets of a subnet file, e.g. `10.244.7.0/24`. */
export function subnetsOf(file: SubnetFile): string[] {
  return file.gateways.map((gateway) => formatCidr(networkOf(gateway)));
}
