import { join } from "node:path";
import { connectLab, type LabConnection } from "../client.ts";
import { LabError } from "../errors.ts";
import { checkLabName } from "../options.ts";
import { isAlive, type LabState, readState } from "../state.ts";
import { labsDirectory } from "../system/machine.ts";
import type { ParsedFlags } from "./flags.ts";

/** The run directory that `--name` means. @throws LabError "usage" */
export function runDirectoryOf(flags: ParsedFlags): string {
  return join(labsDirectory(), checkLabName(flags.text("name") ?? "default"));
}

/** The state of a lab that runs. @throws LabError "not-running" */
export function runningState(
  runDirectory: string,
): LabState & { lab: NonNullable<LabState["lab"]> } {
  const state = readState(runDirectory);
  const lab = state?.lab;
  if (state === undefined || lab === undefined || !isAlive(state)) {
    const name = state?.options.name ?? "";
    throw new LabError(
      "not-running",
      `no lab ${name === "" ? "" : `"${name}" `}is running in ${runDirectory}: "lab up" makes one`,
    );
  }
  return { ...state, lab };
}

/** Uses the lab that `--name` means, and lets go of it again. @throws LabError "not-running" */
export async function withLab<T>(
  flags: ParsedFlags,
  use: (connection: LabConnection, state: ReturnType<typeof runningState>) => Promise<T>,
): Promise<T> {
  const runDirectory = runDirectoryOf(flags);
  const state = runningState(runDirectory);
  const connection = await connectLab(runDirectory);
  try {
    return await use(connection, state);
  } finally {
    connection.close();
  }
}
