/** A cluster in memory, for tests: nodes that differ only in their number, each with a kernel of its own. */
import { addToIp, cidr, cidrAddress, familyBits, parseCidr, parseIp } from "../core/ip.ts";
import type { Cidr, Family, Ip, PerFamily } from "../core/ip.ts";
import type { Lease } from "../core/lease.ts";
import type { NetworkConfig } from "../core/network-config.ts";
import type { Kernel } from "../kernel/kernel.ts";
import { MemoryKernel } from "../kernel/memory-kernel.ts";
import { reconcile } from "../kernel/reconcile.ts";
import type { ReconcileReport } from "../kernel/reconcile.ts";
import type { Log } from "../system/log.ts";
import type { Random } from "../system/random.ts";
import type { ExternalInterface } from "../core/external-interface.ts";
import type { Backend, BackendDefinition, Plan } from "./backend.ts";

const SILENT: Log = {
  error: () => undefined,
  warn: () => undefined,
  info: () => undefined,
  debug: () => undefined,
  child: () => SILENT,
};

/** The same bytes for the same seed. */
function seeded(seed: number): Random {
  let state = seed;
  const next = (limit: number): number => {
    state = (state * 48_271) % 0x7fff_ffff;
    return state % limit;
  };
  return { integer: next, bytes: (count) => Uint8Array.from({ length: count }, () => next(256)) };
}

export const NETWORKS: Record<Family, Cidr> = {
  4: parseCidr("10.42.0.0/16"),
  6: parseCidr("2001:db8:42::/48"),
};

const SUBNET_LENGTH: Record<Family, number> = { 4: 24, 6: 64 };

export function perFamily<T>(
  families: readonly Family[],
  make: (family: Family) => T,
): PerFamily<T> {
  return Object.fromEntries(families.map((family) => [family, make(family)]));
}

export function nodeIp(node: number, family: Family): Ip {
  const base = parseIp(family === 4 ? "192.0.2.0" : "2001:db8:1::");
  return addToIp(base, BigInt(node));
}

export function nodeSubnet(node: number, family: Family): Cidr {
  const length = SUBNET_LENGTH[family];
  const size = 1n << BigInt(familyBits(family) - length);
  return cidr(addToIp(cidrAddress(NETWORKS[family]), BigInt(node) * size), length);
}

/** Some nodes of one cluster, each with a kernel of its own. */
export class Cluster {
  readonly definition: BackendDefinition;
  readonly families: readonly Family[];
  readonly config: NetworkConfig;

  /** @param options beside `Type` in the backend's options */
  constructor(definition: BackendDefinition, families: readonly Family[], options: object = {}) {
    this.definition = definition;
    this.families = families;
    this.config = {
      ranges: perFamily(families, (family) => ({
        network: NETWORKS[family],
        subnetMin: addToIp(cidrAddress(NETWORKS[family]), 0n),
        subnetMax: addToIp(cidrAddress(NETWORKS[family]), 0n),
        subnetLength: SUBNET_LENGTH[family],
      })),
      enableNftables: false,
      backendType: definition.type,
      backendOptions: { Type: definition.type, ...options },
    };
  }

  kernel(node: number): MemoryKernel {
    const kernel = new MemoryKernel();
    kernel.addInterface({ name: "eth0", addresses: this.cardAddresses(node) });
    return kernel;
  }

  cardAddresses(node: number): readonly Cidr[] {
    return this.families.map((family) =>
      parseCidr(`${nodeIp(node, family)}/${family === 4 ? 24 : 64}`),
    );
  }

  open(
    node: number,
    kernel: Kernel,
    { previous, seed = node }: { readonly previous?: Lease; readonly seed?: number } = {},
  ): Promise<Backend> {
    const ips = perFamily(this.families, (family) => nodeIp(node, family));
    const externalInterface: ExternalInterface = {
      name: "eth0",
      mtu: 1500,
      addresses: ips,
      publicIps: ips,
    };
    return this.definition.open({
      networkConfig: this.config,
      previousLease: previous,
      externalInterface,
      kernel,
      random: seeded(seed + 1),
      log: SILENT,
    });
  }

  /** What the node would publish. */
  async lease(node: number): Promise<Lease> {
    const backend = await this.open(node, this.kernel(node));
    return leaseOf(node, this.families, backend);
  }

  async leases(...nodes: readonly number[]): Promise<readonly Lease[]> {
    const leases: Lease[] = [];
    for (const node of nodes) leases.push(await this.lease(node));
    return leases;
  }

  /** Node 1, with its backend open. */
  node(): Promise<Node<MemoryKernel>> {
    return this.nodeOn(this.kernel(1));
  }

  async nodeOn<K extends Kernel>(kernel: K): Promise<Node<K>> {
    const backend = await this.open(1, kernel);
    return new Node(kernel, backend, leaseOf(1, this.families, backend));
  }
}

function leaseOf(node: number, families: readonly Family[], { attributes }: Backend): Lease {
  return { ...attributes, subnets: perFamily(families, (family) => nodeSubnet(node, family)) };
}

/** One node of it: kernel, open backend and lease. */
export class Node<K extends Kernel> {
  readonly kernel: K;
  readonly own: Lease;
  backend: Backend;

  constructor(kernel: K, backend: Backend, own: Lease) {
    this.kernel = kernel;
    this.backend = backend;
    this.own = own;
  }

  /** What is planned before the lease is known. */
  planWithoutLease(): Plan {
    return this.backend.plan({ own: undefined, peers: [], routes: new Map() });
  }

  async plan(peers: readonly Lease[]): Promise<Plan> {
    const { own } = this;
    const answers = await this.kernel.routesTo(this.backend.lookups(peers));
    const found = answers.filter((answer) => answer !== undefined);
    return this.backend.plan({
      own,
      peers,
      routes: new Map(found.map((answer) => [answer.destination, answer])),
    });
  }

  /** One pass. @throws the first refusal */
  async pass(peers: readonly Lease[]): Promise<ReconcileReport> {
    const report = await this.try(peers);
    for (const { error } of report.failures) throw error;
    return report;
  }

  async try(peers: readonly Lease[]): Promise<ReconcileReport> {
    return reconcile(this.kernel, await this.plan(peers));
  }
}
