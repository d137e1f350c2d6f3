import { basename, join } from "node:path";
import { endLab } from "../launch.ts";
import { RUNS_FOLDER } from "../options.ts";
import { RUN_DIRECTORY_ENTRIES, runFiles } from "../run-directory.ts";
import { isTended, type LabState, readState } from "../state.ts";
import { listDirectory, moveDirectory, removeEmptyDirectory, removeTree } from "../system/files.ts";
import { ownProcessId } from "../system/machine.ts";
import { dial } from "../system/socket.ts";

/** A directory that a lab made, or may have made. */
export interface FoundLab {
  readonly path: string;
  /** dead: nobody looks after it. unclear: it looks like a lab's and does not say of which. */
  readonly fate: "alive" | "dead" | "unclear";
  readonly why: string;
  /** Of the lab that was there when it was looked at. */
  readonly id?: string;
}

/**
 * What labs have left in the directory where they live, in the order of names. Recognised by what they wrote into lab.json, never
 * by a directory's name; what is not a lab's is not listed.
 */
export async function findLabs(directory: string): Promise<FoundLab[]> {
  const names = listDirectory(directory).filter((name) => name !== RUNS_FOLDER);
  const found = await Promise.all(names.toSorted().map((name) => lookAt(join(directory, name))));
  return found.filter((lab) => lab !== undefined);
}

/**
 * Removes a run directory, and ends what is left of its processes. False when somebody else had it meanwhile. It is moved
 * aside first: another lab may take the same name at any moment, and two that collect must not meet in one tree.
 */
export async function removeDeadLab({ path, id }: FoundLab): Promise<boolean> {
  const aside = `${path}.gc-${ownProcessId()}`;
  if (!moveDirectory(path, aside)) {
    return false;
  }
  const state = readState(aside);
  if (state === undefined || state.id !== id || isTended(state)) {
    moveDirectory(aside, path);
    return false;
  }
  await endLab(aside, { keep: true });
  // lab.json goes last: who ends before leaves something that the next one recognises.
  for (const name of listDirectory(aside)) {
    if (join(aside, name) !== runFiles(aside).state) {
      removeTree(join(aside, name));
    }
  }
  removeTree(aside);
  return true;
}

/** As `lab down` does with the directory of the last lab. */
export function removeLabsDirectoryIfEmpty(directory: string): void {
  removeEmptyDirectory(directory);
}

async function lookAt(path: string): Promise<FoundLab | undefined> {
  try {
    return await judge(path);
  } catch (error) {
    // Another user's, perhaps: one that cannot be read must not keep us from the others.
    if (error instanceof Error && "code" in error) {
      return { path, fate: "unclear", why: `it cannot be read: ${String(error.code)}` };
    }
    throw error;
  }
}

async function judge(path: string): Promise<FoundLab | undefined> {
  const state = readState(path);
  if (state === undefined) {
    return looksLikeRemains(path)
      ? { path, fate: "unclear", why: "it has no lab.json that says whose it is" }
      : undefined;
  }
  const name = basename(path);
  if (name !== state.options.name && !name.startsWith(`${state.options.name}.`)) {
    return { path, fate: "unclear", why: `its lab.json is of a lab "${state.options.name}"` };
  }
  const { id } = state;
  return isTended(state) || (await answers(path))
    ? { path, id, fate: "alive", why: "it runs or is being made" }
    : { path, id, fate: "dead", why: causeOf(state) };
}

/** A lab of another PID namespace has ids that mean nothing here, but its socket answers. */
async function answers(path: string): Promise<boolean> {
  const connection = await dial(path, runFiles(path).socketName);
  connection?.close();
  return connection !== undefined;
}

function causeOf({ maker, lab }: LabState): string {
  return lab === undefined
    ? `process ${maker.pid}, which was making it, is gone`
    : `process ${lab.supervisor.pid}, its supervisor, is gone`;
}

function looksLikeRemains(path: string): boolean {
  const entries = listDirectory(path);
  return entries.length > 0 && entries.every((name) => RUN_DIRECTORY_ENTRIES.includes(name));
}
