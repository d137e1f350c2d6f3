import { formatAddress, formatCidr } from "../addresses.ts";
import { agentCommandOf } from "../agent-commands.ts";
import type { Chronicle } from "../chronicle.ts";
import { LabError } from "../errors.ts";
import type { HostStatus } from "../lab.ts";
import type { LabOptions } from "../options.ts";
import { hostFiles, type HostFiles } from "../run-directory.ts";
import { parseSubnetFile, type SubnetFile, subnetsOf } from "../subnet-file.ts";
import type { Clock } from "../system/clock.ts";
import { fileVersion, makeDirectory, readText, removeTree } from "../system/files.ts";
import { STORE_USER } from "../store/gateway.ts";
import { KernelWitness } from "../observe/kernel-witness.ts";
import { run } from "../system/processes.ts";
import {
  type EndpointAddress,
  EXTERNAL_INTERFACE,
  type HostPlan,
  storeEndpoints,
} from "../topology.ts";
import { Agent, type AgentStart } from "./agent.ts";
import { type Anchor, openAnchor } from "./anchor.ts";
import type { HostDriver, HostPlace } from "./host-driver.ts";
import {
  POD_ANCHOR_SCRIPT,
  podAddresses,
  podBatch,
  podBridgeBatch,
  podUnplugBatch,
} from "./link-scripts.ts";

/** How often subnet.env is looked at while the agent is to write it, and afterwards. */
const STARTING_POLL_MS = 20;
const READY_POLL_MS = 200;

/** Entering a host leads to its root; relative paths in `--flanneld` mean the caller's directory. */
const AT_DIRECTORY = 'cd "$0" && exec "$@"';

/** Is told what becomes of the hosts of a lab. */
export interface HostObserver {
  /** Before its agent is started. */
  hostOpened(host: LabHost): Promise<void>;
  /** Before anything of it is taken away: nothing that was opened in its namespaces may be left. */
  hostClosing(host: string): Promise<void>;
  hostReaddressed(host: LabHost): void;
  agentStarted(host: string, pid: number): void;
  agentEnded(host: string): void;
  podMade(pod: {
    readonly host: string;
    readonly pid: number;
    readonly ips: readonly string[];
  }): void;
  /** Before anything of it is taken away. */
  podGoing(host: string): void;
}

/** What a lab lends to its hosts. */
export interface HostDeps {
  readonly driver: HostDriver;
  readonly runDirectory: string;
  readonly options: LabOptions;
  readonly clock: Clock;
  readonly chronicle: Chronicle;
  readonly observer?: HostObserver;
}

interface Pod {
  readonly anchor: Anchor;
  readonly file: SubnetFile;
}

/** One host: the place it lives in, its agent, and the pod that follows what the agent says in subnet.env. */
export class LabHost {
  readonly anchor: Anchor;
  readonly files: HostFiles;
  #plan: HostPlan;
  #witness: Promise<KernelWitness> | undefined;
  readonly #agent: Agent;
  readonly #clock: Clock;
  readonly #observer: HostObserver | undefined;
  readonly #closing: AbortController = new AbortController();
  #wake: AbortController = new AbortController();
  #pod: Pod | undefined;
  /** Or parts of one. */
  #hadPod = false;
  /** The subnet.env that was there before the agent was started: not this agent's word. */
  #staleVersion: string | undefined;
  #seenVersion: string | undefined;
  #podTrouble: string | undefined;
  #following: Promise<void> = Promise.resolve();

