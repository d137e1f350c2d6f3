import { parseNetworkConfig } from "agent/core/network-config.ts";
import type { Lease } from "agent/core/lease.ts";
import type { Cidr, Ip, PerFamily } from "agent/core/ip.ts";
import { EtcdSubnetManager } from "agent/subnet-manager/etcd/etcd-subnet-manager.ts";
import { Etcd3Store } from "agent/subnet-manager/etcd/etcd3-store.ts";
import { EtcdServer, until } from "agent/subnet-manager/etcd/etcd3-test-server.ts";
import type { KeyValueStore } from "agent/subnet-manager/etcd/key-value-store.ts";
import { CryptoRandom } from "agent/system/crypto-random.ts";
import { MemoryLog } from "agent/system/memory-log.ts";
import { SystemClock } from "agent/system/system-clock.ts";
import { afterEach, beforeEach, expect, test } from "vitest";
import { requires } from "linux/testing";
import { blockOf, contains, type StoredSubnets } from "../sim/stored.ts";
import { firstUnheld } from "./cache-history.ts";
import { type Operation, checkLinearizable } from "./linearizability.ts";
import { Observer } from "./observer.ts";
import { recording } from "./recording-store.ts";

const PREFIX = "/coreos.com/network";
const NETWORKS = { 32: "10.3.0.0/16", 128: "fd00:12::/48" } as const;
const LENGTHS = { 32: 24, 128: 64 } as const;
const CONFIG = parseNetworkConfig(
  JSON.stringify({
    Network: NETWORKS[32],
    EnableIPv6: true,
    IPv6Network: NETWORKS[128],
    Backend: { Type: "vxlan" },
  }),
);

/** Every family of the network, of the right size, inside it. */
function fitsNetwork({ blocks }: StoredSubnets): boolean {
  return (
    blocks.length === 2 &&
    blocks.every((block) => {
      const network = blockOf(NETWORKS[block.bits]);
      return (
        network !== undefined && contains(network, block) && block.length === LENGTHS[block.bits]
      );
    })
  );
}

interface Node {
  readonly publicIp: string;
  readonly manager: EtcdSubnetManager;
  readonly stop: AbortController;
  /** Each set of peers the node was shown, once it follows them. */
  readonly peers: (readonly Lease[])[];
}

