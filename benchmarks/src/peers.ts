/** Peers as program-peers.c counts them, from 1: number i has 10.(i/256).(i%256).0/24, 0e:00:00:00:(i/256):(i%256), 198.18.(i/256).(i%256). */
import { parseCidr, parseIp, perFamily } from "agent/core/ip.ts";
import type { Lease } from "agent/core/lease.ts";
import { type NetworkConfig, parseNetworkConfig } from "agent/core/network-config.ts";

export const CONFIG: NetworkConfig = parseNetworkConfig(
  '{"Network":"10.0.0.0/8","SubnetLen":24,"Backend":{"Type":"vxlan"}}',
);

/** The node under test; its subnet is that of no peer. */
export const OWN_SUBNET = 0xff_00;

/** `variant` makes another hardware address, as after a reboot of the peer. */
export function peer(number: number, variant = 0): Lease {
  const [high, low] = [number >> 8, number & 0xff];
  const hex = (value: number): string => value.toString(16).padStart(2, "0");
  const VtepMAC = `0e:00:00:${hex(variant)}:${hex(high)}:${hex(low)}`;
  return {
    subnets: perFamily(parseCidr(`10.${high}.${low}.0/24`), undefined),
    publicIps: perFamily(parseIp(`198.18.${high}.${low}`), undefined),
    backendType: "vxlan",
    backendData: perFamily<unknown>({ VNI: 1, VtepMAC }, undefined),
  };
}

export function peers(count: number): readonly Lease[] {
  return Array.from({ length: count }, (_, index) => peer(index + 1));
}
