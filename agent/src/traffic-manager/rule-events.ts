/** What the kernel tells of changes of rules: by itself of those in nf_tables, which the nf_tables variant of iptables writes into too; when asked, of legacy ones. */
import type { Family } from "../core/ip.ts";

/** A change of a rule, of a chain, or of a whole table. */
export interface RuleEvent {
  /** As nft names it: `ip`, `ip6`, `inet`, … */
  readonly family: string;
  readonly table: string;
  /** Absent for a change of the table itself. */
  readonly chain?: string;
}

/** `lost` when the kernel could not tell everything. */
export type RuleEvents = AsyncIterable<readonly (RuleEvent | "lost")[]>;

/** The machine's firewalls, as far as they tell of themselves. */
export interface RuleNews {
  readonly watchRules: WatchRules;
  /** A number that is another one after any change of rules in nf_tables; undefined where nobody can say. */
  readonly ruleGeneration: () => number | undefined;
  /** A text that is another one while a rule or policy of legacy iptables is another one, whatever they count; undefined where nobody can say. */
  readonly legacyRules: (family: Family) => string | undefined;
}

/** Begins at once; ends when the signal aborts. @throws AgentError "kernel-refused" */
export type WatchRules = (signal: AbortSignal) => RuleEvents;
