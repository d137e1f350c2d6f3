import { type Anchor, openAnchor } from "../hosts/anchor.ts";
import { ANCHOR_SCRIPT, endpointBatch } from "../hosts/link-scripts.ts";
import { LabError } from "../errors.ts";
import { lastLines } from "../log-text.ts";
import { runFiles } from "../run-directory.ts";
import { type Clock, type Deadline, poll } from "../system/clock.ts";
import { makeDirectory, readText } from "../system/files.ts";
import { run, type RunningProcess, startLogged } from "../system/processes.ts";
import { join } from "node:path";
import { type EndpointPlan, STORE_ENDPOINT } from "../topology.ts";
import { EtcdGateway } from "./gateway.ts";

const HEALTH_POLL_MS = 10;
const LOG_TAIL_LINES = 10;
/** A single member elects itself after the election timeout: the default 1,000 ms would be a second of every `up`. */
const SPEED_FLAGS = ["--heartbeat-interval=10", "--election-timeout=100"];
/** etcd before 3.5 refuses to start on these without being told. */
const ARCHITECTURE_OVERRIDE = { ETCD_UNSUPPORTED_ARCH: "arm64" };

/** A real etcd in namespaces of its own. */
export class Etcd {
  readonly anchor: Anchor;
  readonly gateway: EtcdGateway = new EtcdGateway(STORE_ENDPOINT);
  readonly #runDirectory: string;
  #process: RunningProcess | undefined;

  private constructor(anchor: Anchor, runDirectory: string) {
    this.anchor = anchor;
    this.#runDirectory = runDirectory;
  }

  /** Makes the namespaces and the link; the link is not plugged in. */
  static async open(plan: EndpointPlan, runDirectory: string): Promise<Etcd> {
    const files = runFiles(runDirectory);
    const ownRun = join(files.storeDirectory, "run");
    makeDirectory(ownRun);
    const anchor = await openAnchor(ANCHOR_SCRIPT, [plan.name, ownRun, endpointBatch(plan)]);
    return new Etcd(anchor, runDirectory);
  }

  /** @throws LabError "lab-broke" with the end of etcd's log */
  async start(clock: Clock, deadline: Deadline, signal: AbortSignal): Promise<void> {
    const files = runFiles(this.#runDirectory);
    const started = await startLogged(this.anchor.enter(await commandLine(files.storeData)), {
      logFile: files.storeLog,
      environment: process.arch === "arm64" ? ARCHITECTURE_OVERRIDE : {},
    });
    this.#process = started;
    let ended: string | undefined;
    void started.exited.then(({ code, signal: by }) => {
      ended = by ?? `code ${code}`;
      this.#process = undefined;
    });
    const healthy = await poll(clock, { everyMs: HEALTH_POLL_MS, deadline, signal }, async () =>
      ended === undefined ? (await this.gateway.isHealthy()) || undefined : false,
    );
    if (healthy !== true) {
      const evidence = lastLines(readText(files.storeLog) ?? "", LOG_TAIL_LINES);
      const what = ended === undefined ? "does not answer in time" : `ended with ${ended}`;
      throw new LabError("lab-broke", `etcd ${what}`, { evidence });
    }
  }

  /** Undefined while it does not run. */
  get pid(): number | undefined {
    return this.#process?.pid;
  }

  /** Nothing happens while it does not run. */
  signal(signal: NodeJS.Signals): void {
    this.#process?.kill(signal);
  }

  /** Ends it at once; `start` starts it again with the same data. */
  async stop(): Promise<void> {
    const running = this.#process;
    running?.kill("SIGKILL");
    await running?.exited;
  }
}

/** Flags that etcd 3.4 and later know, and the one for speed that some know. */
async function commandLine(dataDirectory: string): Promise<string[]> {
  const { stdout, stderr } = await run(["etcd", "--help"]);
  const known = stdout + stderr;
  const noFsync = known.includes("unsafe-no-fsync") ? ["--unsafe-no-fsync"] : [];
  return [
    "etcd",
    "--name=lab",
    `--data-dir=${dataDirectory}`,
    `--listen-client-urls=${STORE_ENDPOINT}`,
    `--advertise-client-urls=${STORE_ENDPOINT}`,
    "--listen-peer-urls=http://127.0.0.1:2380",
    "--initial-advertise-peer-urls=http://127.0.0.1:2380",
    "--initial-cluster=lab=http://127.0.0.1:2380",
    "--logger=zap",
    "--log-level=error",
    ...SPEED_FLAGS,
    ...noFsync,
  ];
}
