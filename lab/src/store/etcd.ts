import { type Anchor, openAnchor } from "../hosts/anchor.ts";
import { ANCHOR_SCRIPT, endpointBatch } from "../hosts/link-scripts.ts";
import { LabError } from "../errors.ts";
import { lastLines } from "../log-text.ts";
import { memberFiles, type MemberFiles } from "../run-directory.ts";
import { copyTree, makeDirectory, readText, removeTree } from "../system/files.ts";
import { type RunningProcess, SERVICE_ENVIRONMENT, startLogged } from "../system/processes.ts";
import { type EndpointPlan, STORE_PORT } from "../topology.ts";

const LOG_TAIL_LINES = 10;
const PEER_PORT = 2380;
/**
 * A single member elects itself after the election timeout: the default 1,000 ms would be a second of every `up`. Several
 * must hear each other in time, on a busy machine too.
 */
const SPEED_FLAGS_ALONE = ["--heartbeat-interval=10", "--election-timeout=100"];
const SPEED_FLAGS = ["--heartbeat-interval=50", "--election-timeout=500"];
/**
 * What it writes outlives its own death without a sync, and the machine's is none of the lab's faults. As a variable, since some that know the
 * flag do not tell of it, and those that do not know it take no notice. Source: etcd --help, Unsafe features; etcd's pkg/flags.
 */
const NO_FSYNC = { ETCD_UNSAFE_NO_FSYNC: "true" };
/** etcd before 3.5 refuses to start on these without being told. */
const ARCHITECTURE_OVERRIDE = { ETCD_UNSUPPORTED_ARCH: "arm64" };

/** What a member says of its ordinary life, line by line. */
const CHATTER = /^.*"level":"(?:debug|info)".*\n?/gm;

/** What the members of one cluster have in common. */
interface ClusterPlan {
  readonly plans: readonly EndpointPlan[];
  readonly runDirectory: string;
  /** Whether each request that a member answers is a line of its log. */
  readonly logsRequests: boolean;
}

/** One member of the store: a real etcd in namespaces of its own. */
export class Etcd {
  readonly anchor: Anchor;
  readonly name: string;
  readonly endpoint: string;
  readonly #files: MemberFiles;
  readonly #cluster: ClusterPlan;
  /** The other members are out of its reach: it answers, and what it says may be of yesterday. */
  isIsolated = false;
  #process: RunningProcess | undefined;
  #isPaused = false;
  #ended: string | undefined;

  private constructor(
    anchor: Anchor,
    plan: EndpointPlan,
    cluster: ClusterPlan,
    files: MemberFiles,
  ) {
    this.anchor = anchor;
    this.name = plan.name;
    this.endpoint = `http://${addressOf(plan)}:${STORE_PORT}`;
    this.#cluster = cluster;
    this.#files = files;
  }

  /** Makes the namespaces and the link of one of the members of a cluster; the link is not plugged in. */
  static async open(plan: EndpointPlan, cluster: ClusterPlan): Promise<Etcd> {
    const files = memberFiles(cluster.runDirectory, plan.name);
    makeDirectory(files.run);
    const anchor = await openAnchor(ANCHOR_SCRIPT, [plan.name, files.run, endpointBatch(plan)]);
    return new Etcd(anchor, plan, cluster, files);
  }

  /** With the data that it has, or none. Says nothing of whether it is healthy. */
  async start(): Promise<void> {
    const started = await startLogged(this.anchor.enter(this.#commandLine()), {
      logFile: this.#files.log,
      // It would have a machine of its own: what fifty agents that start leave of two cores is not enough for an answer in seconds.
      comesFirst: true,
      environment: {
        ...SERVICE_ENVIRONMENT,
        ...NO_FSYNC,
        ...(process.arch === "arm64" ? ARCHITECTURE_OVERRIDE : {}),
      },
    });
    this.#process = started;
    this.#ended = undefined;
    this.#isPaused = false;
    void started.exited.then(({ code, signal: by }) => {
      this.#ended = by ?? `code ${code}`;
      this.#process = undefined;
    });
  }

  /** Undefined while it does not run. */
  get pid(): number | undefined {
    return this.#process?.pid;
  }

  /** Whether it runs and was not paused: who asks it has an answer soon. */
  get answers(): boolean {
    return this.#process !== undefined && !this.#isPaused;
  }

  /** How it ended by itself, with the end of its log; undefined while it runs. */
  get trouble(): LabError | undefined {
    return this.#ended === undefined ? undefined : this.complaint(`ended with ${this.#ended}`);
  }

  /** What it did, with the end of its log. */
  complaint(what: string): LabError {
    const troubles = (readText(this.#files.log) ?? "").replaceAll(CHATTER, "");
    const evidence = lastLines(troubles, LOG_TAIL_LINES);
    return new LabError("lab-broke", `${this.name} ${what}`, { evidence });
  }

  /** SIGSTOP until SIGCONT. Nothing happens while it does not run. */
  pause(): void {
    this.#isPaused = true;
    this.#process?.kill("SIGSTOP");
  }

  continue(): void {
    this.#isPaused = false;
    this.#process?.kill("SIGCONT");
  }

  /** Ends it at once; `start` starts it again with the same data. */
  async stop(): Promise<void> {
    const running = this.#process;
    running?.kill("SIGKILL");
    await running?.exited;
  }

  /** Of a member that does not run. */
  backUp(): void {
    removeTree(this.#files.backup);
    copyTree(this.#files.data, this.#files.backup);
  }

  /** Of a member that does not run: its data are those of the last `backUp`. */
  restore(): void {
    removeTree(this.#files.data);
    copyTree(this.#files.backup, this.#files.data);
  }

  /** Flags that etcd 3.4 and later know. */
  #commandLine(): string[] {
    const { plans, logsRequests } = this.#cluster;
    const isAlone = plans.length === 1;
    const peers = plans.map((plan) => `${plan.name}=${peerUrl(plan, isAlone)}`);
    const own = peers.find((peer) => peer.startsWith(`${this.name}=`))?.split("=")[1] ?? "";
    return [
      "etcd",
      `--name=${this.name}`,
      `--data-dir=${this.#files.data}`,
      `--listen-client-urls=${this.endpoint}`,
      `--advertise-client-urls=${this.endpoint}`,
      `--listen-peer-urls=${own}`,
      `--initial-advertise-peer-urls=${own}`,
      `--initial-cluster=${peers.join(",")}`,
      // Passwords are hashed once for each member and each log-in: the default takes 60 ms.
      "--bcrypt-cost=4",
      "--logger=zap",
      `--log-level=${logsRequests ? "debug" : "error"}`,
      ...(isAlone ? SPEED_FLAGS_ALONE : SPEED_FLAGS),
    ];
  }
}

/** One that is alone needs no network for it. */
function peerUrl(plan: EndpointPlan, isAlone: boolean): string {
  return `http://${isAlone ? "127.0.0.1" : addressOf(plan)}:${PEER_PORT}`;
}

function addressOf({ addresses }: EndpointPlan): string {
  return addresses.find(({ family }) => family === "ipv4")?.address ?? "";
}
