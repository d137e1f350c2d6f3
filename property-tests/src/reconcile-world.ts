/** One node's reconciler over a memory kernel, without a store: peers are told to it, time is moved by hand. */
import type { Backend, BackendDefinition } from "agent/backends/backend.ts";
import { hostGw, vxlan } from "agent/backends/registry.ts";
import { addToIp, cidr, parseCidr, parseIp } from "agent/core/ip.ts";
import type { Cidr, Ip } from "agent/core/ip.ts";
import type { Lease } from "agent/core/lease.ts";
import type { NetworkConfig } from "agent/core/network-config.ts";
import { NO_PREDECESSOR, openReconciler } from "agent/daemon-loop.ts";
import type { Reconciler } from "agent/daemon-loop.ts";
import type { Change, Kernel, KernelEvent, KernelObject } from "agent/kernel/kernel.ts";
import { MemoryKernel } from "agent/kernel/memory-kernel.ts";
import { reconcile } from "agent/kernel/reconcile.ts";
import { ManualClock } from "agent/system/manual-clock.ts";
import { MemoryLog } from "agent/system/memory-log.ts";
import { SeededRandom } from "agent/system/seeded-random.ts";

const DEVICE = "flannel.1";
const CARD: Cidr = parseCidr("192.0.2.1/16");
const OWN_IP: Ip = parseIp("192.0.2.1");

export type BackendName = "host-gw" | "vxlan";

const BACKENDS: Record<BackendName, BackendDefinition> = { "host-gw": hostGw, vxlan };

function configOf(type: BackendName, options: object): NetworkConfig {
  return {
    ranges: {
      4: {
        network: parseCidr("10.0.0.0/8"),
        subnetMin: parseIp("10.0.0.0"),
        subnetMax: parseIp("10.255.255.0"),
        subnetLength: 24,
      },
    },
    enableNftables: false,
    backendType: type,
    backendOptions: { Type: type, ...options },
  };
}

/** The lease of a well-behaved node; its number is at least 2, since 1 is ours. */
export function leaseOf(
  type: string,
  node: number,
  { mac = node, ip = node, subnet = subnetOf(node) }: LeaseVariant = {},
): Lease {
  const digits = mac.toString(16).padStart(8, "0");
  return {
    subnets: { 4: subnet },
    publicIps: { 4: addToIp(parseIp("192.0.0.0"), BigInt(ip)) },
    backendType: type,
    backendData:
      type === "vxlan" ? { 4: { VNI: 1, VtepMAC: `0e:01${digits.replaceAll(/../g, ":$&")}` } } : {},
  };
}

export interface LeaseVariant {
  readonly mac?: number;
  readonly ip?: number;
  readonly subnet?: Cidr;
}

export function subnetOf(node: number, length = 24): Cidr {
  return cidr(addToIp(parseIp("10.0.0.0"), BigInt(node) * 256n), length);
}

export interface WorldOptions {
  readonly type: BackendName;
  readonly options?: object;
  /** Whether the kernel tells of changes; without, only sweeps find what others did. */
  readonly tells?: boolean;
}

/** A kernel that is watched at each single change. */
export class ReconcileWorld implements AsyncDisposable {
  readonly kernel: MemoryKernel;
  readonly clock: ManualClock = new ManualClock();
  readonly log: MemoryLog = new MemoryLog();
  readonly own: Lease;
  readonly backend: Backend;
  readonly reconciler: Reconciler;
  /** Changes that the reconciler asked for. */
  readonly asked: Change[] = [];
  dumps = 0;
  /** Called after each single change of the reconciler. */
  afterChange: () => void = () => undefined;
  readonly #stop = new AbortController();
  #running: Promise<unknown> = Promise.resolve();

  private constructor(
    backend: Backend,
    kernel: MemoryKernel,
    { type, tells = true }: WorldOptions,
  ) {
    this.kernel = kernel;
    this.backend = backend;
    this.own = {
      ...leaseOf(type, 1, { ip: 513 }),
      ...backend.attributes,
    };
    this.reconciler = openReconciler({
      environment: { backend, look: () => Promise.resolve(false) },
      kernel: this.#watched(tells),
      clock: this.clock,
      log: this.log,
      own: () => this.own,
      predecessor: NO_PREDECESSOR,
    });
  }

  /** @param kernel as another agent left it; an untouched one when absent */
  static async open(
    options: WorldOptions,
    kernel: MemoryKernel = untouchedKernel(),
  ): Promise<ReconcileWorld> {
    return new ReconcileWorld(await openBackend(options, kernel), kernel, options);
  }

  /** A first whole pass with these peers, and the loop after it. */
  async start(peers: readonly Lease[]): Promise<void> {
    this.reconciler.setPeers(peers);
    await this.reconciler.pass();
    this.#running = this.reconciler.run(this.#stop.signal).catch((error: unknown) => error);
    await this.clock.advance(3_000);
  }

  /** What a fresh node holds after one whole pass with these peers. */
  async expected(options: WorldOptions, peers: readonly Lease[]): Promise<string> {
    const kernel = untouchedKernel();
    const backend = await openBackend(options, kernel);
    const { own } = this;
    await reconcile(kernel, backend.plan({ own, peers, routes: new Map() }));
    return kernel.print();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new Error("over"));
    await this.#running;
  }

  #watched(tells: boolean): Kernel {
    const { kernel } = this;
    return {
      dump: (scope) => {
        this.dumps++;
        return kernel.dump(scope);
      },
      apply: async (changes) => {
        const results = [];
        for (const change of changes) {
          this.asked.push(change);
          results.push(...(await kernel.apply([change])));
          this.afterChange();
        }
        return results;
      },
      watch: (signal) => (tells ? kernel.watch(signal) : silence(signal)),
      routesTo: (destinations) => kernel.routesTo(destinations),
      interfaces: () => kernel.interfaces(),
      hasNexthops: () => kernel.hasNexthops(),
    };
  }
}

function untouchedKernel(): MemoryKernel {
  const kernel = new MemoryKernel();
  kernel.addInterface({ name: "eth0", addresses: [CARD] });
  return kernel;
}

function openBackend({ type, options = {} }: WorldOptions, kernel: Kernel): Promise<Backend> {
  const ips = { 4: OWN_IP };
  return BACKENDS[type].open({
    networkConfig: configOf(type, options),
    previousLease: undefined,
    externalInterface: { name: "eth0", mtu: 1500, addresses: ips, publicIps: ips },
    kernel,
    random: new SeededRandom(1),
    log: new MemoryLog(),
  });
}

async function* silence(signal: AbortSignal): AsyncGenerator<KernelEvent> {
  await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
  yield* [];
}

/** Routes through the tunnel whose frames have nowhere to go (invariants D3 and D12), as text. */
export async function partialPeers(kernel: MemoryKernel): Promise<readonly string[]> {
  const objects = await kernel.dump({ links: [DEVICE], networks: [], sysctls: [] });
  const macs = new Map<string, string>();
  const fdb = new Set<string>();
  for (const object of objects)
    if (object.kind === "neighbour") macs.set(object.address, object.mac);
    else if (object.kind === "fdb") fdb.add(object.mac);
  const isPartial = (object: KernelObject): boolean =>
    object.kind === "route" &&
    object.gateway !== undefined &&
    !fdb.has(macs.get(object.gateway) ?? "");
  return objects.filter(isPartial).map((object) => JSON.stringify(object));
}
