/** One life of one agent in the simulated world: `runDaemon` itself, with every port watched. */
import { withBlackholes } from "agent/backends/blackholes.ts";
import * as registry from "agent/backends/registry.ts";
import type { Ip } from "agent/core/ip.ts";
import type { Lease } from "agent/core/lease.ts";
import type { NetworkConfig } from "agent/core/network-config.ts";
import { runDaemon } from "agent/daemon.ts";
import { KeptLeases } from "agent/daemon-kept-leases.ts";
import { Vitals } from "agent/daemon-vitals.ts";
import type { Change, Kernel, KernelEvent } from "agent/kernel/kernel.ts";
import { EtcdSubnetManager } from "agent/subnet-manager/etcd/etcd-subnet-manager.ts";
import type { KeyValueStore } from "agent/subnet-manager/etcd/key-value-store.ts";
import { type Framing, WHOLE } from "agent/subnet-manager/etcd/memory-framing.ts";
import { MemoryStore, type Verb } from "agent/subnet-manager/etcd/memory-store.ts";
import type { SubnetManager } from "agent/subnet-manager/subnet-manager.ts";
import type { Files } from "agent/system/files.ts";
import type { Log, LogData } from "agent/system/log.ts";
import type { Random } from "agent/system/random.ts";
import { SeededRandom } from "agent/system/seeded-random.ts";
import { type Arrival, SimStore } from "./sim-store.ts";
import { AgentClock } from "./sim-time.ts";
import {
  type AgentProcess,
  type Outcome,
  PREFIX,
  STATE_DIRECTORY,
  SUBNET_FILE,
  type SimNode,
} from "./actors.ts";

const BACKENDS = Object.values(registry);
const plain = new Map(BACKENDS.map((one) => [one.type, one]));
const keepingBlackholes = new Map(BACKENDS.map((one) => [one.type, withBlackholes(one)]));

export class AgentLife implements AgentProcess {
  readonly node: SimNode;
  /** Counts the lives in this world, so that each can be told from the one before. */
  readonly number: number;
  readonly clock: AgentClock;
  readonly publicIp: Ip;
  /** For faults of this connection. */
  readonly connection: MemoryStore;
  /** The configuration it read at its start, and the text of it. */
  config: NetworkConfig | undefined;
  /** What it holds the lease of, as far as it knows. */
  lease: Lease | undefined;
  /** The peers it knows of, once it knows any. */
  peers: readonly Lease[] | undefined;
  ready = false;
  pauses = 0;
  outcome: Outcome | undefined;
  readonly startedMs: number;
  readonly #abort = new AbortController();
  /** Ends what this process holds of its machine's kernel. */
  readonly #gone = new AbortController();
  #dead = false;
  #paused = false;
  #held: (() => void)[] = [];

  constructor(node: SimNode, number: number) {
    this.node = node;
    this.number = number;
    const { world } = node;
    this.startedMs = world.time.nowMs;
    this.clock = new AgentClock(world.time, node.clockErrors);
    this.publicIp = node.publicIp;
    const clock = world.options.wrapClock?.(this.clock, node) ?? this.clock;
    const random = new SeededRandom(world.random.integer(2 ** 32));
    const log = new SimLog(this, {});
    this.connection = this.#dial();
    const store = this.#connect(this.connection);
    const subnetManager = new EtcdSubnetManager(store, {
      prefix: PREFIX,
      clock,
      random,
      log,
      leaseTtlSeconds: world.options.ttlSeconds,
      renewMarginMinutes: world.options.renewMarginMinutes,
    });
    const vitals = new Vitals();
    const options = {
      interfaceWishes: {
        names: ["eth0"],
        patterns: [],
        canReach: "",
        publicIp: "",
        publicIpv6: "",
      },
      subnetFile: SUBNET_FILE,
      onReady: (ready: boolean) => this.#setReady(ready),
      vitals,
    };
    const files = this.#watchFiles(node.files);
    const leases = new KeptLeases(
      world.options.wrapSubnetManager?.(subnetManager, node) ?? subnetManager,
      {
        directory: STATE_DIRECTORY,
        cluster: { prefix: PREFIX, endpoints: [store.endpoints] },
        onUnconfirmed: (is) => vitals.readiness.set("lease unconfirmed", is),
        files,
        clock,
        log,
      },
    );
    const ports = {
      subnetManager: this.#watchSubnetManager(leases),
      kernel: this.#watchKernel(node.kernel),
      backends: node.keepsBlackholes ? keepingBlackholes : plain,
      files,
      clock,
      random,
      log,
    };
    void runDaemon(options, ports, this.#abort.signal).then(
      () => this.#end({ stopped: true }, store),
      (error: unknown) =>
        this.#end({ error: error instanceof Error ? error : new Error(String(error)) }, store),
    );
  }

