import {
  closeSync,
  constants,
  existsSync,
  fstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { lockFile } from "linux";
import { AgentError } from "../core/errors.ts";

/** A process id and its newline; more in the file is not ours. */
const MAX_PID_DIGITS = 10;

/** Held until it is disposed of, or the process ends. */
export interface InstanceLock extends Disposable {
  /** Takes the file away, which stays otherwise. Whoever has it open meanwhile sees that it is another one then. */
  removeFile(): void;
}

/**
 * Makes this process the only agent that writes a subnet file, until it ends, however it ends: the kernel's lock goes with it.
 * The lock is on a file beside the subnet file, since that one is replaced whenever it is written.
 * @throws AgentError "already-running" naming the process, "file-unusable" where no file can be made
 * Source: flock(2)
 */
export function lockInstance(subnetFile: string): InstanceLock {
  const path = lockPath(subnetFile);
  for (;;) {
    const descriptor = openLocked(path, subnetFile);
    // A cleanup that held the lock while we opened the file has removed it: the next agent would lock another one.
    if (isFileAt(path, descriptor))
      return {
        removeFile: () => rmSync(path, { force: true }),
        [Symbol.dispose]: () => closeSync(descriptor),
      };
    closeSync(descriptor);
  }
}

/** The same for who leaves nothing behind: undefined where there is no directory, and so no agent. */
export function lockForCleanup(subnetFile: string): InstanceLock | undefined {
  return existsSync(dirname(subnetFile)) ? lockInstance(subnetFile) : undefined;
}

function lockPath(subnetFile: string): string {
  return join(dirname(subnetFile), `.${basename(subnetFile)}.lock`);
}

function isFileAt(path: string, descriptor: number): boolean {
  const found = statSync(path, { throwIfNoEntry: false });
  const own = fstatSync(descriptor);
  return found?.ino === own.ino && found.dev === own.dev;
}

/** An open file that is locked, with our process id in it. */
function openLocked(path: string, subnetFile: string): number {
  let descriptor: number;
  try {
    makeDirectory(dirname(path));
    // To be read only: what is open for writing keeps its file system from being made read-only. Node opens every file so that
    // programs the agent starts do not inherit it: they would keep the lock.
    descriptor = openSync(path, constants.O_RDONLY | constants.O_CREAT, 0o644);
  } catch (cause) {
    throw unusable(path, cause);
  }
  try {
    if (!lockFile(descriptor)) throw alreadyRunning(subnetFile, readFileSync(path, "utf8"));
    writeFileSync(path, `${process.pid}\n`);
  } catch (cause) {
    closeSync(descriptor);
    throw cause instanceof AgentError ? cause : unusable(path, cause);
  }
  return descriptor;
}

/** With its parents. Node's own way never ends where the kernel says ENOENT below a directory that is there, as /proc does. */
function makeDirectory(path: string): void {
  if (existsSync(path)) return;
  const parent = dirname(path);
  if (parent !== path) makeDirectory(parent);
  try {
    mkdirSync(path, { mode: 0o755 });
  } catch (error) {
    // Another agent was faster.
    if (!existsSync(path)) throw error;
  }
}

/** @param text of the lock file: empty between the lock and its owner's name in it */
function alreadyRunning(subnetFile: string, text: string): AgentError {
  const [, pid] = new RegExp(`^(\\d{1,${MAX_PID_DIGITS}})\\n$`).exec(text) ?? [];
  const who = pid === undefined ? "another flanneld" : `another flanneld, process ${pid},`;
  return new AgentError(
    "already-running",
    `${who} already serves ${subnetFile}: stop it first, or give this one its own -subnet-file and -etcd-prefix`,
  );
}

function unusable(path: string, cause: unknown): AgentError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new AgentError(
    "file-unusable",
    `cannot lock ${path}: ${reason}; make its directory writable for the agent, or choose another one with -subnet-file`,
    { cause },
  );
}
