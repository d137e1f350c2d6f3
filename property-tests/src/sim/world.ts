/**
 * The simulated world: whole agents (`runDaemon` itself) over one etcd in memory, kernels and files in memory, virtual time, one
 * seed, one thread. Everything that happens is a function of the options and of the calls made to it.
 */
import { createHash } from "node:crypto";
import type { Cidr, Ip } from "agent/core/ip.ts";
import { MemoryKernel } from "agent/kernel/memory-kernel.ts";
import { MemoryDatabase, type MemorySnapshot } from "agent/subnet-manager/etcd/memory-database.ts";
import { MemoryMember } from "agent/subnet-manager/etcd/memory-member.ts";
import { MemoryFiles } from "agent/system/memory-files.ts";
import { SeededRandom } from "agent/system/seeded-random.ts";
import {
  type AgentProcess,
  CONFIG_KEY,
  type Observer,
  type SimNode,
  type World,
  type WorldOptions,
} from "./actors.ts";
import { AgentLife } from "./agent-process.ts";
import { type Arrival, Uplink } from "./sim-store.ts";
import { type ClockErrors, SimTime, TrueClock } from "./sim-time.ts";
import { type Addresses, Attachment } from "./underlay.ts";

/** How long a supervisor waits before it starts an agent again that ended by itself: twice as long each time, until one had a lease. */
const RESTART_MS_MIN = 5_000;
const RESTART_MS_MAX = 80_000;
/** Of the external interface at first, in bytes: Ethernet's. */
const INTERFACE_MTU = 1500;
/** Lines of the trace kept for a report. */
const TRACE_LINES = 400;

export type { SimNode } from "./actors.ts";

export class SimWorld implements World {
  readonly options: WorldOptions;
  readonly time: SimTime = new SimTime();
  readonly clock: TrueClock = new TrueClock(this.time);
  readonly database: MemoryDatabase = new MemoryDatabase(this.clock);
  /** The members that nodes talk to; none where everybody talks to the leader. */
  readonly members: readonly MemoryMember[];
  readonly random: SeededRandom;
  readonly nodes: readonly Machine[];
  /** The last lines of what happened. */
  readonly trace: string[] = [];
  /** Set before the first agent starts. */
  observer: Observer;
  /** The process whose request the store is carrying out. */
  #acting: AgentProcess | undefined;
  #processes = 0;
  readonly #hash = createHash("sha256");

