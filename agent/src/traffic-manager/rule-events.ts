/** What the kernel tells of changes of rules in nf_tables, which the nf_tables variant of iptables writes into too. */

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

/** The machine's nf_tables, as far as it tells of itself. */
export interface RuleNews {
  readonly watchRules: WatchRules;
  /** A number that is another one after any change of rules; undefined where nobody can say. */
  readonly ruleGeneration: () => number | undefined;
}

/** Begins at once; ends when the signal aborts. @throws AgentError "kernel-refused" */
export type WatchRules = (signal: AbortSignal) => RuleEvents;
