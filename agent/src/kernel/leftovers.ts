/** What an agent before this one left under another configuration, flannel's own included: recognised by all of its marks, never by one. */
import { FAMILIES, cidrLength, containsIp, familyOf } from "../core/ip.ts";
import type { Cidr, Family } from "../core/ip.ts";
import { ROUTE_PROTOCOL_BOOT } from "./kernel.ts";
import type { InterfaceFacts, LeftRouteMarks, Route } from "./kernel.ts";

/** The names of the devices of vxlan, udp, wireguard and ipip. Source: spec 05. */
const DEVICE_NAMES =
  /^(?:flannel(?:-v6)?\.\d{1,8}|flannel\d{1,2}|flannel-wg(?:-v6)?|flannel\.ipip)$/;
const HOST_LENGTH: Record<Family, number> = { 4: 32, 6: 128 };

/**
 * Devices named as flannel names its own that carry the address of one host inside the pod networks, as all of them do. A device of
 * a second flannel on the node has its address in another network.
 */
export function leftDevices(
  interfaces: readonly InterfaceFacts[],
  networks: readonly Cidr[],
): readonly string[] {
  const isTunnelAddress = (address: Cidr): boolean =>
    cidrLength(address) === HOST_LENGTH[familyOf(address)] && isInside(networks, address);
  return interfaces
    .filter(({ name }) => DEVICE_NAMES.test(name))
    .filter(({ addresses }) => addresses.some(({ address }) => isTunnelAddress(address)))
    .map(({ name }) => name);
}

/** Whether a route is of the shape that flannel gives a peer: `SUBNET via PUBLIC-IP dev LINK proto boot`. Source: spec 05 sections 2.4 and 3. */
export function isLeftRoute(
  { destination, gateway, link, onlink, protocol }: Route,
  marks: LeftRouteMarks,
): boolean {
  const length = cidrLength(destination);
  return (
    link === marks.link &&
    gateway !== undefined &&
    !onlink &&
    protocol === ROUTE_PROTOCOL_BOOT &&
    FAMILIES.some(
      (family) => familyOf(destination) === family && length === marks.subnetLengths[family],
    ) &&
    isInside(marks.networks, destination)
  );
}

function isInside(networks: readonly Cidr[], prefix: Cidr): boolean {
  return networks.some((network) => containsIp(network, prefix));
}
