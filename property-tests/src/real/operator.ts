/** What an operator does with etcdctl, through the JSON gateway of one member: shares nothing with the agent's client. */
import type { EtcdServer } from "agent/subnet-manager/etcd/etcd3-test-server.ts";
import type { KeyValue } from "agent/subnet-manager/etcd/key-value-store.ts";
import { PREFIX, SUBNETS } from "../sim/actors.ts";
import { type WireKeyValue, base64, readEntry } from "./wire.ts";

/** Agents lease from the lower end of it, so that a test can write what it wants above. */
export const NETWORK = {
  Network: "10.42.0.0/16",
  SubnetMin: "10.42.1.0",
  SubnetMax: "10.42.29.0",
  Backend: { Type: "vxlan" },
} as const;

/** What a node publishes as its lease. */
export function leaseValue(publicIp: string, vtepMac: string): string {
  const data = { VNI: 1, VtepMAC: vtepMac };
  return JSON.stringify({
    PublicIP: publicIp,
    PublicIPv6: null,
    BackendType: "vxlan",
    BackendData: data,
  });
}

export class Operator {
  readonly #member: EtcdServer;

  constructor(member: EtcdServer) {
    this.#member = member;
  }

  /** Writes the network configuration. */
  async configure(config: object = NETWORK): Promise<void> {
    await this.#put(`${PREFIX}/config`, JSON.stringify(config));
  }

  /** Writes a lease: `10.42.7.0-24`. Without an etcd lease it never runs out. */
  async put(name: string, value: string | Uint8Array, leaseId = "0"): Promise<void> {
    await this.#put(SUBNETS + name, value, leaseId);
  }

  async remove(name: string): Promise<void> {
    await this.#member.post("kv/deleterange", { key: base64(SUBNETS + name) });
  }

  /** Moves the revision on. */
  async bump(times = 1): Promise<void> {
    for (let time = 0; time < times; time++) await this.#put("/elsewhere", String(time));
  }

  /** Removes all that is below the prefix of the cluster. */
  async wipe(): Promise<void> {
    await this.#member.post("kv/deleterange", {
      key: base64(PREFIX),
      range_end: base64(`${PREFIX}0`),
    });
  }

  /** A linearizable read of all leases. */
  async live(): Promise<readonly KeyValue[]> {
    const { kvs = [] } = (await this.#range()) as { kvs?: readonly WireKeyValue[] };
    return kvs.map(readEntry);
  }

  /** The store's revision, by a linearizable read. */
  async revision(): Promise<number> {
    return Number(((await this.#range()) as { header: { revision: string } }).header.revision);
  }

  async compact(): Promise<void> {
    await this.#member.compact(await this.revision());
  }

  /** An etcd lease of its own. */
  async grant(ttlSeconds: number): Promise<string> {
    const granted = await this.#member.post("lease/grant", { TTL: String(ttlSeconds) });
    return (granted as { ID: string }).ID;
  }

  async revoke(leaseId: string): Promise<void> {
    await this.#member.post("lease/revoke", { ID: leaseId });
  }

  /** The names of all etcd leases. */
  async leaseIds(): Promise<readonly string[]> {
    const { leases = [] } = (await this.#member.post("lease/leases", {})) as {
      leases?: readonly { readonly ID: string }[];
    };
    return leases.map(({ ID }) => ID);
  }

  async #put(key: string, value: string | Uint8Array, lease = "0"): Promise<void> {
    await this.#member.post("kv/put", { key: base64(key), value: base64(value), lease });
  }

  #range(): Promise<unknown> {
    return this.#member.post("kv/range", {
      key: base64(SUBNETS),
      range_end: base64(SUBNETS.replace(/\/$/, "0")),
    });
  }
}
