import { loadAddon } from "./addon.ts";
import { NetlinkError } from "./errors.ts";
import { type Family, familyNumber } from "./ip.ts";

export interface UdpSocketOptions {
  /** `/run/netns/NAME` or `/proc/PID/ns/net`; this process's own when absent. */
  readonly namespace?: string;
  readonly family: Family;
  /** 0: any that is free. */
  readonly port: number;
}

/**
 * The descriptor of a UDP socket on all addresses of a network namespace, for `bind({ fd })` of node:dgram. One of IPv6 takes no IPv4. It stays
 * in its namespace, which it keeps, until it is closed.
 * @throws NetlinkError ENOENT when there is no such namespace, EADDRINUSE when the port is taken
 * Source: udp(7), setns(2)
 */
export function openUdpSocket({ namespace, family, port }: UdpSocketOptions): number {
  const descriptor = loadAddon().openUdpSocket(namespace ?? null, familyNumber(family), port);
  if (descriptor < 0) {
    const where = namespace === undefined ? "" : ` in ${namespace}`;
    throw new NetlinkError(`open UDP port ${port}${where}`, -descriptor);
  }
  return descriptor;
}
