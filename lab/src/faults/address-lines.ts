import { type EndpointAddress, EXTERNAL_INTERFACE } from "../topology.ts";

/**
 * The old addresses go first: with a new one beside it in one subnet, IPv4 would take the new one with it. The kernel takes
 * the default route along with the last address, so that comes anew.
 */
export function addressLines(
  from: readonly EndpointAddress[],
  to: readonly EndpointAddress[],
): string[] {
  const device = EXTERNAL_INTERFACE;
  return [
    ...from.map((address) => `address delete ${cidrOf(address)} dev ${device}`),
    ...to.map(
      (address) =>
        `address add ${cidrOf(address)} dev ${device}${address.family === "ipv6" ? " nodad" : ""}`,
    ),
    ...to.map(({ router }) => `route replace default via ${router} dev ${device}`),
  ];
}

export function cidrOf({ address, prefixLength }: EndpointAddress): string {
  return `${address}/${prefixLength}`;
}
