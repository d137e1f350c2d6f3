import { AgentError, CAPABILITY_REMEDY } from "../core/errors.ts";
import type { CommandResult } from "../system/command.ts";

/** What a program says when something is wrong that a person can put right. */
export interface Remedy {
  readonly said: RegExp;
  readonly remedy: string;
}

const NO_RIGHT: Remedy = {
  said: /Operation not permitted|Permission denied|must be root/,
  remedy: CAPABILITY_REMEDY,
};

/** In one line: what was run, what it said, and what to do. */
export function commandError(
  argv: readonly string[],
  { exitCode, stdout, stderr }: CommandResult,
  remedies: readonly Remedy[],
): AgentError {
  const all = `${stderr}\n${stdout}`;
  const [line = ""] = all
    .split("\n")
    .map((one) => one.trim())
    .filter((one) => one !== "");
  const why = line === "" ? `exit code ${exitCode}` : line;
  const found = [NO_RIGHT, ...remedies].find(({ said }) => said.test(all));
  const remedy = found === undefined ? "" : `; ${found.remedy}`;
  return new AgentError("command-failed", `${argv.join(" ")}: ${why}${remedy}`, {
    retryable: true,
  });
}

/** The same, with where to get the program. */
export function missingProgram(error: AgentError, remedy: string): AgentError {
  return new AgentError("program-missing", `${error.message}: ${remedy}`, {
    retryable: true,
    cause: error,
  });
}
