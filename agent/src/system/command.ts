/** What a program said. */
export interface CommandResult {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Programs of the machine, found by PATH. No shell is in between, and nothing from a store belongs in a word or an input. */
export interface Command {
  /**
   * Runs a program to its end, whatever its exit code.
   * @param argv the program and its arguments
   * @param input what it reads from its standard input; nothing when absent
   * @throws AgentError "program-missing" when there is none, "command-failed" when it did not end in time, said too much, or was killed
   */
  run(argv: readonly string[], input?: string): Promise<CommandResult>;
}
