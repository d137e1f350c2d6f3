import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { homedir } from "node:os";
import type { Readable } from "node:stream";
import { LabError } from "../errors.ts";
import { COMPILE_CACHE } from "./compile-cache.ts";
import { labsDirectory, SEARCH_PATH } from "./machine.ts";
import { runAsOthers, runFirst } from "./priority.ts";
import { RELEASE_WORD } from "./supervised.ts";

/** The only place of the lab that starts processes. */
export interface CommandResult {
  /** 128 + the signal's number when one ended the command, as a shell has it. */
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly input?: string;
  readonly timeoutMs?: number;
  /** When it aborts the command gets SIGINT, on which most programs end in good order; its result is returned. */
  readonly stopSignal?: AbortSignal;
}

export interface ExitStatus {
  /** Undefined when a signal ended the process. */
  readonly code: number | undefined;
  readonly signal: NodeJS.Signals | undefined;
}

/** A process that runs until it is ended. */
export interface RunningProcess {
  readonly pid: number;
  readonly exited: Promise<ExitStatus>;
  /** To the process and everything in its process group. Nothing happens when it is gone. */
  kill(signal: NodeJS.Signals): void;
}

/** Output beyond this is cut off, so that a chatty command cannot fill the supervisor's memory. */
const MAX_OUTPUT_BYTES = 8 * 1024 * 1024;
const SIGNAL_EXIT_BASE = 128;
const SIGNAL_NUMBERS: Readonly<Record<string, number>> = { SIGINT: 2, SIGKILL: 9, SIGTERM: 15 };
const GENERIC_FAILURE = 1;

/** What the lab's own processes and commands get: the caller's, and where programs and compiled code are. */
export const ENVIRONMENT: NodeJS.ProcessEnv = {
  ...process.env,
  ...COMPILE_CACHE,
  PATH: SEARCH_PATH,
};

/**
 * What agents and members of the store get, the same from any shell: they take settings out of variables (FLANNELD_…, ETCD_…,
 * NODE_OPTIONS), and a caller's secrets are no business of theirs. `TWILL_LAB_DIR` says whose a process is that was left over.
 */
export const SERVICE_ENVIRONMENT: NodeJS.ProcessEnv = {
  ...COMPILE_CACHE,
  HOME: homedir(),
  PATH: SEARCH_PATH,
  TWILL_LAB_DIR: labsDirectory(),
};

/**
 * Runs a command, in a process group of its own, to its end.
 * @throws LabError "command-failed" when it cannot be started or does not end in time
 */
export async function run(
  argv: readonly string[],
  options: RunOptions = {},
): Promise<CommandResult> {
  const child = startChild(argv, "pipe", { detached: true });
  const ended = exitOf(child, argv);
  child.stdin?.on("error", () => undefined); // The command may end without reading its input.
  child.stdin?.end(options.input ?? "");
  const output = Promise.all([collect(child.stdout), collect(child.stderr)]);
  const signalGroup = (signal: NodeJS.Signals): void => {
    if (child.pid !== undefined) {
      signalProcess(-child.pid, signal);
    }
  };
  const interrupt = (): void => {
    signalGroup("SIGINT");
  };
  options.stopSignal?.addEventListener("abort", interrupt, { once: true });
  const timeout =
    options.timeoutMs === undefined ? undefined : AbortSignal.timeout(options.timeoutMs);
  const end = (): void => {
    signalGroup("SIGKILL");
  };
  timeout?.addEventListener("abort", end, { once: true });
  if (options.stopSignal?.aborted === true) {
    interrupt();
  }
  try {
    const status = await ended;
    const [stdout, stderr] = await output;
    if (timeout?.aborted === true && status.signal === "SIGKILL") {
      throw new LabError(
        "command-failed",
        `${argv.join(" ")}: no end after ${options.timeoutMs} ms`,
      );
    }
    return { exitCode: exitCodeOfStatus(status), stdout, stderr };
  } finally {
    options.stopSignal?.removeEventListener("abort", interrupt);
    timeout?.removeEventListener("abort", end);
  }
}

/**
 * Runs a command whose success is needed.
 * @throws LabError "command-failed" with the first line the command said on stderr
 */
export async function runChecked(
  argv: readonly string[],
  options: RunOptions = {},
): Promise<string> {
  const { exitCode, stdout, stderr } = await run(argv, options);
  if (exitCode !== 0) {
    throw new LabError(
      "command-failed",
      `${argv.slice(0, 8).join(" ")}: ${firstLine(stderr) || `exit code ${exitCode}`}`,
    );
  }
  return stdout;
}

/**
 * Starts a process in a process group of its own that writes to the end of a file; `environment` is all that it gets, by default that of
 * the lab's own processes. One that `comesFirst` has the processor before others, as the supervisor does.
 * @throws LabError "command-failed" when it cannot be started
 */
export async function startLogged(
  argv: readonly string[],
  options: {
    readonly logFile: string;
    readonly environment?: NodeJS.ProcessEnv;
    readonly comesFirst?: boolean;
  },
): Promise<RunningProcess> {
  const log = openSync(options.logFile, "a");
  try {
    const child = startChild(argv, ["ignore", log, log], { ...options, detached: true });
    if (options.comesFirst === true && child.pid !== undefined) {
      runFirst(child.pid);
    }
    return await running(child, argv);
  } finally {
    closeSync(log);
  }
}

/**
 * Starts a process in a group of its own that says `ready` on a line of stdout once it has done its set-up.
 * @throws LabError "command-failed" with what it said on stderr when it ends before
 */