  get running(): boolean {
    return !this.#dead && this.outcome === undefined;
  }

  get paused(): boolean {
    return this.#paused;
  }

  /** SIGTERM. */
  stop(): void {
    this.#abort.abort(new Error("asked to stop"));
  }

  /** SIGKILL: nothing of it runs any more, and nothing is cleaned up. What it sent is still on its way. */
  kill(): void {
    this.#dead = true;
    this.ready = false;
    this.clock.die();
    this.#held = [];
    this.#gone.abort(new Error("killed"));
  }

  /** SIGSTOP. */
  pause(): void {
    this.pauses++;
    this.#paused = true;
    this.clock.pause();
  }

  /** SIGCONT: first the timers that came due, then what arrived meanwhile, as Node does. */
  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    this.clock.resume();
    const held = this.#held;
    this.#held = [];
    for (const act of held) this.node.world.time.after(0, () => this.#deliver(act));
  }

  #deliver(act: () => void): void {
    if (this.#dead) return;
    if (this.#paused) this.#held.push(act);
    else act();
  }

  #setReady(ready: boolean): void {
    if (this.#dead) return;
    this.ready = ready;
    this.node.world.observer.readiness(this);
  }

  #end(outcome: Outcome, store: KeyValueStore): void {
    if (this.#dead) return;
    this.outcome = outcome;
    this.#gone.abort(new Error("ended"));
    void store.close();
    this.node.ended(this);
  }

  #dial(): MemoryStore {
    const { world, member } = this.node;
    const { clock, database, options } = world;
    const dice = new SeededRandom(world.random.integer(2 ** 32));
    const framing = options.framing === "whole" ? WHOLE : cutBy(dice, options.framing === "pieces");
    return new MemoryStore({
      clock,
      database,
      framing,
      ...(member === undefined ? {} : { member }),
    });
  }

