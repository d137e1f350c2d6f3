/** The last segment of a lease's etcd key: `10.42.1.0-24` or `10.42.1.0-24&fd00:42:1::-64`. Source: spec 03 section 1. */
import { AgentError } from "./errors.ts";
import {
  cidrAddress,
  cidrLength,
  familyBits,
  familyOf,
  maskCidr,
  perFamily,
  tryParseCidr,
} from "./ip.ts";
import type { Cidr, Family, PerFamily } from "./ip.ts";

/** Stricter than the reference, which neither anchors the text on the left nor means its dots. */
const KEY = /^(\d+\.\d+\.\d+\.\d+)-(\d+)(?:&([a-f\d:]+)-(\d+))?$/;

/**
 * The key of a lease; the IPv6 part is there exactly when the lease has an IPv6 subnet.
 * @throws AgentError "config-invalid" for a lease without an IPv4 subnet, which no agent could read back, and for a
 * subnet that is no share of a network
 */
export function formatSubnetKey(subnets: PerFamily<Cidr>): string {
  const { 4: first, 6: second } = subnets;
  if (first === undefined)
    throw new AgentError(
      "config-invalid",
      "IPv6 alone cannot be leased through etcd: its keys begin with an IPv4 subnet; set EnableIPv4 to true and define Network",
    );
  return second === undefined
    ? formatPart(first, 4)
    : `${formatPart(first, 4)}&${formatPart(second, 6)}`;
}

/** The subnets of a key; undefined for anything that `formatSubnetKey` would not have written. */
export function parseSubnetKey(name: string): PerFamily<Cidr> | undefined {
  const match = KEY.exec(name);
  if (match === null) return undefined;
  const [, firstAddress, firstLength, secondAddress, secondLength] = match;
  const first = parsePart(`${firstAddress}/${firstLength}`, 4);
  if (first === undefined) return undefined;
  let second: Cidr | undefined;
  if (secondAddress !== undefined) {
    second = parsePart(`${secondAddress}/${secondLength}`, 6);
    if (second === undefined) return undefined;
  }
  const subnets = perFamily(first, second);
  return formatSubnetKey(subnets) === name ? subnets : undefined;
}

function formatPart(subnet: Cidr, family: Family): string {
  if (!isShare(subnet, family))
    throw new AgentError(
      "config-invalid",
      `${subnet} cannot be leased: expected an IPv${family} prefix of /1 to /${familyBits(family) - 1} without host bits`,
    );
  return `${cidrAddress(subnet)}-${cidrLength(subnet)}`;
}

function parsePart(text: string, family: Family): Cidr | undefined {
  const subnet = tryParseCidr(text);
  return subnet !== undefined && isShare(subnet, family) ? subnet : undefined;
}

/** The reference reads no single-address prefix back, and no node leases everything. */
function isShare(subnet: Cidr, family: Family): boolean {
  const length = cidrLength(subnet);
  return (
    familyOf(subnet) === family &&
    length > 0 &&
    length < familyBits(family) &&
    maskCidr(subnet) === subnet
  );
}
