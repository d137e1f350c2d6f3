/** subnet.env: what the CNI plugin and Docker read, and what tells a restarted agent its subnet. Source: spec 01 section 6. */
import { AgentError } from "./errors.ts";
import {
  FAMILIES,
  addToIp,
  cidr,
  cidrAddress,
  cidrLength,
  familyOf,
  maskCidr,
  tryParseCidr,
} from "./ip.ts";
import type { Cidr, Family, PerFamily } from "./ip.ts";
import type { NetworkConfig } from "./network-config.ts";

export interface SubnetFile {
  readonly config: Pick<NetworkConfig, "ranges">;
  /** The own lease's, one per enabled family. */
  readonly subnets: PerFamily<Cidr>;
  /** Largest pod packet in bytes. */
  readonly mtu: number;
  /** The `ip-masq` flag. */
  readonly ipMasq: boolean;
}

/** What a previous run left: prefixes without host bits. */
export interface PreviousSubnets {
  readonly networks: PerFamily<Cidr>;
  readonly subnets: PerFamily<Cidr>;
  /** One line for each value that could not be used. */
  readonly warnings: readonly string[];
}

const NETWORK: Readonly<Record<Family, string>> = {
  4: "FLANNEL_NETWORK",
  6: "FLANNEL_IPV6_NETWORK",
};
const SUBNET: Readonly<Record<Family, string>> = { 4: "FLANNEL_SUBNET", 6: "FLANNEL_IPV6_SUBNET" };

/**
 * The whole text of the file. `*_SUBNET` is the first address of the subnet: the bridge's.
 * @throws AgentError "config-invalid" when an enabled family has no subnet
 */
export function formatSubnetFile({ config, subnets, mtu, ipMasq }: SubnetFile): string {
  const lines: string[] = [];
  for (const family of FAMILIES) {
    const range = config.ranges[family];
    if (range === undefined) continue;
    const subnet = subnets[family];
    if (subnet === undefined)
      throw new AgentError(
        "config-invalid",
        `no IPv${family} subnet was leased although IPv${family} is enabled`,
      );
    const bridge = cidr(addToIp(cidrAddress(subnet), 1n), cidrLength(subnet));
    lines.push(`${NETWORK[family]}=${range.network}`, `${SUBNET[family]}=${bridge}`);
  }
  lines.push(`FLANNEL_MTU=${mtu}`, `FLANNEL_IPMASQ=${ipMasq}`);
  return `${lines.join("\n")}\n`;
}

/** Reads dotenv text, also from other hands. What cannot be used counts as none and is named in the warnings. */
export function parseSubnetFile(text: string): PreviousSubnets {
  const values = parseDotenv(text);
  const networks: Partial<Record<Family, Cidr>> = {};
  const subnets: Partial<Record<Family, Cidr>> = {};
  const warnings: string[] = [];
  for (const family of FAMILIES) {
    const network = readPrefix(values, NETWORK[family], family, warnings);
    const subnet = readPrefix(values, SUBNET[family], family, warnings);
    if (network !== undefined) networks[family] = network;
    if (subnet !== undefined) subnets[family] = subnet;
  }
  return { networks, subnets, warnings };
}

function readPrefix(
  values: ReadonlyMap<string, string>,
  key: string,
  family: Family,
  warnings: string[],
): Cidr | undefined {
  const value = values.get(key);
  if (value === undefined) return undefined;
  const valid: Cidr[] = [];
  for (const element of value.split(",")) {
    const prefix = tryParseCidr(element.trim());
    if (prefix !== undefined && familyOf(prefix) === family) valid.push(maskCidr(prefix));
    else
      warnings.push(
        `${key}: ignoring ${JSON.stringify(element.slice(0, 64))}: expected an IPv${family} prefix`,
      );
  }
  const [first, ...more] = valid;
  if (more.length > 0) {
    warnings.push(`${key}: ignoring all ${valid.length} prefixes: expected one`);
    return undefined;
  }
  return first;
}

/**
 * `KEY=VALUE` or `KEY: VALUE`, optional `export`, comments, single and double quotes, `$KEY` of earlier keys outside
 * single quotes. Lines that are none of these are skipped.
 */
function parseDotenv(text: string): ReadonlyMap<string, string> {
  const values = new Map<string, string>();
  for (const line of text.split(/\r\n|\n|\r/)) {
    const match = /^\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_.]*)\s*[=:](.*)$/.exec(line);
    const [, key, rest] = match ?? [];
    if (key !== undefined && rest !== undefined) values.set(key, readValue(rest.trim(), values));
  }
  return values;
}

function readValue(rest: string, earlier: ReadonlyMap<string, string>): string {
  const [, literal] = /^'([^']*)'/.exec(rest) ?? [];
  if (literal !== undefined) return literal;
  const [, quoted] = /^"((?:[^"\\]|\\.)*)"/.exec(rest) ?? [];
  if (quoted !== undefined) return expand(quoted.replaceAll(/\\([\\"])/g, "$1"), earlier);
  const [bare = ""] = rest.split(/(?:^|\s)#/);
  return expand(bare.trim(), earlier);
}

function expand(value: string, earlier: ReadonlyMap<string, string>): string {
  return value.replaceAll(
    /\$(?:\{(\w+)\}|(\w+))/g,
    (_, braced: string | undefined, plain: string | undefined) =>
      earlier.get(braced ?? plain ?? "") ?? "",
  );
}
