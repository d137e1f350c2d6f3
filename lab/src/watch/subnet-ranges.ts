import {
  ADDRESS_BITS,
  type Cidr,
  type IpFamily,
  networkOf,
  parseAddress,
  parseCidr,
} from "../addresses.ts";

/** Where the subnets of one family may lie. */
export interface SubnetRange {
  readonly network: Cidr;
  readonly prefixLength: number;
  /** First addresses of the first and the last subnet. */
  readonly min: bigint;
  readonly max: bigint;
}

/** Source: flannel pkg/subnet/config.go, ParseConfig: names, default lengths, and the first subnet is not used. */
const NAMES: Readonly<
  Record<IpFamily, { readonly prefix: string; readonly length: number; readonly widest: number }>
> = {
  ipv4: { prefix: "", length: 24, widest: 22 },
  ipv6: { prefix: "ipv6", length: 64, widest: 62 },
};

/** The ranges that a net-conf.json names, by family; undefined when it is none. */
export function subnetRanges(
  configText: string,
): Readonly<Partial<Record<IpFamily, SubnetRange>>> | undefined {
  let config: unknown;
  try {
    config = JSON.parse(configText);
  } catch (error) {
    if (error instanceof SyntaxError) {
      return undefined;
    }
    throw error;
  }
  if (typeof config !== "object" || config === null) {
    return undefined;
  }
  // Go reads member names without regard to case.
  const members = new Map(
    Object.entries(config).map(([name, value]: [string, unknown]) => [name.toLowerCase(), value]),
  );
  const ipv4 = members.get("enableipv4") === false ? undefined : rangeOf("ipv4", members);
  const ipv6 = members.get("enableipv6") === true ? rangeOf("ipv6", members) : undefined;
  return { ...(ipv4 === undefined ? {} : { ipv4 }), ...(ipv6 === undefined ? {} : { ipv6 }) };
}

function rangeOf(family: IpFamily, members: ReadonlyMap<string, unknown>): SubnetRange | undefined {
  const { prefix, length, widest } = NAMES[family];
  const text = (name: string): string => {
    const value = members.get(prefix + name);
    return typeof value === "string" ? value : "";
  };
  const cidr = parseCidr(text("network"));
  if (cidr === undefined) {
    return undefined;
  }
  const network = networkOf(cidr);
  const wished = members.get(`${prefix}subnetlen`);
  const prefixLength =
    typeof wished === "number" && wished > 0
      ? wished
      : network.prefixLength <= widest
        ? length
        : network.prefixLength + 2;
  const size = 1n << BigInt(ADDRESS_BITS[family] - prefixLength);
  const networkSize = 1n << BigInt(ADDRESS_BITS[family] - network.prefixLength);
  const first = network.address.value;
  return {
    network,
    prefixLength,
    min: parseAddress(text("subnetmin"))?.value ?? first + size,
    max: parseAddress(text("subnetmax"))?.value ?? first + networkSize - size,
  };
}

/** Why a subnet, as its key writes it, lies outside; undefined when it does not. */
export function outsideRange(subnet: Cidr, range: SubnetRange | undefined): string | undefined {
  const { value } = subnet.address;
  if (range === undefined) {
    return "its family is not configured";
  }
  if (subnet.prefixLength !== range.prefixLength) {
    return `its length is not ${range.prefixLength}`;
  }
  if (networkOf(subnet).address.value !== value) {
    return "it has host bits";
  }
  return value < range.min || value > range.max
    ? "it is outside SubnetMin and SubnetMax"
    : undefined;
}
