import { formatCidr, networkOf, parseCidr } from "../addresses.ts";
import type { StoreEntry } from "../lab.ts";

/** A lease as it is in the store, read by the lab itself. Source: flannel pkg/subnet/etcd/registry.go. */
export interface StoredLease {
  readonly key: string;
  readonly subnets: readonly string[];
  readonly publicIp: string;
  readonly leaseId?: string;
}

/** Everything flannel keeps in etcd is under this key by default. */
export const STORE_PREFIX = "/coreos.com/network";

const SUBNET_KEY = /\/subnets\/([\d.]+)-(\d+)(?:&([\da-f:]+)-(\d+))?$/;

/** Of a node that cannot be reached at present. */
const NO_ADDRESS = "0.0.0.0";

/** Undefined when the entry is no lease that an agent would accept. */
export function parseLease(entry: StoreEntry): StoredLease | undefined {
  const match = SUBNET_KEY.exec(entry.key);
  if (match === null) {
    return undefined;
  }
  const [, first, firstLength, second, secondLength] = match;
  const texts = [`${first}/${firstLength}`];
  if (second !== undefined) {
    texts.push(`${second}/${secondLength}`);
  }
  const subnets = texts.map((text) => {
    const cidr = parseCidr(text);
    return cidr && formatCidr(networkOf(cidr));
  });
  const publicIp = publicIpOf(entry.value);
  if (publicIp === undefined || !subnets.every((subnet) => subnet !== undefined)) {
    return undefined;
  }
  return {
    key: entry.key,
    subnets,
    publicIp,
    ...(entry.leaseId === undefined ? {} : { leaseId: entry.leaseId }),
  };
}

function publicIpOf(value: string): string | undefined {
  try {
    const attributes: unknown = JSON.parse(value);
    const publicIp: unknown =
      typeof attributes === "object" && attributes !== null
        ? Reflect.get(attributes, "PublicIP")
        : undefined;
    return typeof publicIp === "string" && publicIp !== NO_ADDRESS ? publicIp : undefined;
  } catch (error) {
    if (error instanceof SyntaxError) {
      return undefined;
    }
    throw error;
  }
}
