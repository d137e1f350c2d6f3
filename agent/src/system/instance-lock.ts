import {
  closeSync,
  constants,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  writeFileSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { lockFile } from "linux";
import { AgentError } from "../core/errors.ts";

/** A process id and its newline; more in the file is not ours. */
const MAX_PID_DIGITS = 10;

/**
 * Makes this process the only agent that writes a subnet file, until it ends, however it ends: the kernel's lock goes with it.
 * The lock is on a file beside the subnet file, since that one is replaced whenever it is written. It stays there: who removed it
 * could take the lock of the next one along.
 * @throws AgentError "already-running" naming the process, "file-unusable" where no file can be made
 * Source: flock(2)
 */
export function lockInstance(subnetFile: string): Disposable {
  const directory = dirname(subnetFile);
  const path = join(directory, `.${basename(subnetFile)}.lock`);
  let descriptor: number;
  try {
    makeDirectory(directory);
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
  return { [Symbol.dispose]: () => closeSync(descriptor) };
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
