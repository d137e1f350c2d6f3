import { basename, dirname } from "node:path";
import { connectLab, type LabConnection } from "./client.ts";
import { LabError } from "./errors.ts";
import { DRIVERS } from "./hosts/registry.ts";
import type { CallOptions, Lab, UpReport } from "./lab.ts";
import { lastLines } from "./log-text.ts";
import type { LabOptions } from "./options.ts";
import { buildOwnAgent } from "./own-agent.ts";
import { ownSupervisor } from "./own-supervisor.ts";
import { runFiles } from "./run-directory.ts";
import { isAlive, type LabState, readState, writeState } from "./state.ts";
import { type Clock, deadlineIn, poll, systemClock } from "./system/clock.ts";
import {
  fileExists,
  makeSiblingDirectory,
  moveDirectory,
  readText,
  removeEmptyDirectory,
  removeTree,
} from "./system/files.ts";
import { isRoot, ownProcessId } from "./system/machine.ts";
import {
  childrenOf,
  identifyProcess,
  isSameProcess,
  type ProcessIdentity,
} from "./system/process-table.ts";
import { type DetachedProcess, signalProcess, startDetached } from "./system/processes.ts";

/** PID 1 of the lab: starts the supervisor, collects orphans, and ends with the supervisor. */
const INIT_SCRIPT = 'exec 3<&0; "$@" <&3 3<&- & exec 3<&-; wait $!';
const NAMESPACES = ["--fork", "--kill-child", "--pid", "--mount", "--net", "--uts"];
const USER_NAMESPACE = ["--user", "--map-root-user"];
const PRIVATE_MOUNTS = ["--mount-proc", "--propagation", "private"];
const END_TIMEOUT_MS = 10_000;
const END_POLL_MS = 2;
const LOG_TAIL_LINES = 15;

/** A lab that runs beside us. */
export interface LaunchedLab {
  readonly lab: Lab;
  readonly runDirectory: string;
  readonly report: UpReport;
  /** Lets go of the lab and leaves it running. */
  release(): void;
  /** Ends the lab and removes its run directory, unless it is to be kept. */
  down(options?: { readonly keep?: boolean }): Promise<void>;
}

export interface LaunchOptions extends CallOptions {
  /** Leave a lab that did not come up running, to be looked at. */
  readonly keepOnFail?: boolean;
}

/**
 * Starts a supervisor in namespaces of its own and brings the lab up. When that fails, or the signal aborts, nothing
 * of it is left.
 * @throws LabError "already-running", "command-failed" where our own agent or the supervisor cannot be bundled, or whatever kept the lab from coming up
 */
export async function launchLab(
  options: LabOptions,
  runDirectory: string,
  call: LaunchOptions = {},
): Promise<LaunchedLab> {
  const { others, named } = options.agents;
  for (const { argv } of [others, ...named]) {
    await buildOwnAgent(argv);
  }
  const supervisor = await ownSupervisor();
  const state = await claimRunDirectory(options, runDirectory);
  let child: DetachedProcess | undefined;
  try {
    child = await startSupervisor(supervisor, runDirectory);
    const connection = await connectSupervisor(child, state, runDirectory, call.signal);
    const report = await bringUp(connection, runDirectory, call);
    const release = (): void => {
      connection.close();
      child?.release();
    };
    return {
      lab: connection.lab,
      runDirectory,
      report,
      release,
      down: async (downOptions) => {
        release();
        await endLab(runDirectory, downOptions);
      },
    };
  } catch (error) {
    if (
      call.keepOnFail === true &&
      call.signal?.aborted !== true &&
      readState(runDirectory)?.lab !== undefined
    ) {
      child?.release();
      throw error;
    }
    if (child !== undefined) {
      signalProcess(child.pid, "SIGKILL");
      await child.exited;
    }
    await endLab(runDirectory);
    throw call.signal?.aborted === true
      ? new LabError("interrupted", "interrupted: the lab is taken down", { cause: error })
      : error;
  }
}

async function bringUp(
  connection: LabConnection,
  runDirectory: string,
  call: CallOptions,
): Promise<UpReport> {
  try {
    return await unlessAborted(connection.lab.up({}, call), call.signal);
  } catch (error) {
    connection.close();
    throw error instanceof LabError && error.code === "not-running"
      ? supervisorBroke("the lab's supervisor ended", runDirectory)
      : error;
  }
}

function supervisorBroke(message: string, runDirectory: string): LabError {
  const log = readText(runFiles(runDirectory).supervisorLog) ?? "";
  return new LabError("lab-broke", message, { evidence: lastLines(log, LOG_TAIL_LINES) });
}

/**
 * Ends the lab of a run directory and removes the directory. Needs no help from the supervisor.
 * @returns false when there was no lab, not even what is left of one
 */
