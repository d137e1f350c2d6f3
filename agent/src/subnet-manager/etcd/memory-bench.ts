import type { Cidr, Ip } from "../../core/ip.ts";
import type { Lease, LeaseAttributes } from "../../core/lease.ts";
import { type NetworkConfig, parseNetworkConfig } from "../../core/network-config.ts";
import { ManualClock } from "../../system/manual-clock.ts";
import { type LogLine, MemoryLog } from "../../system/memory-log.ts";
import { SeededRandom } from "../../system/seeded-random.ts";
import type { EtcdSubnetManager, EtcdSubnetManagerOptions } from "./etcd-subnet-manager.ts";
import { MemoryDatabase } from "./memory-database.ts";
import { openMemorySubnetManager } from "./memory-subnet-manager.ts";
import type { MemoryStore, MemoryStoreOptions } from "./memory-store.ts";

/** One node's view of the cluster of a bench. */
export interface BenchNode {
  readonly subnetManager: EtcdSubnetManager;
  readonly store: MemoryStore;
  readonly lines: readonly LogLine[];
}

/** A cluster in memory with a clock that the test moves, and nodes that share both. */
export class MemoryBench {
  readonly prefix = "/coreos.com/network";
  readonly clock: ManualClock = new ManualClock();
  readonly database: MemoryDatabase = new MemoryDatabase(this.clock);
  readonly stop: AbortController = new AbortController();
  #nodes = 0;

  get signal(): AbortSignal {
    return this.stop.signal;
  }

  open(options: Partial<EtcdSubnetManagerOptions & MemoryStoreOptions> = {}): BenchNode {
    const log = new MemoryLog();
    const { subnetManager, store } = openMemorySubnetManager({
      prefix: this.prefix,
      clock: this.clock,
      database: this.database,
      random: new SeededRandom(++this.#nodes),
      log,
      ...options,
    });
    return { subnetManager, store, lines: log.lines };
  }

  /** Moves the clock on until something is done; an hour of it at most. */
  async run<Result>(work: Promise<Result>): Promise<Result> {
    const ended = new AbortController();
    const end = (): void => ended.abort();
    work.then(end, end);
    for (let steps = 0; steps < 72_000; steps++) {
      await this.clock.advance(50);
      if (ended.signal.aborted) return work;
    }
    throw new Error("an hour was not enough");
  }

  /** The lease keys, as `etcdctl get --prefix` shows them: name, value and, in brackets, the etcd lease. */
  get keys(): readonly string[] {
    return this.database
      .range({ prefix: `${this.prefix}/subnets/` })
      .entries.map(
        (entry) =>
          `${entry.key.slice(this.prefix.length + 1)} ${entry.value} [${entry.leaseId ?? "none"}]`,
      );
  }

  /** What an operator or another agent puts there. */
  put(name: string, value: string, leaseId?: string): void {
    this.database.put(`${this.prefix}/subnets/${name}`, value, leaseId);
  }

  close(): void {
    this.stop.abort(new Error("the test is over"));
    this.database.close();
  }
}

export function networkConfig(members: object = {}): NetworkConfig {
  return parseNetworkConfig(
    JSON.stringify({ Network: "10.3.0.0/16", Backend: { Type: "vxlan" }, ...members }),
  );
}

export const DUAL_STACK: NetworkConfig = networkConfig({
  EnableIPv6: true,
  IPv6Network: "fd00:12::/48",
});

/** What the node with this public IPv4 address publishes; the last number makes its MAC. */
export function attributesOf(publicIp: string, publicIpv6?: string): LeaseAttributes {
  const last = Number(publicIp.split(".").at(-1)).toString(16).padStart(2, "0");
  const data = { VNI: 1, VtepMAC: `02:aa:bb:cc:dd:${last}` };
  return {
    publicIps: {
      4: publicIp as Ip,
      ...(publicIpv6 === undefined ? {} : { 6: publicIpv6 as Ip }),
    },
    backendType: "vxlan",
    backendData: { 4: data, ...(publicIpv6 === undefined ? {} : { 6: data }) },
  };
}

/** The value that the reference writes for `attributesOf(publicIp)`. */
export function valueOf(publicIp: string): string {
  const last = Number(publicIp.split(".").at(-1)).toString(16).padStart(2, "0");
  return `{"PublicIP":"${publicIp}","PublicIPv6":null,"BackendType":"vxlan","BackendData":{"VNI":1,"VtepMAC":"02:aa:bb:cc:dd:${last}"}}`;
}

export function subnetOf(lease: Lease): string {
  return Object.values(lease.subnets).join(" ");
}

export function cidrOf(text: string): Cidr {
  return text as Cidr;
}
