/**
 * What a node's kernel should show for the leases in the store (invariant D1), from the text of spec 05 sections 2 and 3 and not
 * from the backends' plans: a second opinion.
 */
import type { NetworkConfig } from "agent/core/network-config.ts";
import { type Block, type StoredSubnets, blockOf, contains, overlap } from "./stored.ts";
import type { AgentProcess, SimNode } from "./actors.ts";

interface FamilyWords {
  readonly family: 4 | 6;
  readonly device: string;
  readonly hostLength: number;
  readonly publicIp: string;
  readonly data: string;
  readonly overheadBytes: number;
}

const FAMILIES: readonly FamilyWords[] = [
  {
    family: 4,
    device: "flannel.1",
    hostLength: 32,
    publicIp: "PublicIP",
    data: "BackendData",
    overheadBytes: 50,
  },
  {
    family: 6,
    device: "flannel-v6.1",
    hostLength: 128,
    publicIp: "PublicIPv6",
    data: "BackendV6Data",
    overheadBytes: 70,
  },
];

/** What a kernel shows of flannel's objects and what it should show, as sorted lines. */
export interface KernelTexts {
  readonly wanted: string;
  readonly actual: string;
}

export function kernelTexts(
  node: SimNode,
  config: NetworkConfig,
  { live, printed }: { readonly live: readonly StoredSubnets[]; readonly printed: string },
): KernelTexts {
  return {
    wanted: expectedKernel(node, config, live).join("\n"),
    actual: flannelLines(printed, node, config).toSorted().join("\n"),
  };
}

/** The same at this moment; undefined where the leases do not hold the one of the agent, with all that it publishes. */
export function kernelTextsNow(
  { node, config, lease }: AgentProcess,
  live: readonly StoredSubnets[],
): KernelTexts | undefined {
  const own = live.find(({ owner }) => owner === node.publicIp);
  if (config === undefined || own === undefined) return undefined;
  if (own.blocks[0]?.text !== lease?.subnets[4]) return undefined;
  const isPublished = ownBlocks(config, own).every(({ words }) => macOf(own, words) !== undefined);
  if (config.backendType === "vxlan" && !isPublished) return undefined;
  return kernelTexts(node, config, { live, printed: node.kernel.print() });
}

/** A peer's subnet that a node should have a way to: with host-gw only those on its own segment. */
export interface PeerSubnet {
  readonly block: Block;
  /** Whose it is: the IPv4 address that its lease names. */
  readonly owner: string;
  /** The address that its lease names in the subnet's family. */
  readonly publicIp: string;
}

export function peerSubnets(
  node: SimNode,
  config: NetworkConfig,
  live: readonly StoredSubnets[],
): readonly PeerSubnet[] {
  const own = live.find(({ owner }) => owner === node.publicIp);
  if (own === undefined) return [];
  return ownBlocks(config, own).flatMap((family) =>
    peersIn(family, { own, config, live }).flatMap((peer) => {
      const block = blockOfFamily(peer, family.words);
      const publicIp = String(peer.value[family.words.publicIp]);
      const { owner } = peer;
      const isReached = config.backendType !== "host-gw" || node.isOnLink(publicIp);
      return block === undefined || owner === undefined || !isReached
        ? []
        : [{ block, owner, publicIp }];
    }),
  );
}

/** What encapsulation takes of the external interface's MTU, in the family that takes most. */
export function largestOverheadBytes({ backendType, ranges }: NetworkConfig): number {
  if (backendType !== "vxlan") return 0;
  const enabled = FAMILIES.filter(({ family }) => ranges[family] !== undefined);
  return Math.max(...enabled.map(({ overheadBytes }) => overheadBytes));
}

/** Lines as the memory kernel prints them, sorted. */
function expectedKernel(
  node: SimNode,
  config: NetworkConfig,
  live: readonly StoredSubnets[],
): string[] {
  const own = live.find(({ owner }) => owner === node.publicIp);
  if (own === undefined) return [];
  const lines: string[] = [];
  for (const family of ownBlocks(config, own)) {
    const { words, mine } = family;
    if (config.backendType === "vxlan") lines.push(...deviceLines(node, words, own, mine));
    // What -ip-blackhole-route is for (spec 01 section 9), with a metric that leaves the bridge's route alone (spec 10 M10).
    if (node.keepsBlackholes) lines.push(`blackhole ${mine.text} proto 116 metric 4294967295`);
    const peers = peersIn(family, { own, config, live });
    for (const peer of peers) lines.push(...peerLines(node, config, peer, words));
  }
  return lines.toSorted();
}

/** One family in which a node has a subnet. */
interface OwnFamily {
  readonly words: FamilyWords;
  readonly network: string;
  readonly mine: Block;
}

function ownBlocks(config: NetworkConfig, own: StoredSubnets): readonly OwnFamily[] {
  return FAMILIES.flatMap((words) => {
    const network = config.ranges[words.family]?.network;
    const mine = blockOfFamily(own, words);
    return network === undefined || mine === undefined ? [] : [{ words, network, mine }];
  });
}

