import { LabError } from "../errors.ts";
import type { HostState } from "../lab.ts";
import type { Clock } from "../system/clock.ts";
import type { ExitStatus, RunningProcess } from "../system/processes.ts";

/** How an agent is started otherwise than it would be by itself. */
export interface AgentStart {
  /** Variables that it has besides. */
  readonly environment?: Readonly<Record<string, string>>;
  /** A program with its first arguments, which becomes the agent. */
  readonly behind?: readonly string[];
}

interface AgentOptions {
  readonly startProcess: (start: AgentStart) => Promise<RunningProcess>;
  readonly clock: Clock;
  readonly onStart: (pid: number) => void;
  readonly onExit: (status: ExitStatus) => void;
}

/**
 * The flanneld of one host: noticed when it ends, never restarted by itself.
 *
 *     stopped ──start──► running ──ends by itself──► exited
 *        ▲                  │                          │
 *        └──── killed by us ┘        start ◄───────────┘
 */
export class Agent {
  readonly #startProcess: AgentOptions["startProcess"];
  readonly #clock: Clock;
  readonly #onStart: (pid: number) => void;
  readonly #onExit: (status: ExitStatus) => void;
  #process: RunningProcess | undefined;
  #startedMs = 0;
  #stopping = false;
  #last: { readonly state: "exited" | "stopped"; readonly how: string } = {
    state: "stopped",
    how: "not started",
  };

  constructor(options: AgentOptions) {
    this.#startProcess = options.startProcess;
    this.#clock = options.clock;
    this.#onStart = options.onStart;
    this.#onExit = options.onExit;
  }

  get pid(): number | undefined {
    return this.#process?.pid;
  }

  get uptimeMs(): number {
    return Math.round(this.#clock.nowMs() - this.#startedMs);
  }

  /** How and by whom it ended; undefined while it runs. */
  get ended(): { readonly state: HostState; readonly how: string } | undefined {
    return this.#process === undefined ? this.#last : undefined;
  }

  /** @throws LabError "wrong-state" when it runs already, "command-failed" when it cannot be started */
  async start(start: AgentStart = {}): Promise<void> {
    if (this.#process !== undefined) {
      throw new LabError("wrong-state", `the agent runs already, process ${this.#process.pid}`);
    }
    this.#stopping = false;
    this.#startedMs = this.#clock.nowMs();
    const started = await this.#startProcess(start);
    this.#process = started;
    this.#onStart(started.pid);
    void started.exited.then((status) => {
      const { code, signal } = status;
      this.#process = undefined;
      this.#last = {
        state: this.#stopping ? "stopped" : "exited",
        how: signal ?? `code ${code}`,
      };
      this.#onExit(status);
    });
  }

  /** @throws LabError "wrong-state" when it does not run */
  signal(signal: NodeJS.Signals): void {
    this.#running().kill(signal);
  }

  /** Sends a signal and waits. False when it still runs after the time. */
  async end(signal: NodeJS.Signals, timeoutMs: number): Promise<boolean> {
    const running = this.#running();
    this.#stopping = true;
    running.kill(signal);
    const waiting = new AbortController();
    const ended = await Promise.race([
      running.exited.then(() => true),
      this.#clock.sleep(timeoutMs, waiting.signal).then(() => false),
    ]);
    waiting.abort();
    if (!ended) {
      this.#stopping = false;
    }
    return ended;
  }

  /** Ends it at once, if it runs. */
  async close(): Promise<void> {
    this.#stopping = true;
    this.#process?.kill("SIGKILL");
    await this.#process?.exited;
  }

  #running(): RunningProcess {
    if (this.#process === undefined) {
      throw new LabError("wrong-state", `the agent does not run (${this.#last.how})`);
    }
    return this.#process;
  }
}
