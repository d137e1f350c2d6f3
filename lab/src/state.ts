import type { LabOptions } from "./options.ts";
import { runFiles } from "./run-directory.ts";
import { readText, writeText } from "./system/files.ts";
import { isSameProcess, type ProcessIdentity } from "./system/process-table.ts";

/** lab.json: what the command line needs to find a lab again, or to see that it is gone. */
export interface LabState {
  readonly id: string;
  readonly options: LabOptions;
  readonly createdAt: string;
  /** The `lab up` that makes it; its death before `lab` is set means that there is no lab. */
  readonly maker: ProcessIdentity;
  readonly lab?: {
    /** The outer end of the PID namespace: killing it ends the lab. */
    readonly unshare: ProcessIdentity;
    /** PID 1 of the lab. */
    readonly init: ProcessIdentity;
    readonly supervisor: ProcessIdentity;
    readonly usesUserNamespace: boolean;
  };
}

/** Undefined when there is no such file, or none that this program wrote. */
export function readState(runDirectory: string): LabState | undefined {
  const text = readText(runFiles(runDirectory).state);
  if (text === undefined) {
    return undefined;
  }
  try {
    return JSON.parse(text) as LabState;
  } catch (error) {
    if (error instanceof SyntaxError) {
      return undefined;
    }
    throw error;
  }
}

export function writeState(runDirectory: string, state: LabState): void {
  writeText(runFiles(runDirectory).state, `${JSON.stringify(state, undefined, 2)}\n`);
}

/** Whether the lab runs or is being made. */
export function isAlive(state: LabState): boolean {
  return isSameProcess(state.lab?.init ?? state.maker);
}
