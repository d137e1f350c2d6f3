import { requires } from "linux/testing";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type Cidr, FAMILIES, type PerFamily, overlaps } from "../../core/ip.ts";
import type { Lease } from "../../core/lease.ts";
import type { NetworkConfig } from "../../core/network-config.ts";
import { CryptoRandom } from "../../system/crypto-random.ts";
import { MemoryLog } from "../../system/memory-log.ts";
import { SystemClock } from "../../system/system-clock.ts";
import type { EtcdSubnetManager, EtcdSubnetManagerOptions } from "./etcd-subnet-manager.ts";
import { Etcd3Store } from "./etcd3-store.ts";
import { EtcdServer, until } from "./etcd3-test-server.ts";
import { openEtcdSubnetManager } from "./index.ts";
import {
  DUAL_STACK,
  attributesOf,
  cidrOf,
  networkConfig,
  subnetOf,
  valueOf,
} from "./memory-bench.ts";

/** No subnet that a test writes a peer's lease of. */
const APART = { 4: cidrOf("10.3.6.0/24") };

requires("etcd")("leases in a real etcd", () => {
  let server: EtcdServer;
  let operator: Etcd3Store;
  let stop: AbortController;
  let log: MemoryLog;
  let managers: EtcdSubnetManager[];
  let prefix = "";
  let testNumber = 0;

  beforeAll(async () => {
    server = await EtcdServer.open();
    operator = new Etcd3Store({ endpoints: [server.url] });
  });

  afterAll(async () => {
    await operator.close();
    await server[Symbol.asyncDispose]();
  });

  beforeEach(() => {
    // A name of its own for each test: one store serves them all.
    prefix = `/test-${++testNumber}/network`;
    stop = new AbortController();
    log = new MemoryLog();
    managers = [];
  });

  afterEach(async () => {
    stop.abort(new Error("the test is over"));
    await Promise.all(managers.map((manager) => manager.close()));
  });

  const open = (options: Partial<EtcdSubnetManagerOptions> = {}): EtcdSubnetManager => {
    const manager = openEtcdSubnetManager({
      endpoints: [server.url],
      prefix,
      clock: new SystemClock(),
      random: new CryptoRandom(),
      log,
      ...options,
    });
    managers.push(manager);
    return manager;
  };
  const acquire = (
    manager: EtcdSubnetManager,
    publicIp: string,
    config: NetworkConfig = networkConfig(),
    preferred: PerFamily<Cidr> = {},
  ): Promise<Lease> =>
    manager.acquireLease(
      config,
      attributesOf(publicIp, config.ranges[6] === undefined ? undefined : "2001:db8::1"),
      preferred,
      stop.signal,
    );
  const put = (name: string, value: string, leaseId?: string): Promise<unknown> =>
    operator.txn({
      compare: [],
      success: [
        {
          action: "put",
          key: `${prefix}/${name}`,
          value,
          ...(leaseId === undefined ? {} : { leaseId }),
        },
      ],
      failure: [],
    });
  const remove = (name: string): Promise<unknown> =>
    operator.txn({
      compare: [],
      success: [{ action: "delete", key: `${prefix}/${name}` }],
      failure: [],
    });
  const entries = async (): Promise<readonly { key: string; value: string; leaseId?: string }[]> =>
    (await operator.range({ prefix: `${prefix}/subnets/` })).entries;
  /** Collects the sets of peers until the test is over. */
  const follow = (manager: EtcdSubnetManager, own: Lease): string[][] => {
    const sets: string[][] = [];
    const collect = async (): Promise<void> => {
      for await (const peers of manager.watchPeers(own, stop.signal))
        sets.push(peers.map((peer) => subnetOf(peer)));
    };
    collect().catch((error: unknown) => sets.push([String(error)]));
    return sets;
  };

  test("the configuration is waited for and read", async () => {
    const manager = open();
    const reading = manager.networkConfig(stop.signal);
    await until(5000, "the complaint", () => log.lines.length > 0);
    expect(log.lines[0]?.message).toContain(
      `etcdctl --endpoints=${server.url} put ${prefix}/config`,
    );
    await put("config", '{"Network":"10.3.0.0/16","Backend":{"Type":"vxlan"}}');
    expect((await reading).ranges[4]?.network).toBe("10.3.0.0/16");
  });

  test("A10, A12, B8: key, value and time to live are the reference's; a restart keeps the subnet and leaves one etcd lease", async () => {
    const lease = await acquire(open(), "192.0.2.1", networkConfig(), {
      4: cidrOf("10.3.6.0/24"),
    });
    const [first] = await entries();
    expect(first).toMatchObject({
      key: `${prefix}/subnets/10.3.6.0-24`,
      value: valueOf("192.0.2.1"),
    });
    const ttlSeconds = (await operator.timeToLive(first?.leaseId ?? "")) ?? 0;
    expect(ttlSeconds).toBeGreaterThan(86_390);
    expect(ttlSeconds).toBeLessThanOrEqual(86_400);
    expect(await acquire(open(), "192.0.2.1")).toEqual(lease);
    const after = await entries();
    expect(after).toHaveLength(1);
    expect(after[0]?.leaseId).not.toBe(first?.leaseId);
    expect(await operator.timeToLive(first?.leaseId ?? "")).toBeUndefined();
  });

  test("A9: a reservation stays one, and is honoured for its public IP only", async () => {
    await put("subnets/10.3.7.0-24", valueOf("192.0.2.1"));
    expect(subnetOf(await acquire(open(), "192.0.2.1"))).toBe("10.3.7.0/24");
    expect(await entries()).toMatchObject([{ version: 1 }]);
    expect((await entries())[0]?.leaseId).toBeUndefined();
    const one = networkConfig({ SubnetMin: "10.3.7.0", SubnetMax: "10.3.7.0" });
    await expect(acquire(open(), "192.0.2.2", one)).rejects.toMatchObject({
      code: "subnet-exhausted",
    });
  });

  test("E20: going dual stack keeps the IPv4 subnet and replaces the key in one step", async () => {
    const single = await acquire(open(), "192.0.2.1");
    const dual = await acquire(open(), "192.0.2.1", DUAL_STACK);
    expect(dual.subnets[4]).toBe(single.subnets[4]);
    expect(await entries()).toHaveLength(1);
  });

  describe("peers", () => {
    test("come and go, and the own lease is none of them", async () => {
      const manager = open();
      const own = await acquire(manager, "192.0.2.1", networkConfig(), APART);
      const sets = follow(manager, own);
      await until(5000, "the first set", () => sets.length > 0);
      const { leaseId } = await operator.grantLease(2);
      await put("subnets/10.3.30.0-24", valueOf("192.0.2.30"), leaseId);
      await until(5000, "the peer", () => sets.at(-1)?.[0] === "10.3.30.0/24");
      await until(10_000, "its end", () => sets.at(-1)?.length === 0);
      expect(sets).toEqual([[], ["10.3.30.0/24"], []]);
    });

    test("C3: compaction and a restart of the member lose nothing", async () => {
      const manager = open();
      const own = await acquire(manager, "192.0.2.1", networkConfig(), APART);
      await put("subnets/10.3.30.0-24", valueOf("192.0.2.30"));
      const sets = follow(manager, own);
      await until(5000, "the first set", () => sets.length > 0);
      await remove("subnets/10.3.30.0-24");
      for (let bump = 0; bump < 5; bump++) await put("elsewhere", String(bump));
      await server.compact((await operator.range({ key: prefix })).revision);
      await server.stop();
      await server.start();
      await put("subnets/10.3.31.0-24", valueOf("192.0.2.31"));
      await until(15_000, "the peer", () => sets.at(-1)?.[0] === "10.3.31.0/24");
      expect(sets.at(-1)).toEqual(["10.3.31.0/24"]);
    });

    test("C3: a deletion made while away, at the very revision that was compacted, is not missed", async () => {
      const clock = new HeldClock();
      const manager = open({ clock });
      const own = await acquire(manager, "192.0.2.1", networkConfig(), APART);
      await put("subnets/10.3.30.0-24", valueOf("192.0.2.30"));
      const sets = follow(manager, own);
      await until(5000, "the first set", () => sets.length > 0);
      // The agent notices the loss and is kept from connecting again until the history it needs is gone.
      const release = clock.hold();
      await server.stop();
      await server.start();
      await remove("subnets/10.3.30.0-24");
      await server.compact((await operator.range({ key: prefix })).revision);
      release();
      await until(15_000, "its end", () => sets.at(-1)?.length === 0);
      expect(sets).toEqual([["10.3.30.0/24"], []]);
    });
  });

  describe("keeping", () => {
    test("B1, B3', B10: a deleted key is back within two seconds; another owner's ends it", async () => {
      const manager = open();
      const own = await acquire(manager, "192.0.2.1", networkConfig(), {
        4: cidrOf("10.3.6.0/24"),
      });
      const keeping = manager
        .keepLease(own, () => undefined, stop.signal)
        .catch((error: unknown) => error);
      await remove("subnets/10.3.6.0-24");
      await until(2000, "the key", async () => (await entries()).length === 1);
      await put("subnets/10.3.6.0-24", valueOf("192.0.2.9"));
      expect(await keeping).toMatchObject({ code: "lease-lost" });
      expect(await entries()).toMatchObject([{ value: valueOf("192.0.2.9") }]);
    });

    test("A3, B3': a changed address is published under the same key, never one of another lease", async () => {
      const nodes = ["192.0.2.1", "192.0.2.2"].map((publicIp) => ({ publicIp, manager: open() }));
      for (const { publicIp, manager } of nodes)
        manager
          .keepLease(await acquire(manager, publicIp), () => undefined, stop.signal)
          .catch(() => undefined);
      const before = await entries();
      const rivals = await Promise.all(
        nodes.map(({ manager }) => manager.publish(attributesOf("192.0.2.7"), stop.signal)),
      );
      expect(rivals.filter((rival) => rival !== undefined)).toHaveLength(1);
      const after = await entries();
      expect(after.map(({ key, leaseId }) => ({ key, leaseId }))).toEqual(
        before.map(({ key, leaseId }) => ({ key, leaseId })),
      );
      expect(after.filter(({ value }) => value === valueOf("192.0.2.7"))).toHaveLength(1);
    });

    test("B5: a lease of three seconds outlives six", async () => {
      const manager = open({ leaseTtlSeconds: 3 });
      const own = await acquire(manager, "192.0.2.1");
      const keeping = manager
        .keepLease(own, () => undefined, stop.signal)
        .catch((error: unknown) => error);
      const { revision } = await operator.range({ key: prefix });
      const endMs = performance.now() + 6000;
      const { key } = (await entries())[0] ?? { key: "" };
      for await (const batch of operator.watch({ key }, revision + 1, { signal: stop.signal })) {
        expect(batch.events.map((event) => event.type)).toEqual(["put"]);
        if (performance.now() > endMs) break;
      }
      stop.abort(new Error("asked to stop"));
      expect(await keeping).toMatchObject({ message: "asked to stop" });
      expect(await entries()).toHaveLength(1);
    });
  });

  describe("many at once", () => {
    const race = (count: number, config: NetworkConfig): Promise<PromiseSettledResult<Lease>[]> =>
      Promise.allSettled(
        Array.from({ length: count }, (_, index) =>
          acquire(open(), `192.0.2.${index + 1}`, config),
        ),
      );

    test("A1, A8: fifty nodes in dual stack all lease within five seconds, and none overlaps another", async () => {
      const startedMs = performance.now();
      const results = await race(50, DUAL_STACK);
      const tookMs = performance.now() - startedMs;
      const leases = results.flatMap((result) =>
        result.status === "fulfilled" ? [result.value] : [],
      );
      expect(leases).toHaveLength(50);
      expect(overlapping(leases)).toEqual([]);
      expect(await entries()).toHaveLength(50);
      expect(tookMs).toBeLessThan(5000);
    });

    test("A7: one subnet left: one wins, the others say out of subnets", async () => {
      const one = networkConfig({ SubnetMin: "10.3.5.0", SubnetMax: "10.3.5.0" });
      const results = await race(20, one);
      const reasons = results.flatMap((result): unknown[] =>
        result.status === "rejected" ? [result.reason] : [],
      );
      expect(reasons).toHaveLength(19);
      for (const reason of reasons) expect(reason).toMatchObject({ code: "subnet-exhausted" });
      expect(await entries()).toHaveLength(1);
    });
  });
});

/** The machine's clock, whose sleepers a test can keep asleep. */
class HeldClock extends SystemClock {
  #held: Promise<void> = Promise.resolve();

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

/** The pairs of subnets that share an address, in either family. */
function overlapping(leases: readonly Lease[]): string[] {
  return FAMILIES.flatMap((family) => {
    const subnets = leases.flatMap((lease) => lease.subnets[family] ?? []);
    return subnets.flatMap((subnet, index) =>
      subnets
        .slice(index + 1)
        .filter((other) => overlaps(subnet, other))
        .map((other) => `${subnet} ${other}`),
    );
  });
}
