import { spawn } from "node:child_process";
import { AgentError } from "../core/errors.ts";
import type { Command, CommandResult } from "./command.ts";

/** A firewall program that waits for its lock waits less. */
const TIME_LIMIT_MS = 20_000;
/** A hundred times what kube-proxy writes for a thousand services. */
const OUTPUT_LIMIT_BYTES = 64 << 20;

export interface NodeCommandOptions {
  /** Kills what still runs when it aborts: what it does is done whole or not at all. */
  readonly signal: AbortSignal;
  /** Words in front of each command: `nsenter` and where to, in tests. */
  readonly wrapper?: readonly string[];
  /** Beside the process's own, in tests. */
  readonly environment?: Readonly<Record<string, string>>;
}

/** The machine's programs. */
export class NodeCommand implements Command {
  readonly #wrapper: readonly string[];
  readonly #signal: AbortSignal;
  readonly #environment: Readonly<Record<string, string | undefined>>;

  constructor({ signal, wrapper = [], environment = {} }: NodeCommandOptions) {
    this.#signal = signal;
    this.#wrapper = wrapper;
    // Programs translate what they say by LC_ALL. Read once: reading the environment costs more than the rest.
    this.#environment = { ...process.env, ...environment, LC_ALL: "C" };
  }

  run(argv: readonly string[], input?: string): Promise<CommandResult> {
    const [program = "", ...words] = [...this.#wrapper, ...argv];
    const said = argv.join(" ");
    return new Promise((resolve, reject) => {
      const child = spawn(program, words, {
        stdio: [input === undefined ? "ignore" : "pipe", "pipe", "pipe"],
        timeout: TIME_LIMIT_MS,
        killSignal: "SIGKILL",
        signal: this.#signal,
        env: this.#environment,
      });
      const stdout = new Output(() => child.kill("SIGKILL"));
      const stderr = new Output(() => child.kill("SIGKILL"));
      child.stdout?.on("data", (bytes: Buffer) => stdout.add(bytes));
      child.stderr?.on("data", (bytes: Buffer) => stderr.add(bytes));
      // A program that ends before it has read everything says why by its exit code.
      child.stdin?.on("error", () => undefined);
      child.on("error", (error) => reject(unusable(argv, error)));
      child.on("close", (exitCode, signal) => {
        if (exitCode !== null) resolve({ exitCode, stdout: stdout.text(), stderr: stderr.text() });
        else
          reject(
            new AgentError(
              "command-failed",
              `${said}: killed by ${signal}: it took more than ${TIME_LIMIT_MS / 1_000} s or said too much`,
              { retryable: true },
            ),
          );
      });
      child.stdin?.end(input);
    });
  }
}

class Output {
  readonly #parts: Buffer[] = [];
  readonly #tooMuch: () => void;
  #bytes = 0;

  constructor(tooMuch: () => void) {
    this.#tooMuch = tooMuch;
  }

  add(bytes: Buffer): void {
    this.#bytes += bytes.length;
    if (this.#bytes > OUTPUT_LIMIT_BYTES) this.#tooMuch();
    else this.#parts.push(bytes);
  }

  text(): string {
    return Buffer.concat(this.#parts).toString("utf8");
  }
}

function unusable([program = "", ...words]: readonly string[], cause: Error): AgentError {
  const isMissing = "code" in cause && cause.code === "ENOENT";
  const message = isMissing
    ? `there is no program ${program} in PATH`
    : `cannot run ${[program, ...words].join(" ")}: ${cause.message}`;
  return new AgentError(isMissing ? "program-missing" : "command-failed", message, {
    retryable: true,
    cause,
  });
}
