/** One whole agent, `runDaemon` itself, over a real etcd: kernel and files are in memory, clock and random numbers are the machine's. */
import * as registry from "agent/backends/registry.ts";
import type { Cidr } from "agent/core/ip.ts";
import type { Lease } from "agent/core/lease.ts";
import { runDaemon } from "agent/daemon.ts";
import type { Change, Kernel } from "agent/kernel/kernel.ts";
import { MemoryKernel } from "agent/kernel/memory-kernel.ts";
import { EtcdSubnetManager } from "agent/subnet-manager/etcd/etcd-subnet-manager.ts";
import { Etcd3Store } from "agent/subnet-manager/etcd/etcd3-store.ts";
import type { KeyValueStore } from "agent/subnet-manager/etcd/key-value-store.ts";
import type { SubnetManager } from "agent/subnet-manager/subnet-manager.ts";
import type { Clock } from "agent/system/clock.ts";
import { CryptoRandom } from "agent/system/crypto-random.ts";
import { MemoryFiles } from "agent/system/memory-files.ts";
import { type LogLine, MemoryLog } from "agent/system/memory-log.ts";
import { SystemClock } from "agent/system/system-clock.ts";
import { PREFIX, SUBNET_FILE } from "../sim/actors.ts";
import { wrapStore } from "./wrapped-store.ts";

const backends = new Map(Object.values(registry).map((one) => [one.type, one]));

/** What outlives an agent. */
export interface Machine {
  readonly publicIp: string;
  readonly kernel: MemoryKernel;
  readonly files: MemoryFiles;
}

/** A machine on 192.0.2.0/24, with this last number. */
export function openMachine(number: number): Machine {
  const publicIp = `192.0.2.${number}`;
  const kernel = new MemoryKernel();
  kernel.addInterface({ name: "eth0", addresses: [`${publicIp}/24` as Cidr] });
  return { publicIp, kernel, files: new MemoryFiles() };
}

export interface WholeAgentOptions {
  readonly endpoints: readonly string[];
  readonly leaseTtlSeconds?: number;
  readonly clock?: Clock;
  /** Puts a fault between the agent and its store. */
  readonly wrap?: (store: KeyValueStore) => KeyValueStore;
}

/** All times are `performance.now()`, in milliseconds. */
export class WholeAgent {
  readonly machine: Machine;
  /** When each request was sent, watches among them. */
  readonly requestsMs: number[] = [];
  readonly #log = new MemoryLog();
  /** Each set of peers the agent was shown. */
  readonly peers: (readonly Lease[])[] = [];
  /** What it took out of its kernel. */
  readonly removed: Change[] = [];
  /** When it changed its kernel last. */
  changedMs = 0;
  /** When it became ready or ceased to be; the last is the present state. */
  readonly readiness: { readonly ready: boolean; readonly atMs: number }[] = [];
  /** The error it ended with, or undefined when it was asked to stop. */
  readonly ended: Promise<unknown>;
  readonly #abort = new AbortController();

  constructor(machine: Machine, options: WholeAgentOptions) {
    this.machine = machine;
    const { endpoints, leaseTtlSeconds, clock = new SystemClock() } = options;
    const { wrap = (store: KeyValueStore): KeyValueStore => store } = options;
    const store = wrapStore(wrap(new Etcd3Store({ endpoints })), (_verb, ask) => {
      this.requestsMs.push(performance.now());
      return ask();
    });
    const log = this.#log;
    const random = new CryptoRandom();
    const manager = new EtcdSubnetManager(store, {
      prefix: PREFIX,
      clock,
      random,
      log,
      ...(leaseTtlSeconds === undefined ? {} : { leaseTtlSeconds }),
    });
    const daemonOptions = {
      interfaceWishes: {
        names: ["eth0"],
        patterns: [],
        canReach: "",
        publicIp: "",
        publicIpv6: "",
      },
      subnetFile: SUBNET_FILE,
      onReady: (ready: boolean) => void this.readiness.push({ ready, atMs: performance.now() }),
    };
    const ports = {
      subnetManager: this.#watchPeers(manager),
      kernel: this.#watchKernel(machine.kernel),
      backends,
      files: machine.files,
      clock,
      random,
      log,
    };
    const run = async (): Promise<unknown> => {
      await using _ = manager;
      const running = runDaemon(daemonOptions, ports, this.#abort.signal);
      return await running.catch((error: unknown) => error);
    };
    this.ended = run();
  }

  get publicIp(): string {
    return this.machine.publicIp;
  }

  /** What it said, without what nobody reads in production. */
  get lines(): readonly LogLine[] {
    return this.#log.lines.filter(({ level }) => level !== "debug");
  }

  get ready(): boolean {
    return this.readiness.at(-1)?.ready ?? false;
  }

  /** SIGTERM. Resolves to the error it ended with, if any. */
  stop(): Promise<unknown> {
    this.#abort.abort(new Error("asked to stop"));
    return this.ended;
  }

  #watchPeers(inner: EtcdSubnetManager): SubnetManager {
    const { peers: sets } = this;
    return {
      name: inner.name,
      networkConfig: (signal) => inner.networkConfig(signal),
      previousLeases: (publicIps, signal) => inner.previousLeases(publicIps, signal),
      acquireLease: (config, wanted, preferred, signal) =>
        inner.acquireLease(config, wanted, preferred, signal),
      keepLease: (...words) => inner.keepLease(...words),
      held: inner.held,
      publish: (attributes, signal) => inner.publish(attributes, signal),
      async *watchPeers(own, signal) {
        for await (const peers of inner.watchPeers(own, signal)) {
          sets.push(peers);
          yield peers;
        }
      },
      state: () => inner.state(),
      reconnect: () => inner.reconnect(),
      close: () => inner.close(),
    };
  }

  #watchKernel(kernel: Kernel): Kernel {
    return {
      dump: (scope) => kernel.dump(scope),
      apply: async (changes) => {
        this.removed.push(...changes.filter(({ action }) => action === "remove"));
        const results = await kernel.apply(changes);
        this.changedMs = performance.now();
        return results;
      },
      watch: (signal) => kernel.watch(signal),
      routesTo: (destinations) => kernel.routesTo(destinations),
      interfaces: () => kernel.interfaces(),
      hasNexthops: () => kernel.hasNexthops(),
    };
  }
}

/** The machine's clock, whose sleepers a test can keep asleep: an agent that noticed a loss waits with its next try. */
export class HeldClock extends SystemClock {
  #held: Promise<void> = Promise.resolve();

  /** Returns what lets them wake. */
  hold(): () => void {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#held = promise;
    return resolve;
  }

  override async sleep(ms: number, signal: AbortSignal): Promise<void> {
    await super.sleep(ms, signal);
    await this.#held;
  }
}