requires("etcd")("a cluster of three etcd members", () => {
  let members: readonly EtcdServer[];
  let observer: Observer;
  let nodes: Node[];
  let history: Operation[];

  beforeEach(async () => {
    members = await EtcdServer.openCluster(3);
    [observer, nodes, history] = [new Observer(fitsNetwork), [], []];
  });

  afterEach(async () => {
    for (const { stop } of nodes) stop.abort(new Error("the test is over"));
    await Promise.all(nodes.map(({ manager }) => manager.close()));
    await observer.close();
    await Promise.all(members.map((member) => member[Symbol.asyncDispose]()));
  });

  /** A node that asks its own member first and the others after it. */
  const open = (
    number: number,
    leaseTtlSeconds: number,
    wrap: (store: KeyValueStore) => KeyValueStore = (store) => store,
  ): Node => {
    const publicIp = `192.0.2.${number}`;
    const urls = members.map(({ url }) => url);
    const endpoints = [...urls.slice(number % 3), ...urls.slice(0, number % 3)];
    const store = recording(wrap(new Etcd3Store({ endpoints })), publicIp, history);
    const manager = new EtcdSubnetManager(store, {
      prefix: PREFIX,
      clock: new SystemClock(),
      random: new CryptoRandom(),
      log: new MemoryLog(),
      leaseTtlSeconds,
    });
    const node = { publicIp, manager, stop: new AbortController(), peers: [] };
    nodes.push(node);
    return node;
  };

  const acquire = (
    { manager, publicIp, stop }: Node,
    preferred: PerFamily<Cidr> = {},
  ): Promise<Lease> =>
    manager.acquireLease(
      CONFIG,
      {
        publicIps: { 4: publicIp as Ip, 6: "2001:db8::1" as Ip },
        backendType: "vxlan",
        backendData: {},
      },
      preferred,
      stop.signal,
    );

  const keep = ({ manager, stop }: Node, lease: Lease): Promise<unknown> =>
    manager.keepLease(lease, () => undefined, stop.signal).catch((error: unknown) => error);

  const follow = async ({ manager, stop, peers }: Node, own: Lease): Promise<void> => {
    for await (const set of manager.watchPeers(own, stop.signal)) peers.push(set);
  };

  /** Ends of leases that the store made on its own, as releases. */
  const completeHistory = (): readonly Operation[] => [
    ...history,
    ...observer.removals.map(({ key, owner, writtenAt, seenAt }) => ({
      key,
      owner: owner ?? "",
      action: "release" as const,
      calledAt: writtenAt,
      answeredAt: seenAt,
      outcome: "done" as const,
    })),
  ];

  const isLeader = async (member: EtcdServer): Promise<boolean> => {
    const status = (await member.post("maintenance/status", {})) as {
      header: { member_id: string };
      leader?: string;
    };
    return status.header.member_id === status.leader;
  };

  const rolesOf = async (): Promise<{ leader: EtcdServer; followers: EtcdServer[] }> => {
    for (;;) {
      const leads = await Promise.all(members.map(isLeader));
      const leader = members.find((_, index) => leads[index] === true);
      if (leader !== undefined)
        return { leader, followers: members.filter((member) => member !== leader) };
    }
  };

  test("A1, A2, A3, A5, A6, A8, B8: fifty nodes in dual stack lease within five seconds", async () => {
    await observer.open(members[0]?.url ?? "", `${PREFIX}/subnets/`);
    const fifty = Array.from({ length: 50 }, (_, index) => open(index + 1, 60));
    const startedMs = performance.now();
    await Promise.all(fifty.map((node) => acquire(node)));
    const tookMs = performance.now() - startedMs;
    await until(2000, "the observer to see all", () => observer.live.size === 50);
    expect(observer.violations).toEqual([]);
    expect(checkLinearizable(completeHistory())).toEqual({ linearizable: true });
    expect(await members[0]?.post("lease/leases", {})).toMatchObject({
      leases: { length: 50 },
    });
    expect(tookMs).toBeLessThan(5000);
  });

  test("A1, A2, A3, A4, A5, A6, A9, B1, B3', B5, B8, B9, C1, C3: members die and hang under churn and compaction", async () => {
    const { leader, followers } = await rolesOf();
    const [witness, victim] = followers;
    if (witness === undefined || victim === undefined) throw new Error("no followers");
    await observer.open(witness.url, `${PREFIX}/subnets/`);
    const reserved = `${PREFIX}/subnets/10.3.200.0-24&fd00:12:0:c8::-64`;
    const value = (ip: string): Buffer =>
      Buffer.from(JSON.stringify({ PublicIP: ip, PublicIPv6: "2001:db8::1" }));
    const calledAt = performance.now();
    await witness.putBytes(reserved, value("192.0.2.20"));
    history.push({
      key: reserved,
      owner: "192.0.2.20",
      action: "acquire",
      calledAt,
      answeredAt: performance.now(),
      outcome: "done",
    });

    const kept = Array.from({ length: 8 }, (_, index) => open(index + 1, 10));
    const owner = open(20, 10);
    const keeping = await Promise.all(
      [...kept, owner].map(async (node) => {
        const lease = await acquire(node);
        // Ends with the signal, at the end of the test.
        follow(node, lease).catch(() => undefined);
        return { ended: keep(node, lease), node };
      }),
    );
    const over = new AbortController();
    const compacting = compactAgainAndAgain(witness, observer, over.signal);
    const churning = churn(20, over.signal);
    const expected = [...kept, owner].map(({ publicIp }) => publicIp);

    await victim.stop();
    await until(15_000, "renewals without the follower", renewedSince(kept));
    await victim.start();
    leader.pause(true);
    await until(15_000, "renewals without the leader", renewedSince(kept));
    leader.pause(false);
    const again = (await rolesOf()).leader;
    const next = again === witness ? victim : again;
    await next.stop();
    await until(15_000, "renewals after another death", renewedSince(kept));
    await next.start();
    over.abort(new Error("enough"));
    await Promise.all([compacting, churning]);

    const owners = (): readonly string[] =>
      [...observer.live.values()].map((entry) => String(JSON.parse(entry.value).PublicIP));
    // Those that came and went run out; those that are kept are all there (B5, B9).
    await until(25_000, "the kept leases alone", () => observer.live.size === expected.length);
    expect(owners().toSorted()).toEqual(expected.toSorted());
    expect(observer.removals.filter((one) => expected.includes(one.owner ?? ""))).toEqual([]);
    expect(observer.violations).toEqual([]);
    expect(checkLinearizable(completeHistory())).toEqual({ linearizable: true });
    const { leases = [] } = (await witness.post("lease/leases", {})) as { leases?: unknown[] };
    expect(leases.length).toBeLessThanOrEqual(2 * nodes.length);
    expect(observer.live.get(reserved)?.leaseId).toBeUndefined();

    // What every node was shown, the store held, and in that order (C1).
    for (const { publicIp, peers } of [...kept, owner]) {
      const behind = (): string | undefined => firstUnheld(publicIp, peers, observer.states);
      await until(5000, `${publicIp} to know the newest`, () => behind() === undefined);
      expect(peers.length).toBeGreaterThan(kept.length);
    }

    // Whoever loses its key to another says so within two seconds, and writes nothing over it (B1, B3').
    const loser = [...observer.live.values()].find(({ value: text }) =>
      text.includes('"192.0.2.1"'),
    );
    await witness.putBytes(loser?.key ?? "", value("192.0.2.99"));
    const lostMs = performance.now();
    expect(await keeping[0]?.ended).toMatchObject({ code: "lease-lost" });
    expect(performance.now() - lostMs).toBeLessThan(2000);
    await until(2000, "the observer", () => observer.violations.length > 0);
    expect(observer.violations).toHaveLength(1);
    expect(observer.violations[0]).toMatch(/^A4 .* from 192\.0\.2\.1 to 192\.0\.2\.99$/);
  });

  test("F7: nodes that write without conditions are caught, by the observer and by their history", async () => {
    await observer.open(members[0]?.url ?? "", `${PREFIX}/subnets/`);
    const preferred = { 4: "10.3.7.0/24" as Cidr, 6: "fd00:12:0:7::/64" as Cidr };
    // All have read before the first writes: what conditions are there for.
    const gather = gathering(5);
    const careless = (store: KeyValueStore): KeyValueStore => withoutConditions(store, gather);
    const five = Array.from({ length: 5 }, (_, index) => open(index + 1, 60, careless));
    await Promise.all(five.map((node) => acquire(node, preferred)));
    await until(2000, "the observer", () => observer.violations.length > 0);
    expect(observer.violations[0]).toMatch(/^A4 at revision \d+: .* passed from /);
    expect(checkLinearizable(completeHistory())).toMatchObject({ linearizable: false });
  });

  /** True once every node wrote its key again. */
  const renewedSince = (some: readonly Node[]): (() => boolean) => {
    const sinceMs = performance.now();
    return () =>
      some.every(({ publicIp }) =>
        history.some(
          (one) =>
            one.owner === publicIp &&
            one.action === "renew" &&
            one.outcome === "done" &&
            one.calledAt > sinceMs,
        ),
      );
  };

  /** Nodes that come, and go without a word: their leases of two seconds run out and go to others. */
  const churn = async (first: number, signal: AbortSignal): Promise<void> => {
    for (let number = first + 1; !signal.aborted && number < 90; number++) {
      const node = open(number, 2);
      await Promise.allSettled([acquire(node), until(300, "a moment", () => signal.aborted)]);
    }
  };
});