export async function startAnnounced(argv: readonly string[]): Promise<RunningProcess> {
  const child = startChild(argv, ["ignore", "pipe", "pipe"], { detached: true });
  const started = await running(child, argv);
  const complaints = collect(child.stderr);
  const announced = await saysReady(child.stdout);
  if (announced) {
    child.stdout?.destroy();
    child.stderr?.destroy();
    return started;
  }
  await started.exited;
  throw new LabError(
    "command-failed",
    `${argv.slice(0, 3).join(" ")}: ${firstLine(await complaints)}`,
  );
}

/** A detached process with the lab's supervisor in it: it lives on when the caller ends, once it has said `ready`. */
export interface DetachedProcess {
  readonly pid: number;
  readonly exited: Promise<ExitStatus>;
  /** Whether the process said `ready` on its stdout; false when it ended before. */
  readonly ready: Promise<boolean>;
  /** Lets it live on without its caller, and the caller's process end before it. */
  release(): void;
}

/** Starts a process in a session of its own; its stdin stays open until `release`, so that it sees its caller die. */
export async function startDetached(
  argv: readonly string[],
  options: { readonly logFile: string },
): Promise<DetachedProcess> {
  const log = openSync(options.logFile, "a");
  try {
    const child = startChild(argv, ["pipe", "pipe", log], { detached: true });
    const { pid, exited } = await running(child, argv);
    child.stdin?.on("error", () => undefined); // It ended; `exited` tells.
    const ready = saysReady(child.stdout);
    return {
      pid,
      exited,
      ready,
      release: () => {
        child.stdin?.end(RELEASE_WORD);
        child.stdout?.destroy();
        child.unref();
      },
    };
  } finally {
    closeSync(log);
  }
}

/**
 * Runs a command with the caller's own terminal and returns its exit code. A quiet one's stdout goes to our stderr, and
 * it reads nothing.
 */
export async function runAttached(
  argv: readonly string[],
  options: { readonly quiet?: boolean } = {},
): Promise<number> {
  const child = startChild(argv, options.quiet === true ? ["ignore", 2, 2] : "inherit");
  const ignore = (): void => undefined;
  // A Ctrl-C is for the command, which shares the terminal; we end when it does.
  process.on("SIGINT", ignore);
  try {
    return exitCodeOfStatus(await exitOf(child, argv));
  } finally {
    process.off("SIGINT", ignore);
  }
}

/** Sends a signal to a process by its id. False when there is no such process. */
export function signalProcess(pid: number, signal: NodeJS.Signals | 0): boolean {
  try {
    process.kill(pid, signal);
    return true;
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ESRCH") {
      return false;
    }
    throw new LabError(
      "command-failed",
      `cannot send ${signal} to process ${pid}: ${String(error)}`,
      { cause: error },
    );
  }
}

type Stdio = "pipe" | "inherit" | ["pipe" | "ignore", number | "pipe", number | "pipe"];

function startChild(
  argv: readonly string[],
  stdio: Stdio,
  options: { readonly environment?: NodeJS.ProcessEnv; readonly detached?: boolean } = {},
): ChildProcess {
  const [command = "", ...rest] = argv;
  const { detached = false } = options;
  const child = spawn(command, rest, { stdio, detached, env: options.environment ?? ENVIRONMENT });
  if (detached && child.pid !== undefined) {
    runAsOthers(child.pid); // The supervisor runs before others, and what it starts would, too.
  }
  return child;
}

async function running(child: ChildProcess, argv: readonly string[]): Promise<RunningProcess> {
  const exited = exitOf(child, argv);
  const { pid } = child;
  if (pid === undefined) {
    await exited; // Rejects: the start failed.
    throw new LabError("lab-broke", `${argv.join(" ")}: started without a process id`);
  }
  return {
    pid,
    exited,
    kill: (signal) => {
      signalProcess(-pid, signal);
    },
  };
}

function exitOf(child: ChildProcess, argv: readonly string[]): Promise<ExitStatus> {
  return new Promise((resolve, reject) => {
    child.once("error", (error) => {
      reject(
        new LabError("command-failed", `cannot start ${argv[0]}: ${error.message}`, {
          cause: error,
        }),
      );
    });
    child.once("exit", (code, signal) => {
      resolve({ code: code ?? undefined, signal: signal ?? undefined });
    });
  });
}

/** Everything a stream says until it closes, whoever closes it. */
function collect(stream: Readable | null): Promise<string> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    let bytes = 0;
    stream?.on("data", (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes <= MAX_OUTPUT_BYTES) {
        chunks.push(chunk);
      }
    });
    stream?.once("close", () => {
      resolve(Buffer.concat(chunks).toString("utf8"));
    });
  });
}

function saysReady(stream: Readable | null): Promise<boolean> {
  return new Promise((resolve) => {
    let text = "";
    stream?.on("data", (chunk: Buffer) => {
      text += chunk.toString("utf8");
      if (/^ready$/m.test(text)) {
        resolve(true);
      }
    });
    stream?.once("close", () => {
      resolve(false);
    });
  });
}

function exitCodeOfStatus({ code, signal }: ExitStatus): number {
  if (code !== undefined) {
    return code;
  }
  const number = SIGNAL_NUMBERS[signal ?? ""];
  return number === undefined ? GENERIC_FAILURE : SIGNAL_EXIT_BASE + number;
}

function firstLine(text: string): string {
  return text.trim().split("\n", 1)[0] ?? "";
}
