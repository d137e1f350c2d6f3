import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** For tests of the lab's command line: runs it as a user does, in a place of its own. */
export const MAIN: string = fileURLToPath(new URL("../main.mjs", import.meta.url));
/** A command line for `--flanneld`: the small agent that needs nothing of this repository's. */
export const ROUTE_AGENT: string = [
  process.execPath,
  fileURLToPath(new URL("../fixtures/route-agent.ts", import.meta.url)),
]
  .map((word) => `'${word}'`)
  .join(" ");

export interface CommandOutcome {
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A directory for labs, with the command line bound to it. */
export class Workplace {
  /** TWILL_LAB_DIR of everything run here: also marks every process that a lab here starts. */
  readonly labs: string;
  /** TMPDIR and HOME of everything run here. */
  readonly scratch: string;
  readonly #root: string;

  constructor(depth: string = "") {
    this.#root = mkdtempSync(join(tmpdir(), "lab-test-"));
    this.labs = join(this.#root, depth, "labs");
    this.scratch = join(this.#root, "scratch");
    mkdirSync(this.scratch);
  }

  get environment(): NodeJS.ProcessEnv {
    return { ...process.env, TWILL_LAB_DIR: this.labs, TMPDIR: this.scratch, HOME: this.scratch };
  }

  /** Starts `lab ARGV`, with more or other environment variables when the first word is some. */
  start(...words: readonly [NodeJS.ProcessEnv, ...string[]] | readonly string[]): ChildProcess {
    const [first, ...rest] = words;
    const [extra, argv] = typeof first === "object" ? [first, rest] : [{}, words];
    return spawn(process.execPath, [MAIN, ...argv.map(String)], {
      env: { ...this.environment, ...extra },
      stdio: ["ignore", "pipe", "pipe"],
    });
  }

  /** Runs `lab ARGV` to its end. */
  run(...argv: readonly string[]): Promise<CommandOutcome> {
    return outcomeOf(this.start(...argv));
  }

  [Symbol.dispose](): void {
    rmSync(this.#root, { recursive: true });
  }
}

/** What a process said, and its exit code. */
export async function outcomeOf(child: ChildProcess): Promise<CommandOutcome> {
  let stdout = "";
  let stderr = "";
  child.stdout?.on("data", (chunk: Buffer) => {
    stdout += chunk.toString("utf8");
  });
  child.stderr?.on("data", (chunk: Buffer) => {
    stderr += chunk.toString("utf8");
  });
  const [exitCode] = (await once(child, "close")) as [number | null];
  return { exitCode, stdout, stderr };
}