/** Lets nobody go on before so many have come. */
function gathering(count: number): () => Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  let came = 0;
  return () => {
    if (++came >= count) resolve();
    return promise;
  };
}

function withoutConditions(store: KeyValueStore, gather: () => Promise<void>): KeyValueStore {
  return {
    endpoints: store.endpoints,
    range: (range, options) => store.range(range, options),
    txn: async (transaction, options) => {
      await gather();
      return store.txn({ ...transaction, compare: [] }, options);
    },
    watch: (range, fromRevision, options) => store.watch(range, fromRevision, options),
    grantLease: (ttlSeconds, options) => store.grantLease(ttlSeconds, options),
    revokeLease: (leaseId, options) => store.revokeLease(leaseId, options),
    timeToLive: (leaseId, options) => store.timeToLive(leaseId, options),
    reconnect: () => store.reconnect(),
    close: () => store.close(),
  };
}

/** Forgets all history but the last revision, ten times a second. */
async function compactAgainAndAgain(
  member: EtcdServer,
  observer: Observer,
  signal: AbortSignal,
): Promise<void> {
  const clock = new SystemClock();
  let compacted = 0;
  const pause = (): Promise<void> => clock.sleep(100, signal).catch(() => undefined);
  for (; !signal.aborted; await pause()) {
    if (observer.revision <= compacted) continue;
    compacted = observer.revision;
    await Promise.allSettled([member.compact(compacted)]);
  }
}