function peersIn(
  { words, network, mine }: OwnFamily,
  facts: {
    readonly own: StoredSubnets;
    readonly config: NetworkConfig;
    readonly live: readonly StoredSubnets[];
  },
): readonly StoredSubnets[] {
  const { own, config, live } = facts;
  return live.filter((peer) => isPeer(peer, own, words, { network, mine, config }));
}

/** Those lines of a kernel that flannel could have made, but for what a change of backend leaves. */
function flannelLines(
  printed: string,
  { backendsSinceBoot }: SimNode,
  config: NetworkConfig,
): string[] {
  const changed = backendsSinceBoot.has("vxlan") && backendsSinceBoot.has("host-gw");
  return printed
    .split("\n")
    .filter((line) => line.includes("flannel") || isToPods(line))
    .filter((line) => !line.startsWith("sysctl") && !(changed && isLeft(line, config)));
}

/**
 * With host-gw all but routes: the device that vxlan left may be that of a second agent on the same host (spec 09 section 2). When
 * vxlan comes back to it, addresses of the network before the one before: subnet.env names only the last, and an address
 * outside of both may be an operator's.
 */
function isLeft(line: string, config: NetworkConfig): boolean {
  if (config.backendType === "host-gw") return !isToPods(line);
  const address = /^address (\S+) dev flannel/.exec(line)?.[1];
  const block = blockOf(address ?? "");
  const network = blockOf(config.ranges[block?.bits === 32 ? 4 : 6]?.network ?? "");
  return block !== undefined && network !== undefined && !contains(network, block);
}

/** All other lines. */
export function foreignLines(printed: string): string[] {
  return printed.split("\n").filter((line) => !line.includes("flannel") && !isToPods(line));
}

/** Whether it says what becomes of packets to pods. */
function isToPods(line: string): boolean {
  return /^(route|blackhole) (10\.4[23]\.|fd00:4[23]:)/.test(line);
}

function blockOfFamily(stored: StoredSubnets, { hostLength }: FamilyWords): Block | undefined {
  return stored.blocks.find(({ bits }) => bits === hostLength);
}

function isPeer(
  peer: StoredSubnets,
  own: StoredSubnets,
  words: FamilyWords,
  facts: { readonly network: string; readonly mine: Block; readonly config: NetworkConfig },
): boolean {
  const block = blockOfFamily(peer, words);
  const network = blockOf(facts.network);
  const publicIp = peer.value[words.publicIp];
  if (peer.owner === undefined || peer.owner === own.owner) return false;
  if (block === undefined || network === undefined || typeof publicIp !== "string") return false;
  if (!contains(network, block) || overlap(block, facts.mine)) return false;
  if (/^(127\.|22[4-9]\.|0\.)/.test(publicIp)) return false;
  if (peer.value["BackendType"] !== facts.config.backendType) return false;
  return facts.config.backendType !== "vxlan" || macOf(peer, words) !== undefined;
}

/** Whether a peer gets a plain route: with host-gw nobody else gets any. */
function isDirect(node: SimNode, config: NetworkConfig, publicIp: string): boolean {
  const { DirectRouting } = Object(config.backendOptions) as { readonly DirectRouting?: unknown };
  return (config.backendType === "host-gw" || DirectRouting === true) && node.isOnLink(publicIp);
}

function macOf(stored: StoredSubnets, { data }: FamilyWords): string | undefined {
  const value = stored.value[data];
  if (typeof value !== "object" || value === null) return undefined;
  const mac = (value as Record<string, unknown>)["VtepMAC"];
  return typeof mac === "string" && /^([\da-f]{2}:){5}[\da-f]{2}$/.test(mac) ? mac : undefined;
}

function deviceLines(
  node: SimNode,
  words: FamilyWords,
  own: StoredSubnets,
  mine: Block,
): readonly string[] {
  const { device, hostLength, overheadBytes, family } = words;
  const local = family === 4 ? node.publicIp : node.publicIpv6;
  const [address = ""] = mine.text.split("/");
  const mtu = node.mtu - overheadBytes;
  return [
    `address ${address}/${hostLength} dev ${device}`,
    `link ${device} type vxlan id 1 local ${local} dev eth0 dstport 8472 nolearning address ${macOf(own, words)} mtu ${mtu}`,
  ];
}

function peerLines(
  node: SimNode,
  config: NetworkConfig,
  peer: StoredSubnets,
  words: FamilyWords,
): readonly string[] {
  const block = blockOfFamily(peer, words);
  if (block === undefined) return [];
  const publicIp = String(peer.value[words.publicIp]);
  if (isDirect(node, config, publicIp))
    return [`route ${block.text} via ${publicIp} dev eth0 proto 116`];
  if (config.backendType === "host-gw") return [];
  const [gateway = ""] = block.text.split("/");
  const mac = macOf(peer, words);
  return [
    `fdb ${mac} dev ${words.device} dst ${publicIp} self permanent`,
    `neigh ${gateway} dev ${words.device} lladdr ${mac} PERMANENT`,
    `route ${block.text} via ${gateway} dev ${words.device} onlink`,
  ];
}
