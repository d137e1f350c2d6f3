import { expect } from "vitest";
import * as registry from "./backends/registry.ts";
import type { InterfaceWishes } from "./core/external-interface.ts";
import type { Cidr } from "./core/ip.ts";
import type { NetworkConfig } from "./core/network-config.ts";
import { runDaemon } from "./daemon.ts";
import { KeptLeases } from "./daemon-kept-leases.ts";
import { Vitals } from "./daemon-vitals.ts";
import { MemoryKernel } from "./kernel/memory-kernel.ts";
import { EtcdSubnetManager } from "./subnet-manager/etcd/etcd-subnet-manager.ts";
import { MemoryDatabase } from "./subnet-manager/etcd/memory-database.ts";
import { MemoryStore } from "./subnet-manager/etcd/memory-store.ts";
import type { Log } from "./system/log.ts";
import { ManualClock } from "./system/manual-clock.ts";
import { MemoryFiles } from "./system/memory-files.ts";
import { MemoryLog } from "./system/memory-log.ts";
import { SeededRandom } from "./system/seeded-random.ts";
import { openTrafficManager } from "./traffic-manager/firewalls.ts";
import type { MemoryFirewalls } from "./traffic-manager/memory-firewalls.ts";
import type { TrafficManager } from "./traffic-manager/traffic-manager.ts";

export const SUBNET_FILE = "/run/flannel/subnet.env";
export const STATE_DIRECTORY = "/var/lib/flannel";
export const VXLAN = '{"Network":"10.42.0.0/16","Backend":{"Type":"vxlan"}}';
export const SUBNETS: { readonly prefix: string } = { prefix: "/coreos.com/network/subnets/" };

/** A cluster in memory: one store, any number of nodes, one clock. */
export class World {
  readonly clock: ManualClock = new ManualClock();
  readonly database: MemoryDatabase = new MemoryDatabase(this.clock);
  readonly store: MemoryStore = new MemoryStore({ clock: this.clock, database: this.database });
  readonly #connections: MemoryStore[] = [];
  #storeIsUp = true;
  #nodes = 0;

  /** The connection of one agent. */
  connect(): MemoryStore {
    const store = new MemoryStore({ clock: this.clock, database: this.database });
    store.setConnected(this.#storeIsUp);
    this.#connections.push(store);
    return store;
  }

  /** Lets no agent reach the store, those that start later included, or lets them again. */
  setStore(isUp: boolean): void {
    this.#storeIsUp = isUp;
    for (const store of this.#connections) store.setConnected(isUp);
  }

  async configure(config: string): Promise<void> {
    await this.store.txn({
      compare: [],
      success: [{ action: "put", key: "/coreos.com/network/config", value: config }],
      failure: [],
    });
  }

  async keys(): Promise<readonly string[]> {
    const { entries } = await this.store.range(SUBNETS);
    return entries.map((entry) => entry.key.slice(SUBNETS.prefix.length));
  }

  node(addresses?: readonly string[]): Node {
    return new Node(this, ++this.#nodes, addresses);
  }
}

/** What outlives an agent: the kernel and the files of one machine. */
export class Node {
  kernel: MemoryKernel;
  readonly files: MemoryFiles = new MemoryFiles();
  /** Of the store, as the command line of its agents has them. */
  endpoints: readonly string[] = ["http://192.0.2.200:2379"];
  readonly log: MemoryLog = new MemoryLog();
  /** With them its agents are started with `-ip-masq`; without, they make no rules. */
  firewalls: MemoryFirewalls | undefined;
  readonly #world: World;
  readonly #number: number;
  readonly #addresses: readonly string[];
  #starts = 0;

  constructor(
    world: World,
    number: number,
    addresses: readonly string[] = [`192.0.2.${number}/24`],
  ) {
    this.#world = world;
    this.#number = number;
    this.#addresses = addresses;
    this.kernel = this.#boot();
  }

  /** Its machine starts anew: kernel and /run are empty. */
  reboot(addresses: readonly string[] = this.#addresses): void {
    this.kernel = this.#boot(addresses);
    for (const path of this.files.texts.keys())
      if (path.startsWith("/run/")) this.files.texts.delete(path);
  }

  /** Starts an agent; `ready` changes as it says, `ended` settles when it ends. */
  start(wishes: Partial<InterfaceWishes> = {}): Agent {
    return new Agent(this, this.#world, { seed: this.#number * 100 + this.#starts++, wishes });
  }

  #boot(addresses: readonly string[] = this.#addresses): MemoryKernel {
    const kernel = new MemoryKernel();
    kernel.addInterface({ name: "eth0", addresses: addresses.map((text) => text as Cidr) });
    return kernel;
  }
}

/** As `flanneld -ip-masq`. */
const RULES = { masquerade: true, forward: true, fullyRandom: true, resyncSeconds: 5 };

/** Firewalls that nobody hears of. */
function overMemory(command: MemoryFirewalls, log: Log): (config: NetworkConfig) => TrafficManager {
  const news = {
    async *watchRules(signal: AbortSignal): AsyncGenerator<readonly never[], void, undefined> {
      await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
      yield [];
    },
    ruleGeneration: () => undefined,
    legacyRules: () => undefined,
  };
  return ({ enableNftables }) =>
    openTrafficManager({ ...news, usesNftables: enableNftables, command, log });
}

export class Agent {
  ready = false;
  readonly ended: Promise<unknown>;
  readonly store: MemoryStore;
  readonly vitals: Vitals = new Vitals();
  readonly #controller = new AbortController();

  constructor(
    node: Node,
    world: World,
    { seed, wishes }: { readonly seed: number; readonly wishes: Partial<InterfaceWishes> },
  ) {
    const random = new SeededRandom(seed);
    const store = world.connect();
    this.store = store;
    const { firewalls } = node;
    const { clock } = world;
    const prefix = "/coreos.com/network";
    const { log, files } = node;
    const ports = {
      subnetManager: new KeptLeases(new EtcdSubnetManager(store, { prefix, clock, random, log }), {
        directory: STATE_DIRECTORY,
        cluster: { prefix, endpoints: node.endpoints },
        onUnconfirmed: (is) => this.vitals.readiness.set("lease unconfirmed", is),
        files,
        clock,
        log,
      }),
      kernel: node.kernel,
      backends: new Map(Object.values(registry).map((one) => [one.type, one])),
      ...(firewalls === undefined ? {} : { openTrafficManager: overMemory(firewalls, node.log) }),
      files,
      clock,
      random,
      log,
    };
    const options = {
      ...(firewalls === undefined ? {} : { rules: RULES }),
      interfaceWishes: {
        names: ["eth0"],
        patterns: [],
        canReach: "",
        publicIp: "",
        publicIpv6: "",
        ...wishes,
      },
      subnetFile: SUBNET_FILE,
      onReady: (ready: boolean) => (this.ready = ready),
      vitals: this.vitals,
    };
    this.ended = runDaemon(options, ports, this.#controller.signal).then(
      () => "stopped",
      (error: unknown) => error,
    );
  }

  stop(): Promise<unknown> {
    this.#controller.abort(new Error("asked to stop"));
    return this.ended;
  }
}

export async function twoNodes(
  config: string = VXLAN,
): Promise<{ world: World; nodes: [Node, Node]; agents: Agent[] }> {
  const world = new World();
  await world.configure(config);
  const nodes: [Node, Node] = [world.node(), world.node()];
  const agents = nodes.map((node) => node.start());
  await world.clock.advance(2_000);
  expect(agents.map((agent) => agent.ready)).toEqual([true, true]);
  return { world, nodes, agents };
}
