/** What the store's entries say about who has which subnet, read by the world and not by the agent. */
import type { KeyValue } from "agent/subnet-manager/etcd/key-value-store.ts";
import { type Block, type StoredSubnets, blockOf, contains, readStored } from "./stored.ts";
import { type AgentProcess, SUBNETS, type SimNode } from "./actors.ts";

/** The entries below the prefix for leases, by key. */
export type Live = ReadonlyMap<string, KeyValue>;

/** An entry that is not there yet. */
export function blank(key: string): KeyValue {
  return { key, value: "", createRevision: 0, modRevision: 0, version: 0 };
}

export function storedOf(live: Live): readonly StoredSubnets[] {
  return [...live.values()].flatMap((entry) => readStored(entry) ?? []);
}

export function isOwnOrNobodys(
  stored: StoredSubnets,
  { publicIp }: Pick<AgentProcess, "publicIp">,
): boolean {
  return stored.owner === undefined || stored.owner === publicIp;
}

export function ownedBy(entry: KeyValue | undefined, node: SimNode): boolean {
  return entry !== undefined && readStored(entry)?.owner === node.publicIp;
}

export function keyOfLease({ lease }: AgentProcess): string {
  const parts = [lease?.subnets[4], lease?.subnets[6]].filter((one) => one !== undefined);
  return SUBNETS + parts.map((one) => one.replace("/", "-")).join("&");
}

export function fits(blocks: readonly Block[], { config }: AgentProcess): boolean {
  if (config === undefined) return false;
  const families = [4, 6] as const;
  const enabled = families.filter((family) => config.ranges[family] !== undefined);
  if (blocks.length !== enabled.length) return false;
  return blocks.every((block) => {
    const range = config.ranges[block.bits === 32 ? 4 : 6];
    const network = blockOf(range?.network ?? "");
    const [min, max] = [range?.subnetMin, range?.subnetMax].map(
      (address) => blockOf(`${address}/${block.bits}`)?.first,
    );
    return (
      range !== undefined &&
      network !== undefined &&
      contains(network, block) &&
      block.length === range.subnetLength &&
      min !== undefined &&
      max !== undefined &&
      min <= block.first &&
      block.first <= max
    );
  });
}

/** Ranges with more subnets than this are never full here. */
const MAX_COUNTED_SUBNETS = 64n;

/** Whether no subnet of some family is free, but for what the node itself holds. */
export function isFull({ config, node }: AgentProcess, leases: readonly StoredSubnets[]): boolean {
  if (config === undefined) return false;
  const taken = leases
    .filter(({ owner }) => owner !== node.publicIp)
    .flatMap(({ blocks }) => blocks);
  return [config.ranges[4], config.ranges[6]].some((range) => {
    const network = blockOf(range?.network ?? "");
    if (range === undefined || network === undefined) return false;
    const size = 1n << BigInt(network.bits - range.subnetLength);
    const first = blockOf(`${range.subnetMin}/${network.bits}`)?.first ?? 0n;
    const last = blockOf(`${range.subnetMax}/${network.bits}`)?.first ?? 0n;
    if ((last - first) / size > MAX_COUNTED_SUBNETS) return false;
    for (let at = first; at <= last; at += size) {
      const end = at + size - 1n;
      if (!taken.some((one) => one.bits === network.bits && one.first <= end && at <= one.last))
        return false;
    }
    return true;
  });
}

export function namesLease(text: string, { lease }: AgentProcess): boolean {
  const subnet = blockOf(lease?.subnets[4] ?? "");
  const named = /^FLANNEL_SUBNET=(.+)\/(\d+)$/m.exec(text);
  const address = blockOf(`${named?.[1]}/32`);
  return (
    subnet !== undefined &&
    address !== undefined &&
    address.first === subnet.first + 1n &&
    Number(named?.[2]) === subnet.length
  );
}
