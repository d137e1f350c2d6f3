/** net-conf.json: what an operator wrote → a value with all defaults filled in, or one line that says what is wrong. */
import { AgentError } from "./errors.ts";
import {
  FAMILIES,
  cidrAddress,
  cidrLength,
  containsIp,
  familyBits,
  familyOf,
  formatIp,
  ipValue,
  isUnspecified,
  maskCidr,
  parseCidr,
  parseIp,
} from "./ip.ts";
import type { Cidr, Family, Ip, PerFamily } from "./ip.ts";
import { describeValue, openObject, parseJson } from "./json-object.ts";
import type { ObjectReader } from "./json-object.ts";

/** The share of the network that nodes lease from, in one family. */
export interface NetworkRange {
  /** The cluster's whole pod range, host bits zero. */
  readonly network: Cidr;
  /** First and last subnet address a node may lease, both on a subnet boundary. */
  readonly subnetMin: Ip;
  readonly subnetMax: Ip;
  /** Prefix length of every leased subnet. */
  readonly subnetLength: number;
}

/** net-conf.json with all defaults filled in. Source: spec 02. */
export interface NetworkConfig {
  /** Present exactly for the enabled families. */
  readonly ranges: PerFamily<NetworkRange>;
  readonly enableNftables: boolean;
  /** `Backend.Type`, lower-cased: the name to look up in the registry. */
  readonly backendType: string;
  /** The `Backend` object as parsed JSON, for the backend to read. */
  readonly backendOptions: unknown;
}

const WHAT = "network config";
/** The options of a config that names no backend. */
const NO_BACKEND: unknown = {};

/** One family's part of spec 02 sections 3 and 4. */
interface FamilyRules {
  readonly enable: string;
  readonly enabledByDefault: boolean;
  readonly network: string;
  readonly subnetMin: string;
  readonly subnetMax: string;
  readonly subnetLength: string;
  /** `null` for the first or last subnet means the default; otherwise it is refused. */
  readonly nullIsUnset: boolean;
  /** What the longest allowed subnet is shorter than. */
  readonly lengthLimit: number;
  /** The smallest network that can be shared out without an explicit subnet length. */
  readonly longestNetwork: number;
  readonly tooSmall: string;
  readonly defaultLength: number;
  readonly example: string;
}

const RULES: Readonly<Record<Family, FamilyRules>> = {
  4: {
    enable: "EnableIPv4",
    enabledByDefault: true,
    network: "Network",
    subnetMin: "SubnetMin",
    subnetMax: "SubnetMax",
    subnetLength: "SubnetLen",
    nullIsUnset: false,
    lengthLimit: 31,
    longestNetwork: 28,
    tooSmall: "network is too small",
    defaultLength: 24,
    example: "10.244.0.0/16",
  },
  6: {
    enable: "EnableIPv6",
    enabledByDefault: false,
    network: "IPv6Network",
    subnetMin: "IPv6SubnetMin",
    subnetMax: "IPv6SubnetMax",
    subnetLength: "IPv6SubnetLen",
    nullIsUnset: true,
    lengthLimit: 127,
    longestNetwork: 124,
    tooSmall: "IPv6Network is too small",
    defaultLength: 64,
    example: "fd00:10:244::/48",
  },
};

/** A network and its subnets differ by at least two bits: four subnets, of which the first is left out by default. */
const SHARE_BITS = 2;

/** The members as written; undefined where flannel takes the value for unset. */
interface WrittenRange {
  readonly network: Cidr | undefined;
  readonly subnetMin: Ip | undefined;
  readonly subnetMax: Ip | undefined;
  readonly subnetLength: number;
}

/**
 * Reads and checks a network configuration. No enabled family, or a backend type nobody knows, is for the caller to refuse.
 * @throws AgentError "config-invalid"
 * Source: spec 02, flannel pkg/subnet/config.go
 */
export function parseNetworkConfig(text: string): NetworkConfig {
  const reader = openObject(parseJson(text, WHAT), WHAT);
  // All members are read before any is checked, so that unreadable ones are reported first, as the reference does.
  const written: Readonly<Record<Family, WrittenRange>> = {
    4: readRange(reader, 4),
    6: readRange(reader, 6),
  };
  const enabled = FAMILIES.filter((family) =>
    reader.boolean(RULES[family].enable, RULES[family].enabledByDefault),
  );
  const enableNftables = reader.boolean("EnableNFTables", false);
  const backend = readBackend(reader);
  const ranges: Partial<Record<Family, NetworkRange>> = {};
  for (const family of enabled) ranges[family] = completeRange(written[family], family);
  return { ranges, enableNftables, ...backend };
}

/** Text that reads as this config, with all defaults spelled out. */
export function formatNetworkConfig(config: NetworkConfig): string {
  const members: Record<string, unknown> = {};
  for (const family of FAMILIES) {
    const { [family]: rules } = RULES;
    const { [family]: range } = config.ranges;
    members[rules.enable] = range !== undefined;
    if (range === undefined) continue;
    members[rules.network] = range.network;
    members[rules.subnetMin] = range.subnetMin;
    members[rules.subnetMax] = range.subnetMax;
    members[rules.subnetLength] = range.subnetLength;
  }
  members["EnableNFTables"] = config.enableNftables;
  if (config.backendOptions !== NO_BACKEND) members["Backend"] = config.backendOptions;
  return JSON.stringify(members);
}

