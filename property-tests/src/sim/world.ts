/**
 * The simulated world: whole agents (`runDaemon` itself) over one etcd in memory, kernels and files in memory, virtual time, one
 * seed, one thread. Everything that happens is a function of the options and of the calls made to it.
 */
import { createHash } from "node:crypto";
import type { Cidr, Ip } from "agent/core/ip.ts";
import { MemoryKernel } from "agent/kernel/memory-kernel.ts";
import { MemoryDatabase } from "agent/subnet-manager/etcd/memory-database.ts";
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

/** How long a supervisor waits before it starts an agent that ended by itself again, in milliseconds. */
const RESTART_MS = 5_000;
/** Lines of the trace kept for a report. */
const TRACE_LINES = 400;

export type { SimNode } from "./actors.ts";

export class SimWorld implements World {
  readonly options: WorldOptions;
  readonly time: SimTime = new SimTime();
  readonly clock: TrueClock = new TrueClock(this.time);
  readonly database: MemoryDatabase = new MemoryDatabase(this.clock);
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
  restore(values: ReadonlyMap<string, string>, sameCluster: boolean): void {
    this.database.restore(values, { sameCluster });
    for (const node of this.nodes) node.uplink.reset();
  }

  /** What a backup taken now would hold. */
  snapshot(): ReadonlyMap<string, string> {
    const { entries } = this.database.range({ prefix: "" });
    return new Map(entries.map(({ key, value }) => [key, value]));
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
  readonly publicIp: Ip;
  readonly publicIpv6: Ip;
  readonly uplink: Uplink = new Uplink();
  readonly files: MemoryFiles = new MemoryFiles();
  /** When a fault touched it last, by itself or through the store, in true time. */
  troubledAtMs = 0;
  readonly clockErrors: ClockErrors = { rate: 1, wallOffsetMs: 0 };
  kernel: MemoryKernel;
  /** What the kernel printed before any agent came. */
  readonly foreign: string;
  agent: AgentLife | undefined;
  /** Whether its supervisor starts the agent again when that ends by itself. */
  supervised = false;

  constructor(world: SimWorld, index: number) {
    this.world = world;
    this.number = index + 1;
    this.name = `n${this.number}`;
    this.publicIp = `192.0.2.${this.number}` as Ip;
    this.publicIpv6 = `2001:db8::${this.number.toString(16)}` as Ip;
    this.kernel = this.#boot();
    this.foreign = this.kernel.print();
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
  reboot(): void {
    this.crash();
    this.kernel = this.#boot();
    for (const path of this.files.texts.keys())
      if (path.startsWith("/run/")) this.files.texts.delete(path);
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
    this.world.time.after(RESTART_MS, () => {
      if (this.supervised && this.agent === process) this.start();
    });
  }

  #boot(): MemoryKernel {
    const kernel = new MemoryKernel();
    kernel.addInterface({
      name: "eth0",
      addresses: [`${this.publicIp}/24` as Cidr, `${this.publicIpv6}/64` as Cidr],
    });
    kernel.addInterface({ name: "cni0", type: "bridge", addresses: ["172.30.0.1/24" as Cidr] });
    kernel.addRoute({
      destination: "198.18.0.0/24" as Cidr,
      gateway: "192.0.2.254" as Ip,
      link: "eth0",
      onlink: false,
      protocol: 4,
    });
    return kernel;
  }
}
