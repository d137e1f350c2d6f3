/** What the contracts of traffic managers need of the firewalls that they run on, and what they expect of both. */
import { parseCidr } from "../core/ip.ts";
import type { Cidr, Family } from "../core/ip.ts";
import type { TrafficWish } from "../core/traffic-rules.ts";
import { MemoryLog } from "../system/memory-log.ts";
import type { Command } from "../system/command.ts";
import { openTrafficManager } from "./firewalls.ts";
import type { RuleNews } from "./rule-events.ts";
import type { TrafficManager } from "./traffic-manager.ts";

export interface FirewallWorld extends RuleNews, AsyncDisposable {
  readonly command: Command;
  /** Runs a firewall program as somebody else does. @throws Error when it fails */
  act(argv: readonly string[], input?: string): Promise<string>;
}

export const SAVES: Readonly<Record<Family, string>> = { 4: "iptables-save", 6: "ip6tables-save" };

/** The rules that iptables holds, without counters and chains. */
export async function iptablesRules(
  world: FirewallWorld,
  family: Family,
): Promise<readonly string[]> {
  const text = await world.act([SAVES[family]]);
  return text.split("\n").filter((line) => line.startsWith("-A "));
}

export async function iptablesChains(
  world: FirewallWorld,
  family: Family,
): Promise<readonly string[]> {
  const text = await world.act([SAVES[family]]);
  const names = text.split("\n").map((line) => /^:(\S+)/.exec(line)?.[1] ?? "");
  return names.filter((name) => name.startsWith("FLANNEL"));
}

export type Open = () => Promise<FirewallWorld>;

export const PODS: Readonly<Record<Family, { readonly network: Cidr; readonly subnet: Cidr }>> = {
  4: { network: parseCidr("10.42.0.0/16"), subnet: parseCidr("10.42.1.0/24") },
  6: { network: parseCidr("fd00:42::/56"), subnet: parseCidr("fd00:42:0:1::/64") },
};

export function wish(family: Family, changes: Partial<TrafficWish> = {}): TrafficWish {
  const pods = PODS[family];
  const ownNetworks = [pods.network];
  return { pods, masquerade: true, forward: true, fullyRandom: true, ownNetworks, ...changes };
}

export function manager(world: FirewallWorld, usesNftables: boolean): TrafficManager {
  return openTrafficManager({ ...world, usesNftables, log: new MemoryLog() });
}

/** As `iptables -S` shows what the reference makes. Source: spec 06 sections 1.1 and 1.2. */
export const TEXT: Readonly<Record<Family, readonly string[]>> = {
  4: [
    '-A FORWARD -m comment --comment "flanneld forward" -j FLANNEL-FWD',
    '-A FLANNEL-FWD -s 10.42.0.0/16 -m comment --comment "flanneld forward" -j ACCEPT',
    '-A FLANNEL-FWD -d 10.42.0.0/16 -m comment --comment "flanneld forward" -j ACCEPT',
    '-A POSTROUTING -m comment --comment "flanneld masq" -j FLANNEL-POSTRTG',
    '-A FLANNEL-POSTRTG -m mark --mark 0x4000/0x4000 -m comment --comment "flanneld masq" -j RETURN',
    '-A FLANNEL-POSTRTG -s 10.42.1.0/24 -d 10.42.0.0/16 -m comment --comment "flanneld masq" -j RETURN',
    '-A FLANNEL-POSTRTG -s 10.42.0.0/16 -d 10.42.1.0/24 -m comment --comment "flanneld masq" -j RETURN',
    '-A FLANNEL-POSTRTG ! -s 10.42.0.0/16 -d 10.42.1.0/24 -m comment --comment "flanneld masq" -j RETURN',
    '-A FLANNEL-POSTRTG -s 10.42.0.0/16 ! -d 224.0.0.0/4 -m comment --comment "flanneld masq" -j MASQUERADE --random-fully',
    '-A FLANNEL-POSTRTG ! -s 10.42.0.0/16 -d 10.42.0.0/16 -m comment --comment "flanneld masq" -j MASQUERADE --random-fully',
  ],
  6: [
    '-A FORWARD -m comment --comment "flanneld forward" -j FLANNEL-FWD',
    '-A FLANNEL-FWD -s fd00:42::/56 -m comment --comment "flanneld forward" -j ACCEPT',
    '-A FLANNEL-FWD -d fd00:42::/56 -m comment --comment "flanneld forward" -j ACCEPT',
    '-A POSTROUTING -m comment --comment "flanneld masq" -j FLANNEL-POSTRTG',
    '-A FLANNEL-POSTRTG -m mark --mark 0x4000/0x4000 -m comment --comment "flanneld masq" -j RETURN',
    '-A FLANNEL-POSTRTG -s fd00:42:0:1::/64 -d fd00:42::/56 -m comment --comment "flanneld masq" -j RETURN',
    '-A FLANNEL-POSTRTG -s fd00:42::/56 -d fd00:42:0:1::/64 -m comment --comment "flanneld masq" -j RETURN',
    '-A FLANNEL-POSTRTG ! -s fd00:42::/56 -d fd00:42:0:1::/64 -m comment --comment "flanneld masq" -j RETURN',
    '-A FLANNEL-POSTRTG -s fd00:42::/56 ! -d ff00::/8 -m comment --comment "flanneld masq" -j MASQUERADE --random-fully',
    '-A FLANNEL-POSTRTG ! -s fd00:42::/56 -d fd00:42::/56 -m comment --comment "flanneld masq" -j MASQUERADE --random-fully',
  ],
};

export const FAMILIES: readonly Family[] = [4, 6];
export const OTHERS: Readonly<Record<Family, string>> = { 4: "10.99.0.0/16", 6: "fd00:99::/56" };
export const inChain: (name: string) => (line: string) => boolean =
  (name: string) =>
  (line: string): boolean =>
    line.startsWith(`-A ${name} `);

export const sorted: (lines: readonly string[]) => readonly string[] = (
  lines: readonly string[],
): readonly string[] => lines.toSorted();
