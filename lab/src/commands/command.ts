import type { Terminal } from "../system/terminal.ts";

/** A verb of the command line. */
export interface Command {
  readonly name: string;
  /** What follows `lab NAME`, for the usage line. */
  readonly usage: string;
  readonly summary: string;
  readonly flags: FlagTable;
  /** What the words that are no flags mean, in their order, for those who complete them. */
  readonly operands?: readonly Candidates[];
  /** The words that are the lab's own, where others belong to a command to run; all of them by default. */
  ownWords?(argv: readonly string[]): readonly string[];
  /** Returns the exit code. Errors are thrown. */
  run(argv: readonly string[], terminal: Terminal): Promise<number>;
}

/** What can stand at a place of a command line: words that are known, or a kind of words that somebody must look up. */
export type Candidates = readonly string[] | "host" | "host-or-store" | "lab" | "scenario" | "file";

export interface FlagDefinition {
  readonly type: "string" | "boolean";
  readonly multiple?: true;
  /** Name of the value in the help. */
  readonly value?: string;
  readonly help: string;
}

export type FlagTable = Readonly<Record<string, FlagDefinition>>;
