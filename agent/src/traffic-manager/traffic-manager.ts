/** The port to whoever holds the masquerade and forward rules of this node's network namespace. */
import type { Family } from "../core/ip.ts";
import type { TrafficWish } from "../core/traffic-rules.ts";

/** How much is looked at: `all` includes what another firewall may hold of ours, `usual` is what changes by itself. */
export type Thoroughness = "all" | "usual";

export interface TrafficManager {
  /**
   * Compares the rules of one family with the wish, and replaces them in one step where they differ: no packet meets a half-made set,
   * and rules that are right keep their counters. Rules of others are neither read as ours nor written.
   * @returns whether anything was written
   * @throws AgentError "program-missing", "command-failed"
   */
  apply(family: Family, wish: TrafficWish, thoroughness: Thoroughness): Promise<boolean>;
  /**
   * Yields whenever rules that matter to this node may have changed, whoever changed them; ends when the signal aborts.
   * Undefined where the kernel tells nobody: legacy iptables. To be asked after a first `apply`.
   * @throws AgentError "kernel-refused"
   */
  watch(signal: AbortSignal): AsyncIterable<void> | undefined;
}