  constructor(options: WorldOptions, observerOf: (world: SimWorld) => Observer) {
    this.options = options;
    this.random = new SeededRandom(options.seed);
    const members = options.members > 1 ? options.members : 0;
    this.members = Array.from(
      { length: members },
      () => new MemoryMember(this.database, this.clock),
    );
    this.nodes = Array.from({ length: options.nodes }, (_, index) => new Machine(this, index));
    this.observer = observerOf(this);
    this.database.onChange(() => this.observer.changed(this.#acting));
  }

  arriving(process: AgentProcess, arrival: Arrival): (result: unknown) => void {
    const done = this.observer.arriving(process, arrival);
    this.#acting = process;
    return (result) => {
      this.#acting = undefined;
      done(result);
    };
  }

  nextProcess(): number {
    return ++this.#processes;
  }

  /** Adds a line to what happened: it is hashed, and the last ones are kept. */
  note(text: string): void {
    const line = `${this.time.nowMs.toFixed(3)} ${text}`;
    this.#hash.update(line).update("\n");
    this.trace.push(line);
    if (this.trace.length > 2 * TRACE_LINES) this.trace.splice(0, TRACE_LINES);
  }

  /** The same for the same seed and options (invariant F4). */
  traceHash(): string {
    return this.#hash.copy().digest("hex");
  }

  /** The operator writes the network configuration. */
  configure(text: string): void {
    this.database.put(CONFIG_KEY, text);
  }

  /** The store's servers start again from a backup: every connection ends. */
  restore(
    backup: ReadonlyMap<string, string> | MemorySnapshot,
    options: { readonly sameCluster: boolean },
  ): void {
    if ("replica" in backup) this.database.restoreSnapshot(backup, options);
    else this.database.restore(backup, options);
    for (const node of this.nodes) node.uplink.reset();
  }

  /** Ends everything, so that nothing of this world is left waiting. */
  close(): void {
    for (const node of this.nodes) node.leave();
    this.database.close();
  }
}

/** A machine: what outlives an agent, and the agent that runs on it. */
export class Machine implements SimNode {
  readonly world: SimWorld;
  /** From 1. */
  readonly number: number;
  readonly name: string;
  readonly attachment: Attachment;
  addresses: Addresses;
  /** Addresses on its segment that somebody routed through the router. */
  readonly detours: Set<string> = new Set();
  readonly uplink: Uplink = new Uplink();
  readonly files: MemoryFiles = new MemoryFiles();
  /** When a fault touched it last, by itself or through the store, in true time. */
  troubledAtMs = 0;
  clockErrors: ClockErrors = { rate: 1, wallOffsetMs: 0 };
  kernel: MemoryKernel;
  boot: SimNode["boot"];
  mtu: number = INTERFACE_MTU;
  hearsKernel = true;
  /** What the kernel printed before any agent came. */
  foreign: string;
  agent: AgentLife | undefined;
  readonly backendsSinceBoot: Set<string> = new Set();
  /** Counts round the members: which one it talks to. */
  #memberIndex: number;
  /** Whether its supervisor starts the agent again when that ends by itself. */
  supervised = false;
  #restartMs = RESTART_MS_MIN;

  constructor(world: SimWorld, index: number) {
    this.world = world;
    this.number = index + 1;
    this.name = `n${this.number}`;
    this.#memberIndex = index;
    const { segments = 1 } = world.options;
    this.attachment = new Attachment(index % segments, segments);
    this.addresses = this.attachment.addresses(this.number);
    this.kernel = this.#boot();
    this.boot = this.#newBoot();
    this.foreign = this.kernel.print();
  }

  get keepsBlackholes(): boolean {
    return this.number % 2 === 0;
  }

  get publicIp(): Ip {
    return this.addresses[4];
  }

  get publicIpv6(): Ip {
    return this.addresses[6];
  }

  get member(): MemoryMember | undefined {
    const { members } = this.world;
    return members[this.#memberIndex % Math.max(1, members.length)];
  }

  isOnLink(address: string): boolean {
    return this.attachment.holds(address) && !this.detours.has(address);
  }

  failOver(by: number): void {
    if (this.member === undefined) return;
    this.#memberIndex += by;
    this.troubledAtMs = this.world.time.nowMs;
    this.agent?.connection.connectTo(this.member);
  }

  /** The supervisor starts the agent, unless one runs. */
  start(): void {
    this.supervised = true;
    if (this.agent?.running === true) return;
    this.agent = new AgentLife(this, this.world.nextProcess());
    this.world.note(`${this.name} starts agent ${this.agent.number}`);
    this.world.observer.started(this.agent);
  }

  /** SIGTERM; the supervisor leaves it stopped. */
  stop(): void {
    this.supervised = false;
    this.agent?.stop();
  }

  /** SIGKILL; the supervisor leaves it dead. */
  crash(): void {
    this.supervised = false;
    this.agent?.kill();
  }

  /** The machine starts anew: kernel and /run are empty, /var is kept. The supervisor does not start the agent. */
  reboot({ keepsRun = false }: { readonly keepsRun?: boolean } = {}): void {
    this.crash();
    this.kernel = this.#boot();
    this.boot = this.#newBoot();
    this.detours.clear();
    this.backendsSinceBoot.clear();
    if (keepsRun) return;
    for (const path of this.files.texts.keys())
      if (path.startsWith("/run/")) this.files.texts.delete(path);
  }

  /** It is given other addresses and starts anew with them. */
  readdress(addresses: Addresses): void {
    this.addresses = addresses;
    this.reboot();
    this.foreign = this.kernel.print();
  }

  /** Equivalent to `ip link set eth0 mtu MTU`, now and after each reboot. */
  setMtu(mtu: number): void {
    this.mtu = mtu;
    this.kernel.setMtu("eth0", mtu);
    this.foreign = this.#boot().print();
  }

  /**
   * What configures its network puts back what the kernel forgot of the card while that was off: IPv6 addresses, and routes. The card
   * is up again before that.
   */
  reconnect(): void {
    this.kernel.setUp("eth0", true);
    this.kernel.addAddress("eth0", this.attachment.cidr(6, this.publicIpv6));
    addRoutes(this.kernel, this.attachment);
  }

  /** Another machine stands in its place: nothing of the old one is left but its addresses. */
  replace(): void {
    this.reboot();
    this.files.texts.clear();
    this.clockErrors = { rate: 1, wallOffsetMs: 0 };
  }

  /** Out of the world for good, without a word to anybody. */
  leave(): void {
    this.crash();
    this.agent = undefined;
  }

  /** The agent ended by itself or was stopped. */
  ended(process: AgentProcess): void {
    const { outcome } = process;
    const how = outcome !== undefined && "error" in outcome ? outcome.error.message : "stopped";
    this.world.note(`${this.name} agent ${process.number} ended: ${how}`);
    this.world.observer.ended(process);
    if (!this.supervised) return;
    if (process.lease !== undefined) this.#restartMs = RESTART_MS_MIN;
    const waitMs = this.#restartMs;
    this.#restartMs = Math.min(2 * waitMs, RESTART_MS_MAX);
    this.world.time.after(waitMs, () => {
      if (this.supervised && this.agent === process) this.start();
    });
  }

  #newBoot(): SimNode["boot"] {
    const atMs = this.world.time.nowMs;
    return { id: `${this.name} ${atMs}`, atMs };
  }

  #boot(): MemoryKernel {
    const kernel = new MemoryKernel();
    kernel.addInterface({
      name: "eth0",
      mtu: this.mtu,
      addresses: [this.attachment.cidr(4, this.publicIp), this.attachment.cidr(6, this.publicIpv6)],
    });
    kernel.addInterface({ name: "cni0", type: "bridge", addresses: ["172.30.0.1/24" as Cidr] });
    addRoutes(kernel, this.attachment);
    return kernel;
  }
}

/** To the other segments, and one that is of no use to any agent. */
function addRoutes(kernel: MemoryKernel, attachment: Attachment): void {
  for (const route of attachment.routes()) kernel.addRoute(route);
  kernel.addRoute({
    destination: "198.18.0.0/24" as Cidr,
    gateway: attachment.router(4),
    link: "eth0",
    onlink: false,
    protocol: 4,
  });
}