  private constructor(
    plan: HostPlan,
    place: HostPlace,
    files: HostFiles,
    { options, clock, chronicle, observer }: HostDeps,
  ) {
    this.#plan = plan;
    this.anchor = place;
    this.files = files;
    this.#clock = clock;
    this.#observer = observer;
    this.#staleVersion = fileVersion(files.subnetFile);
    const argv = [
      "sh",
      "-c",
      AT_DIRECTORY,
      options.workingDirectory,
      ...agentCommandOf(options.agents, plan.name).argv,
      `--etcd-endpoints=${storeEndpoints(options.storeMembers).join(",")}`,
      `--iface=${EXTERNAL_INTERFACE}`,
      ...(options.storeAuth
        ? [`--etcd-username=${STORE_USER.name}`, `--etcd-password=${STORE_USER.password}`]
        : []),
    ];
    this.#agent = new Agent({
      startProcess: ({ environment = {}, behind = [] }) =>
        place.start([...behind, ...argv], environment),
      clock,
      onStart: (pid) => {
        chronicle.add({ type: "agent-started", host: plan.name, pid });
        observer?.agentStarted(plan.name, pid);
      },
      onExit: ({ code, signal }) => {
        chronicle.add({
          type: "agent-ended",
          host: plan.name,
          ...(code === undefined ? {} : { code }),
          ...(signal === undefined ? {} : { signal }),
        });
        observer?.agentEnded(plan.name);
        this.#wake.abort();
      },
    });
  }

  /** Makes the place it lives in and the link. The agent is not started; the link is not plugged in. */
  static async open(plan: HostPlan, deps: HostDeps): Promise<LabHost> {
    const files = hostFiles(deps.runDirectory, plan.name);
    makeDirectory(files.run);
    // Where a host of this name was before, this one is another machine.
    removeTree(files.state);
    makeDirectory(files.state);
    const place = await deps.driver.makePlace(plan, files);
    const host = new LabHost(plan, place, files, deps);
    await deps.observer?.hostOpened(host);
    host.#following = host.#follow();
    return host;
  }

  get name(): string {
    return this.#plan.name;
  }

  /** Where it is in the topology, with the addresses that it has now. */
  get plan(): HostPlan {
    return this.#plan;
  }

  /** Says that the external interface has other addresses now. */
  readdress(addresses: readonly EndpointAddress[]): void {
    this.#plan = { ...this.#plan, addresses };
    this.#observer?.hostReaddressed(this);
  }

  /** What the host's kernel says of its changes, from the first call on. */
  witness(): Promise<KernelWitness> {
    this.#witness ??= KernelWitness.open(this.anchor.pid, this.#clock);
    return this.#witness;
  }

  get agent(): Agent {
    return this.#agent;
  }

  get podAnchor(): Anchor | undefined {
    return this.#pod?.anchor;
  }

  /** The pod's addresses, one per family; empty while there is no pod. */
  get podIps(): string[] {
    return this.#pod === undefined
      ? []
      : podAddresses(this.#pod.file).map(({ address }) => formatAddress(address));
  }

  /** The leased subnets as the pod has them. */
  get subnets(): string[] {
    return this.#pod === undefined ? [] : subnetsOf(this.#pod.file);
  }

  /** Why the pod could not be made, if so. */
  get podTrouble(): string | undefined {
    return this.#podTrouble;
  }

  async startAgent(start: AgentStart = {}): Promise<void> {
    this.#staleVersion = fileVersion(this.files.subnetFile);
    this.#seenVersion = undefined;
    await this.#agent.start(start);
    this.#wake.abort();
  }

  get state(): HostStatus["state"] {
    return this.#agent.ended?.state ?? (this.#isReady() ? "ready" : "starting");
  }

  status(): Omit<HostStatus, "peers"> {
    const { ended, pid, uptimeMs } = this.#agent;
    const pod = this.#pod;
    return {
      name: this.name,
      segment: this.plan.segment,
      publicIps: this.plan.addresses.map(({ address }) => address),
      subnets: this.subnets,
      state: this.state,
      ...(ended === undefined ? { uptimeMs } : { exit: ended.how }),
      ...(pid === undefined ? {} : { agentPid: pid }),
      podIps: this.podIps,
      anchorPid: this.anchor.pid,
      ...(this.#podTrouble === undefined ? {} : { trouble: this.#podTrouble }),
      ...(pod === undefined ? {} : { mtu: pod.file.mtu, podAnchorPid: pod.anchor.pid }),
    };
  }

  /** Ends everything on the host at once. The link to the switch goes with its network namespace. */
  async close(): Promise<void> {
    this.#closing.abort();
    this.#wake.abort();
    await this.#observer?.hostClosing(this.name);
    await this.#agent.close();
    // Its socket keeps the network namespace, and with that the links, until it is closed.
    await (await this.#witness)?.close();
    await this.#following;
    await this.#pod?.anchor.close();
    await this.anchor.close();
  }

  #isReady(): boolean {
    return this.#pod !== undefined && this.#seenVersion !== undefined;
  }

  /** Looks at subnet.env until the host is closed, and keeps the pod as it says. */
  async #follow(): Promise<void> {
    while (!this.#closing.signal.aborted) {
      this.#wake = new AbortController();
      const version = fileVersion(this.files.subnetFile);
      if (
        version !== undefined &&
        version !== this.#staleVersion &&
        version !== this.#seenVersion
      ) {
        await this.#read(version);
      }
      const waiting = this.#agent.ended === undefined && !this.#isReady();
      await this.#clock.sleep(waiting ? STARTING_POLL_MS : READY_POLL_MS, this.#wake.signal);
    }
  }

  async #read(version: string): Promise<void> {
    const file = parseSubnetFile(readText(this.files.subnetFile) ?? "");
    if (file === undefined) {
      return;
    }
    const wanted = describe(file);
    if (this.#pod === undefined || describe(this.#pod.file) !== wanted) {
      try {
        await this.#makePod(file);
        this.#podTrouble = undefined;
      } catch (error) {
        if (!(error instanceof LabError)) {
          throw error;
        }
        this.#podTrouble = `no pod for ${wanted}: ${error.message}`;
        await this.#removePod();
      }
    }
    this.#seenVersion = version;
  }

  async #makePod(file: SubnetFile): Promise<void> {
    // A host that never had a pod has nothing of one.
    if (this.#hadPod) {
      await this.#removePod();
    }
    this.#hadPod = true;
    const script = [this.name, String(this.anchor.pid), podBridgeBatch(file), podBatch(file)];
    const anchor = await openAnchor(POD_ANCHOR_SCRIPT, script, this.anchor);
    this.#pod = { anchor, file };
    this.#observer?.podMade({ host: this.name, pid: anchor.pid, ips: this.podIps });
  }

  /** Takes away as much of a pod as there is: somebody may have removed its links by hand. */
  async #removePod(): Promise<void> {
    const pod = this.#pod;
    this.#pod = undefined;
    if (pod !== undefined) {
      this.#observer?.podGoing(this.name);
    }
    await run(this.anchor.enter(["ip", "-force", "-batch", "-"]), { input: podUnplugBatch() });
    await pod?.anchor.close();
  }
}

function describe(file: SubnetFile): string {
  return `${file.gateways.map(formatCidr).join(", ")} mtu ${file.mtu}`;
}
