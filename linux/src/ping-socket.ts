import { loadAddon } from "./addon.ts";
import { NetlinkError } from "./errors.ts";
import { type Family, familyNumber } from "./ip.ts";

export interface PingSocketOptions {
  /** `/run/netns/NAME` or `/proc/PID/ns/net`; this process's own when absent. */
  readonly namespace?: string;
  readonly family: Family;
}

/**
 * The descriptor of a ping socket of a network namespace, for `bind({ fd })` of node:dgram: what is sent to an address, with any port, is an
 * ICMP message whose identifier and checksum the kernel fills in; what is received is the answers to those.
 * @throws NetlinkError ENOENT when there is no such namespace, EACCES where its `net.ipv4.ping_group_range` leaves this process's group out
 * Source: icmp(7), net/ipv4/ping.c, setns(2)
 */
export function openPingSocket({ namespace, family }: PingSocketOptions): number {
  const descriptor = loadAddon().openPingSocket(namespace ?? null, familyNumber(family));
  if (descriptor < 0) {
    const where = namespace === undefined ? "" : ` in ${namespace}`;
    throw new NetlinkError(`open a ping socket${where}`, -descriptor);
  }
  return descriptor;
}