function readBackend(reader: ObjectReader): Pick<NetworkConfig, "backendType" | "backendOptions"> {
  if (!reader.present("Backend")) return { backendType: "udp", backendOptions: NO_BACKEND };
  const backendOptions = reader.raw("Backend");
  try {
    const type = openObject(backendOptions, "Backend").string("Type", "");
    return { backendType: type.toLowerCase(), backendOptions };
  } catch (error) {
    if (!(error instanceof AgentError)) throw error;
    throw invalid(`error decoding Backend property of config: ${error.message}`);
  }
}

function readRange(reader: ObjectReader, family: Family): WrittenRange {
  const rules = RULES[family];
  return {
    network: readNetwork(reader, family),
    subnetMin: readAddress(reader, rules.subnetMin, family),
    subnetMax: readAddress(reader, rules.subnetMax, family),
    subnetLength: reader.integer(rules.subnetLength, 0),
  };
}

function readNetwork(reader: ObjectReader, family: Family): Cidr | undefined {
  const { network: name, example } = RULES[family];
  const value = reader.raw(name);
  if (value === undefined) return undefined;
  const remedy = `give ${name} as an IPv${family} prefix such as "${example}"`;
  if (typeof value !== "string")
    throw invalid(`${name}: invalid CIDR address: ${describeValue(value)}; ${remedy}`);
  const network = maskCidr(explained(() => parseCidr(value), name, remedy));
  if (familyOf(network) !== family)
    throw invalid(`${name}: invalid IPv${family} CIDR format: ${network}; ${remedy}`);
  return cidrLength(network) === 0 ? undefined : network;
}

function readAddress(reader: ObjectReader, name: string, family: Family): Ip | undefined {
  const value = reader.raw(name);
  if (value === undefined || (value === null && RULES[family].nullIsUnset)) return undefined;
  const remedy = `give ${name} as an IPv${family} address or leave it out`;
  if (typeof value !== "string")
    throw invalid(`${name}: invalid IP address: ${describeValue(value)}; ${remedy}`);
  const address = explained(() => parseIp(value), name, remedy);
  if (familyOf(address) !== family)
    throw invalid(`${name}: invalid IPv${family} address: ${address}; ${remedy}`);
  return isUnspecified(address) ? undefined : address;
}

/** The checks of spec 02 section 4 in their order; the first that fails is reported. */
function completeRange(written: WrittenRange, family: Family): NetworkRange {
  const rules = RULES[family];
  const { network } = written;
  if (network === undefined)
    throw invalid(
      `please define a correct ${rules.network} parameter in the flannel config, such as "${rules.network}": "${rules.example}"`,
    );
  const subnetLength =
    written.subnetLength === 0
      ? derivedLength(network, rules)
      : checkedLength(written.subnetLength, network, rules);

  const bits = familyBits(family);
  const size = 1n << BigInt(bits - subnetLength);
  const first = ipValue(cidrAddress(network));
  const end = first + (1n << BigInt(bits - cidrLength(network)));
  const subnetMin = written.subnetMin ?? formatIp(family, first + size);
  const subnetMax = written.subnetMax ?? formatIp(family, end - size);
  const limits = [
    [rules.subnetMin, subnetMin],
    [rules.subnetMax, subnetMax],
  ] as const;
  for (const [name, address] of limits)
    if (!containsIp(network, address))
      throw invalid(
        `${name} is not in the range of the ${rules.network}: ${address} is outside ${network}`,
      );
  for (const [name, address] of limits)
    if (ipValue(address) % size !== 0n)
      throw invalid(
        `${name} is not on a SubnetLen boundary: ${address}; the /${subnetLength} it lies in begins at ${formatIp(family, (ipValue(address) / size) * size)}`,
      );
  return { network, subnetMin, subnetMax, subnetLength };
}

function checkedLength(length: number, network: Cidr, rules: FamilyRules): number {
  if (length >= rules.lengthLimit)
    throw invalid(
      `SubnetLen must be less than /${rules.lengthLimit}: ${rules.subnetLength} is ${length}`,
    );
  const shortest = cidrLength(network) + SHARE_BITS;
  if (length < shortest)
    throw invalid(
      `network must be able to accommodate at least four subnets: ${rules.subnetLength} is ${length}, ${rules.network} ${network} needs ${shortest} or more`,
    );
  return length;
}

function derivedLength(network: Cidr, rules: FamilyRules): number {
  const networkLength = cidrLength(network);
  if (networkLength > rules.longestNetwork)
    throw invalid(
      `${rules.tooSmall}. Minimum useful network prefix is /${rules.longestNetwork}: ${rules.network} is ${network}`,
    );
  return Math.max(rules.defaultLength, networkLength + SHARE_BITS);
}

function explained<Value>(parse: () => Value, name: string, remedy: string): Value {
  try {
    return parse();
  } catch (error) {
    if (!(error instanceof AgentError)) throw error;
    throw invalid(`${name}: ${error.message}; ${remedy}`);
  }
}

function invalid(message: string): AgentError {
  return new AgentError("config-invalid", `${WHAT}: ${message}`);
}