  #connect(inner: MemoryStore): KeyValueStore {
    const { world, uplink } = this.node;
    const { signal } = this.#gone;
    signal.addEventListener("abort", () => inner.disconnectWatches(), { once: true });
    const store = new SimStore({
      time: world.time,
      clock: this.clock,
      inner,
      uplink,
      random: new SeededRandom(world.random.integer(2 ** 32)),
      deliver: (act) => this.#deliver(act),
      arriving: (arrival: Arrival) => world.arriving(this, arrival),
      sent: (arrival: Arrival) => world.observer.sent(this, arrival),
      disturbed: (untilMs: number) => (this.node.troubledAtMs = untilMs),
      // As a client with several endpoints does.
      timedOut: () => this.node.failOver(1),
      answered: (verb: Verb, result: unknown) => world.observer.answered(this, verb, result),
    });
    return world.options.wrapStore?.(store, this.node) ?? store;
  }

  #watchSubnetManager(inner: SubnetManager): SubnetManager {
    const seen = (peers: readonly Lease[]): void => {
      this.peers = peers;
      this.node.world.observer.peers(this);
    };
    return {
      name: inner.name,
      networkConfig: async (signal) => {
        this.config = await inner.networkConfig(signal);
        this.node.backendsSinceBoot.add(this.config.backendType);
        return this.config;
      },
      previousLeases: (publicIps, signal) => inner.previousLeases(publicIps, signal),
      acquireLease: async (config, wanted, preferred, signal) => {
        this.lease = await inner.acquireLease(config, wanted, preferred, signal);
        this.node.world.observer.leased(this);
        return this.lease;
      },
      keepLease: (...words) => inner.keepLease(...words),
      held: inner.held,
      publish: (attributes, signal) => inner.publish(attributes, signal),
      async *watchPeers(own, signal) {
        for await (const peers of inner.watchPeers(own, signal)) {
          seen(peers);
          yield peers;
        }
      },
      state: () => inner.state(),
      reconnect: () => inner.reconnect(),
      close: () => inner.close(),
    };
  }

  #watchKernel(kernel: Kernel): Kernel {
    const { node } = this;
    const deliver = (act: () => void): void => this.#deliver(act);
    const gone = this.#gone.signal;
    const watched: Kernel = {
      dump: (scope) => kernel.dump(scope),
      apply: (changes: readonly Change[]) => {
        node.world.observer.applying(this, changes);
        return kernel.apply(changes);
      },
      async *watch(signal): AsyncGenerator<KernelEvent> {
        for await (const event of kernel.watch(AbortSignal.any([signal, gone]))) {
          if (!node.hearsKernel) continue;
          await new Promise<void>((resolve) => deliver(resolve));
          yield event;
        }
      },
      hasNexthops: () => kernel.hasNexthops(),
      routesTo: (destinations) => kernel.routesTo(destinations),
      interfaces: () => kernel.interfaces(),
    };
    return node.world.options.wrapKernel?.(watched, node) ?? watched;
  }

  #watchFiles(files: Files): Files {
    const { node } = this;
    const watched: Files = {
      read: async (path) => bootFile(path, node) ?? (await files.read(path)),
      remove: (path) => files.remove(path),
      writeAtomically: async (path, text, mode) => {
        node.world.observer.writing(this, path, text);
        await files.writeAtomically(path, text, mode);
      },
    };
    return node.world.options.wrapFiles?.(watched, node) ?? watched;
  }
}

/** What the kernel of a machine says of its boot. */
function bootFile(path: string, { boot, world }: SimNode): string | undefined {
  if (path === "/proc/sys/kernel/random/boot_id") return `${boot.id}\n`;
  if (path !== "/proc/uptime") return undefined;
  return `${((world.time.nowMs - boot.atMs) / 1_000).toFixed(2)} 0.00\n`;
}

/** Responses of any number of revisions, or revisions in any number of pieces. */
function cutBy(dice: Random, inPieces: boolean): Framing {
  return {
    revisions: (waiting) => 1 + dice.integer(waiting),
    fragments: (events) => (inPieces ? 1 + dice.integer(events) : 1),
  };
}

/** Lines go to the world, which counts them, hashes them and keeps the last. */
class SimLog implements Log {
  readonly #process: AgentProcess;
  readonly #bound: LogData;

  constructor(process: AgentProcess, bound: LogData) {
    this.#process = process;
    this.#bound = bound;
  }

  error(data: LogData, message: string): void {
    this.#add("error", data, message);
  }

  warn(data: LogData, message: string): void {
    this.#add("warn", data, message);
  }

  info(data: LogData, message: string): void {
    this.#add("info", data, message);
  }

  /** Nobody reads these in production either. */
  debug(): void {
    // Not kept.
  }

  child(data: LogData): Log {
    return new SimLog(this.#process, { ...this.#bound, ...data });
  }

  #add(level: string, data: LogData, message: string): void {
    if (!this.#process.running) return;
    const { err } = data;
    const cause = err instanceof Error ? `: ${err.message}` : "";
    this.#process.node.world.observer.logged(this.#process, level, message + cause);
  }
}