export async function endLab(
  runDirectory: string,
  options: { readonly keep?: boolean } = {},
): Promise<boolean> {
  if (!fileExists(runDirectory)) {
    return false;
  }
  const state = readState(runDirectory);
  if (state?.lab !== undefined) {
    await endProcess(state.lab.init, systemClock);
    await endProcess(state.lab.unshare, systemClock);
  }
  if (state !== undefined) {
    await sweep(state);
  }
  if (options.keep !== true) {
    removeTree(runDirectory);
    removeEmptyDirectory(dirname(runDirectory));
  }
  return true;
}

/** What of a lab is neither in its namespaces nor in its run directory. */
function sweep({ id, options }: LabState): Promise<void> {
  return DRIVERS[options.driver].sweep(id);
}

async function endProcess(identity: ProcessIdentity, clock: Clock): Promise<void> {
  if (!isSameProcess(identity)) {
    return;
  }
  signalProcess(identity.pid, "SIGKILL");
  const deadline = deadlineIn(clock, END_TIMEOUT_MS);
  const gone = await poll(clock, { everyMs: END_POLL_MS, deadline }, () =>
    isSameProcess(identity) ? undefined : true,
  );
  if (gone !== true) {
    throw new LabError("lab-broke", `process ${identity.pid} does not end after SIGKILL`);
  }
}

/** The directory appears whole, with lab.json in it, or not at all: two that want it cannot both get it. */
async function claimRunDirectory(options: LabOptions, runDirectory: string): Promise<LabState> {
  const maker = identifyProcess(ownProcessId());
  if (maker === undefined) {
    throw new LabError("lab-broke", "cannot read /proc/self/stat: is /proc mounted?");
  }
  const draft = makeSiblingDirectory(runDirectory);
  try {
    const state: LabState = {
      id: basename(draft).slice(-6),
      options,
      createdAt: systemClock.isoTime(),
      maker,
    };
    writeState(draft, state);
    if (!moveDirectory(draft, runDirectory)) {
      const other = readState(runDirectory);
      if (other !== undefined && isAlive(other)) {
        throw new LabError(
          "already-running",
          `lab "${options.name}" is running already in ${runDirectory}: "lab down" ends it, --name makes another`,
        );
      }
      await discardStale(runDirectory, other);
      if (!moveDirectory(draft, runDirectory)) {
        throw new LabError("already-running", `somebody else makes lab "${options.name}" just now`);
      }
    }
    return state;
  } catch (error) {
    removeTree(draft);
    throw error;
  }
}

/** What is left of a lab whose processes are gone. A directory that no lab made is not ours to remove. */
async function discardStale(runDirectory: string, stale: LabState | undefined): Promise<void> {
  if (!fileExists(runFiles(runDirectory).state)) {
    throw new LabError("wrong-state", `${runDirectory} is in the way and was not made by the lab`);
  }
  if (stale !== undefined) {
    await sweep(stale);
  }
  const rubbish = makeSiblingDirectory(runDirectory);
  moveDirectory(runDirectory, rubbish);
  removeTree(rubbish);
}

function startSupervisor(
  supervisor: readonly string[],
  runDirectory: string,
): Promise<DetachedProcess> {
  const argv = [
    "unshare",
    ...NAMESPACES,
    ...(isRoot() ? [] : USER_NAMESPACE),
    ...PRIVATE_MOUNTS,
    "sh",
    "-c",
    INIT_SCRIPT,
    "lab-init",
    ...supervisor,
    runDirectory,
  ];
  return startDetached(argv, { logFile: runFiles(runDirectory).supervisorLog });
}

/** Waits for the supervisor, notes its processes in lab.json, and connects. */
async function connectSupervisor(
  child: DetachedProcess,
  state: LabState,
  runDirectory: string,
  signal: AbortSignal | undefined,
): Promise<LabConnection> {
  const ready = await unlessAborted(child.ready, signal);
  const unshare = identifyProcess(child.pid);
  const init = identifyProcess(childrenOf(child.pid)[0] ?? 0);
  const supervisor = identifyProcess(childrenOf(init?.pid ?? 0)[0] ?? 0);
  if (!ready || unshare === undefined || init === undefined || supervisor === undefined) {
    throw supervisorBroke("the lab's supervisor did not start", runDirectory);
  }
  writeState(runDirectory, {
    ...state,
    lab: { unshare, init, supervisor, usesUserNamespace: !isRoot() },
  });
  return connectLab(runDirectory);
}

/** The result of the work, or the signal's reason as soon as it aborts: a caller that gives up does not wait. */
async function unlessAborted<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) {
    return work;
  }
  const ended = new AbortController();
  try {
    return await Promise.race([
      work,
      new Promise<never>((_resolve, reject) => {
        const refuse = (): void => {
          reject(new LabError("interrupted", "interrupted"));
        };
        if (signal.aborted) {
          refuse();
        }
        signal.addEventListener("abort", refuse, { once: true, signal: ended.signal });
      }),
    ]);
  } finally {
    ended.abort();
  }
}
