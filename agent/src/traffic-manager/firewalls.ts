/** Both firewalls of a node: the one that the network config names, and what the other one may still hold of ours. */
import { AgentError } from "../core/errors.ts";
import { FAMILIES } from "../core/ip.ts";
import type { Family } from "../core/ip.ts";
import { NFT_FAMILIES } from "../core/nftables-rules.ts";
import type { TrafficWish } from "../core/traffic-rules.ts";
import type { Command } from "../system/command.ts";
import type { Log } from "../system/log.ts";
import type { IptablesRole } from "../core/iptables-rules.ts";
import { Iptables } from "./iptables/iptables.ts";
import { Nftables } from "./nftables/nftables.ts";
import type { RuleEvent, RuleEvents, RuleNews } from "./rule-events.ts";
import type { Thoroughness, TrafficManager } from "./traffic-manager.ts";

export interface FirewallParts extends RuleNews {
  /** `EnableNFTables`: nftables carries the rules, else iptables. */
  readonly usesNftables: boolean;
  readonly command: Command;
  readonly log: Log;
}

/** The chains of iptables that our rules stand in or hang in. Source: spec 06 section 1. */
const IPTABLES_CHAINS: Readonly<Record<string, readonly string[]>> = {
  nat: ["POSTROUTING", "FLANNEL-POSTRTG"],
  filter: ["FORWARD", "FLANNEL-FWD"],
};

/** Of an nf_tables that nobody ever wrote to. Source: linux net/netfilter/nf_tables_api.c nf_tables_init_net. */
const FIRST_GENERATION = 1;

export function openTrafficManager(parts: FirewallParts): TrafficManager {
  return new Firewalls(parts);
}

class Firewalls implements TrafficManager {
  readonly #parts: FirewallParts;
  readonly #iptables: Iptables;
  readonly #nftables: Nftables;
  /** What the other firewall was last complained of, by family. */
  readonly #said = new Map<Family, string>();
  /** What the kernel told of its rules when a firewall was found right, and for which wish; by firewall and family. */
  readonly #right = new Map<string, string>();
  /** Families that nobody looked at so far. */
  readonly #new = new Set<Family>(FAMILIES);
  /** Families at whose first look, which is under way, nf_tables had no rule at all. */
  readonly #empty = new Set<Family>();

  constructor(parts: FirewallParts) {
    this.#parts = parts;
    this.#iptables = new Iptables(parts.command, () => parts.ruleGeneration() === FIRST_GENERATION);
    this.#nftables = new Nftables(parts.command, parts.log);
  }

  async apply(family: Family, wish: TrafficWish, thoroughness: Thoroughness): Promise<boolean> {
    const { usesNftables, ruleGeneration } = this.#parts;
    if (this.#new.delete(family) && ruleGeneration() === FIRST_GENERATION) this.#empty.add(family);
    const inUse = await (usesNftables
      ? this.#applyNftables(family, wish)
      : this.#applyIptables(family, wish, { besidesNftables: false }));
    // After it, so that there is no moment without rules.
    return (thoroughness === "all" && (await this.#applyOther(family, wish))) || inUse;
  }

  watch(signal: AbortSignal): AsyncIterable<void> | undefined {
    const { usesNftables, watchRules } = this.#parts;
    if (!usesNftables && !this.#iptables.isTold) return undefined;
    return relevant(watchRules(signal));
  }

  /** What it holds of ours harms nobody: it is said, and no reason to call the rules wrong. */
  async #applyOther(family: Family, wish: TrafficWish): Promise<boolean> {
    const nothing = { ...wish, masquerade: false, forward: false };
    try {
      const changed = await (this.#parts.usesNftables
        ? this.#applyIptables(family, wish, { besidesNftables: true })
        : this.#clearNftables(family, nothing));
      this.#said.delete(family);
      return changed;
    } catch (error) {
      if (!(error instanceof AgentError)) throw error;
      if (this.#said.get(family) !== error.message)
        this.#parts.log.warn(
          {},
          `cannot clean up the firewall that is not in use: ${error.message}`,
        );
      this.#said.set(family, error.message);
      return false;
    }
  }

  /** Where nothing had ever been written at the first look, nothing of ours is: what was written since is the firewall in use. */
  #clearNftables(family: Family, nothing: TrafficWish): Promise<boolean> {
    if (this.#empty.delete(family))
      this.#right.set(`nftables ${family}`, stateOf(this.#parts.ruleGeneration(), nothing));
    return this.#applyNftables(family, nothing);
  }

  #applyNftables(family: Family, wish: TrafficWish): Promise<boolean> {
    const rules = this.#parts.ruleGeneration();
    return this.#unlessSame(`nftables ${family}`, { rules, wish }, () =>
      this.#nftables.apply(family, wish),
    );
  }

  #applyIptables(family: Family, wish: TrafficWish, role: IptablesRole): Promise<boolean> {
    const rules = this.#iptablesRules(family);
    return this.#unlessSame(`iptables ${family}`, { rules, wish }, () =>
      this.#iptables.apply(family, wish, role),
    );
  }

  /** Legacy tables change without another generation. */
  #iptablesRules(family: Family): Told {
    switch (this.#iptables.variantOf(family)) {
      case "nf_tables":
        return this.#parts.ruleGeneration();
      case "legacy":
        return this.#parts.legacyRules(family);
      default:
        return undefined;
    }
  }

  /** Where nothing changed since all was right, all is right. The rules are those before the look, so that what changes during it counts. */
  async #unlessSame(
    what: string,
    { rules, wish }: { readonly rules: Told; readonly wish: TrafficWish },
    look: () => Promise<boolean>,
  ): Promise<boolean> {
    const now = stateOf(rules, wish);
    if (rules !== undefined && this.#right.get(what) === now) return false;
    this.#right.delete(what);
    const changed = await look();
    if (!changed) this.#right.set(what, now);
    return changed;
  }
}

/** What the kernel tells of its rules: another value after a change; undefined where it tells nothing. */
type Told = number | string | undefined;

function stateOf(rules: Told, wish: TrafficWish): string {
  return `${rules} ${JSON.stringify(wish)}`;
}

async function* relevant(events: RuleEvents): AsyncGenerator<void, void, undefined> {
  for await (const batch of events) {
    if (batch.some((event) => event === "lost" || isRelevant(event))) yield;
  }
}

/** kube-proxy rewrites its own chains all the time, which is no reason to look. */
function isRelevant({ family, table, chain }: RuleEvent): boolean {
  const ours = Object.values(NFT_FAMILIES).find(({ name }) => name === family);
  if (ours === undefined) return false;
  if (table === ours.table) return true;
  const chains = Object.hasOwn(IPTABLES_CHAINS, table) ? IPTABLES_CHAINS[table] : undefined;
  return chains !== undefined && (chain === undefined || chains.includes(chain));
}
