/** Whole agents on a real etcd that others write to: every revision is watched, and kernels must show what the leases say. */
import { EtcdServer, until } from "agent/subnet-manager/etcd/etcd3-test-server.ts";
import { storeUnavailable } from "agent/subnet-manager/etcd/errors.ts";
import type { KeyValueStore } from "agent/subnet-manager/etcd/key-value-store.ts";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { requires } from "linux/testing";
import { SUBNETS } from "../sim/actors.ts";
import { type StoredSubnets, blockOf, contains, readStored } from "../sim/stored.ts";
import { deviceLines, expectedPeerLines, peerLines, untilAllEqual } from "./kernel-lines.ts";
import { Observer } from "./observer.ts";
import { NETWORK, Operator, leaseValue } from "./operator.ts";
import { type PoisonEntry, poisonEntries } from "./poison-entries.ts";
import {
  HeldClock,
  type Machine,
  WholeAgent,
  type WholeAgentOptions,
  openMachine,
} from "./whole-agent.ts";
import { wrapStore } from "./wrapped-store.ts";

/** Invariants B1 and B10. */
const LOST_WITHIN_MS = 2000;
const BACK_WITHIN_MS = 5000;

requires("etcd")("whole agents on a real etcd", () => {
  let server: EtcdServer;
  let operator: Operator;
  let observer: Observer;
  let agents: WholeAgent[];
  let networks: readonly string[];

  beforeAll(async () => {
    server = await EtcdServer.open();
    operator = new Operator(server);
  });

  afterAll(() => server[Symbol.asyncDispose]());

  beforeEach(async () => {
    [agents, networks] = [[], ["10.42.0.0/16"]];
    observer = new Observer(fitsNetwork);
    await operator.configure();
    await observer.open(server.url, SUBNETS, (await operator.revision()) + 1);
  });

  afterEach(async () => {
    await Promise.all(agents.map((agent) => agent.stop()));
    await observer.close();
    await operator.wipe();
  });

  const fitsNetwork = ({ blocks }: StoredSubnets): boolean =>
    blocks.every(
      (block) =>
        block.length === 24 &&
        networks.some((text) => {
          const network = blockOf(text);
          return network !== undefined && contains(network, block);
        }),
    );

  const start = (machine: Machine, options: Partial<WholeAgentOptions> = {}): WholeAgent => {
    const agent = new WholeAgent(machine, { endpoints: [server.url], ...options });
    agents.push(agent);
    return agent;
  };
  const startReady = async (
    machine: Machine,
    options: Partial<WholeAgentOptions> = {},
  ): Promise<WholeAgent> => {
    const agent = start(machine, options);
    await until(10_000, "the agent to be ready", () => agent.ready);
    return agent;
  };
  const allEqual = (...some: readonly WholeAgent[]): Promise<void> =>
    untilAllEqual(10_000, some, () => operator.live());
  /** The key of the node, without the prefix. */
  const nameOf = async ({
    publicIp,
  }: {
    readonly publicIp: string;
  }): Promise<string | undefined> => {
    const own = (await operator.live()).filter((entry) => readStored(entry)?.owner === publicIp);
    expect(own.length).toBeLessThanOrEqual(1);
    return own[0]?.key.slice(SUBNETS.length);
  };

  test("A1, A2, A3, A4, A5, A10: a restart keeps the subnet; after its end it is taken again if free, and never from another node", async () => {
    const machine = openMachine(1);
    const first = await startReady(machine);
    const name = await nameOf(machine);
    await first.stop();
    const second = await startReady(machine, { leaseTtlSeconds: 2 });
    expect(await nameOf(machine)).toBe(name);
    expect(observer.removals).toEqual([]);

    await second.stop();

    await until(10_000, "the lease to run out", () => observer.live.size === 0);
    const third = await startReady(machine, { leaseTtlSeconds: 2 });
    expect(await nameOf(machine)).toBe(name);

    await third.stop();

    await until(10_000, "the lease to run out", () => observer.live.size === 0);
    const others = leaseValue("192.0.2.200", "02:00:00:00:00:c8");
    await operator.put(name ?? "", others);

    const fourth = await startReady(machine, { leaseTtlSeconds: 2 });
    expect(await nameOf(machine)).not.toBe(name);
    expect(observer.live.get(`${SUBNETS}${name}`)).toMatchObject({ value: others, version: 1 });
    // The peer's tunnel address is the one this node had before.
    expect(peerLines(machine)).toEqual(expectedPeerLines("192.0.2.1", await operator.live()));
    await allEqual(fourth);
    expect(observer.violations).toEqual([]);
  });

  test("A1, A2, A3, A11: a configuration that the lease does not fit: the old key goes as the new one comes, and so does its traffic", async () => {
    const [peer, mover] = [openMachine(1), openMachine(2)];
    const [followed, moving] = [await startReady(peer), await startReady(mover)];
    await allEqual(followed, moving);
    const before = await nameOf(mover);
    await moving.stop();
    networks = ["10.42.0.0/16", "10.43.0.0/16"];
    await operator.configure({ Network: "10.43.0.0/16", Backend: NETWORK.Backend });
    const moved = await startReady(mover);
    const after = await nameOf(mover);
    expect(after).toMatch(/^10\.43\./);
    await until(5000, "the observer", () => observer.live.has(`${SUBNETS}${after}`));
    expect(observer.states).toHaveLength(3);
    // Never both, and never neither: one revision takes the one and brings the other.
    const last = observer.states.at(-1);
    const beforeLast = observer.states.at(-2);
    expect(beforeLast?.has(`${SUBNETS}${before}`)).toBe(true);
    expect(beforeLast?.has(`${SUBNETS}${after}`)).toBe(false);
    expect(last?.has(`${SUBNETS}${before}`)).toBe(false);
    expect(last?.has(`${SUBNETS}${after}`)).toBe(true);
    expect(deviceLines(mover).join("\n")).not.toContain("10.42.");
    await until(
      5000,
      "the peer to follow",
      () => !peerLines(peer).join("\n").includes("192.0.2.2"),
    );
    expect(moved.ready && followed.ready).toBe(true);
    expect(observer.violations).toEqual([]);
  });

  test("A13, C7: fifty bad entries change nothing for anybody and are named once", async () => {
    const early = await startReady(openMachine(1));
    const sound = leaseValue("192.0.2.77", "02:00:00:00:00:4d");
    await operator.put("10.42.77.0-24", sound);
    await allEqual(early);
    const shown = [peerLines(early.machine), deviceLines(early.machine)];
    const own = (await nameOf(early)) ?? "";
    const entries = poisonEntries(own.replace(/\d+-24$/, "128-25"));
    for (const { name, value } of entries) await operator.put(name, value);
    const late = await startReady(openMachine(2));
    await until(5000, "the late one at the early one", () =>
      peerLines(early.machine).join("\n").includes("192.0.2.2 "),
    );
    const good = (await operator.live()).filter(({ key }) =>
      entries.every(({ name }) => key !== SUBNETS + name),
    );
    expect(good).toHaveLength(3);
    expect(peerLines(early.machine)).toEqual(expectedPeerLines("192.0.2.1", good));
    expect(peerLines(late.machine)).toEqual(expectedPeerLines("192.0.2.2", good));
    expect(peerLines(early.machine)).toEqual(expect.arrayContaining([...(shown[0] ?? [])]));
    expect(deviceLines(early.machine)).toEqual(shown[1]);
    expect([...early.removed, ...late.removed]).toEqual([]);
    // A compaction and a lost connection bring a new list: known nonsense is no news.
    await operator.compact();
    await server.stop();
    await server.start();
    await operator.put("10.42.78.0-24", leaseValue("192.0.2.78", "02:00:00:00:00:4e"));
    await until(10_000, "the newest", () =>
      [early, late].every(({ machine }) => peerLines(machine).join("\n").includes("192.0.2.78 ")),
    );
    for (const { lines } of [early, late]) {
      const said = lines.map(({ message }) => message);
      const named = ({ spellings }: PoisonEntry): number =>
        said.filter((line) => spellings.some((one) => line.includes(one))).length;
      expect(entries.filter((entry) => named(entry) !== 1)).toEqual([]);
    }
    expect([...early.removed, ...late.removed]).toEqual([]);
  });

  test("A7: with one subnet left one agent wins, the others say out of subnets and leave no device", async () => {
    const small = { ...NETWORK, SubnetMin: "10.42.5.0", SubnetMax: "10.42.7.0" };
    await operator.configure(small);
    const settled = await Promise.all([startReady(openMachine(1)), startReady(openMachine(2))]);
    const racers = Array.from({ length: 10 }, (_, index) => start(openMachine(11 + index)));
    await until(10_000, "all to know", () => racers.filter(({ ready }) => ready).length === 1);
    const [winner] = racers.filter(({ ready }) => ready);
    const losers = racers.filter((racer) => racer !== winner);
    for (const error of await Promise.all(losers.map(({ ended }) => ended)))
      expect(error).toMatchObject({
        code: "subnet-exhausted",
        message: expect.stringMatching(/^out of subnets: .* 3 leased/),
      });
    expect(losers.flatMap(({ machine }) => deviceLines(machine))).toEqual([]);
    await allEqual(...settled, ...(winner === undefined ? [] : [winner]));
    expect(observer.live.size).toBe(3);
    expect(observer.violations).toEqual([]);
  });

  test("A3, A9: a reservation stays one through start, restart and change of data, and is its node's only", async () => {
    await operator.configure({ ...NETWORK, SubnetMin: "10.42.5.0", SubnetMax: "10.42.5.0" });
    await operator.put("10.42.5.0-24", leaseValue("192.0.2.1", "02:00:00:00:00:01"));
    const reservedAt = (await operator.live())[0]?.createRevision;
    const refused = start(openMachine(2));
    expect(await refused.ended).toMatchObject({ code: "subnet-exhausted" });
    const first = await startReady(openMachine(1), { leaseTtlSeconds: 2 });
    await first.stop();
    // Another machine with this address has another hardware address: its data are written, its etcd lease is none.
    const second = await startReady(openMachine(1), { leaseTtlSeconds: 2 });
    await operator.put("10.42.6.0-24", leaseValue("192.0.2.3", "02:00:00:00:00:03"));
    await allEqual(second);
    const [entry] = await operator.live();
    expect(entry).toMatchObject({ key: `${SUBNETS}10.42.5.0-24`, createRevision: reservedAt });
    expect(entry?.leaseId).toBeUndefined();
    const mac = /address (\S+) mtu/.exec(deviceLines(second.machine).join("\n"))?.[1] ?? "none";
    expect(entry?.value).toContain(mac);
    expect(observer.removals).toEqual([]);
    expect(observer.violations).toEqual([]);
  });

  test("B1, B3', B9, B10: a deleted key and a revoked etcd lease come back with the same subnet; a key of another owner ends the agent", async () => {
    const [one, two] = await Promise.all([startReady(openMachine(1)), startReady(openMachine(2))]);
    await allEqual(one, two);
    const name = (await nameOf(one)) ?? "";
    const key = SUBNETS + name;
    const untilBack = async (): Promise<number> => {
      const sinceMs = performance.now();
      await until(2 * BACK_WITHIN_MS, "the key", async () => (await nameOf(one)) !== undefined);
      return performance.now() - sinceMs;
    };

    await operator.remove(name);
    expect(await untilBack()).toBeLessThan(LOST_WITHIN_MS);
    const kept = (await operator.live()).find((entry) => entry.key === key);
    await operator.revoke(kept?.leaseId ?? "");
    expect(await untilBack()).toBeLessThan(BACK_WITHIN_MS);
    expect(await nameOf(one)).toBe(name);
    await allEqual(one, two);
    await until(BACK_WITHIN_MS, "readiness", async () => one.ready);
    expect(one.readiness.map(({ ready }) => ready)).toEqual([true, false, true, false, true]);
    expect(observer.removals).toHaveLength(2);
    expect(observer.violations).toEqual([]);

    await operator.put(name, leaseValue("192.0.2.99", "02:00:00:00:00:63"));
    const lostMs = performance.now();
    expect(await one.ended).toMatchObject({ code: "lease-lost" });
    expect(one.readiness.at(-1)).toMatchObject({ ready: false });
    expect((one.readiness.at(-1)?.atMs ?? 0) - lostMs).toBeLessThan(LOST_WITHIN_MS);
    await allEqual(two);
    expect(observer.live.get(key)?.value).toContain("192.0.2.99");
    expect(observer.violations).toHaveLength(1);
    expect(observer.violations[0]).toMatch(/^A4 .* from 192\.0\.2\.1 to 192\.0\.2\.99$/);
  });

  test("B8, B9: replies to a claim and to a renewal that are lost cost no key and pile up no etcd leases", async () => {
    const before = new Set(await operator.leaseIds());
    let [replies, most] = [0, 0];
    const losing = (store: KeyValueStore): KeyValueStore => ({
      ...wrapStore(store, (_verb, ask) => ask()),
      txn: async (transaction, options) => {
        const result = await store.txn(transaction, options);
        // The first of the claim and the first of a renewal: those after them tell what became of these.
        if ([1, 3].includes(++replies))
          throw storeUnavailable("write", store.endpoints, new Error("the reply was lost"));
        return result;
      },
    });
    const agent = await startReady(openMachine(1), { leaseTtlSeconds: 3, wrap: losing });
    const key = SUBNETS + ((await nameOf(agent)) ?? "");
    await until(15_000, "three renewals", async () => {
      const made = (await operator.leaseIds()).filter((id) => !before.has(id));
      most = Math.max(most, made.length);
      return (observer.live.get(key)?.version ?? 0) >= 4;
    });
    expect(replies).toBeGreaterThan(4);
    expect(most).toBeLessThanOrEqual(2);
    expect(observer.removals).toEqual([]);
    expect(observer.violations).toEqual([]);
    expect(agent.readiness).toHaveLength(1);
  });

  test("C3, C5, C6: a new list tells of attributes that changed, and never that the own lease is gone", async () => {
    const clock = new HeldClock();
    const agent = await startReady(openMachine(1), { clock });
    await operator.put("10.42.30.0-24", leaseValue("192.0.2.30", "02:00:00:00:00:30"));
    await allEqual(agent);
    const own = (await nameOf(agent)) ?? "";
    const [ownEntry] = (await operator.live()).filter(({ key }) => key === SUBNETS + own);
    // Twice: the reference's mistake begins with the second list.
    for (const last of [31, 32]) {
      const release = clock.hold();
      await server.stop();
      await server.start();
      await operator.put("10.42.30.0-24", leaseValue(`192.0.2.${last}`, `02:00:00:00:00:${last}`));
      await operator.bump();
      await operator.compact();
      release();
      await allEqual(agent);
      expect(peerLines(agent.machine)).toEqual([
        `fdb 02:00:00:00:00:${last} dev flannel.1 dst 192.0.2.${last} self permanent`,
        `neigh 10.42.30.0 dev flannel.1 lladdr 02:00:00:00:00:${last} PERMANENT`,
        "route 10.42.30.0/24 via 10.42.30.0 dev flannel.1 onlink",
      ]);
    }
    expect(agent.readiness).toHaveLength(1);
    expect((await operator.live()).find(({ key }) => key === SUBNETS + own)).toEqual(ownEntry);
    const shown = agent.peers.flat().map(({ subnets }) => subnets[4]);
    expect([...new Set(shown)]).toEqual(["10.42.30.0/24"]);
    expect(
      agent.removed.filter(({ object }) => object.kind === "route" || object.kind === "link"),
    ).toEqual([]);
  });

  describe("C8: a look-up of a time to live that fails for ever", () => {
    const failing = (store: KeyValueStore): KeyValueStore => ({
      ...wrapStore(store, (_verb, ask) => ask()),
      timeToLive: () =>
        Promise.reject(
          storeUnavailable("read an etcd lease", store.endpoints, new Error("leader lost")),
        ),
    });

    test("drops no peer", async () => {
      const running = await Promise.all(
        [1, 2, 3].map((number) =>
          startReady(openMachine(number), { leaseTtlSeconds: 3, wrap: failing }),
        ),
      );
      await allEqual(...running);
      await until(15_000, "two renewals", () =>
        [...observer.live.values()].every(({ version }) => version > 2),
      );
      await allEqual(...running);
      expect(observer.removals).toEqual([]);
      expect(running.flatMap(({ removed }) => removed)).toEqual([]);
    });

    test("holds up no start", async () => {
      const machine = openMachine(1);
      const first = await startReady(machine);
      await first.stop();
      // Somebody else's data under our own etcd lease: what the look-up before a warning is for.
      const [entry] = await operator.live();
      const strange = (entry?.value ?? "").replace("vxlan", "host-gw");
      await operator.put((await nameOf(machine)) ?? "", strange, entry?.leaseId);
      const second = await startReady(machine, { wrap: failing });
      await allEqual(second);
      expect(observer.removals).toEqual([]);
    });

    test("costs no key that another etcd lease holds meanwhile", async () => {
      const agent = await startReady(openMachine(1), { leaseTtlSeconds: 3, wrap: failing });
      const [entry] = await operator.live();
      const name = (await nameOf(agent)) ?? "";
      const leaseId = await operator.grant(3);
      await operator.put(name, entry?.value ?? "", leaseId);
      await until(15_000, "the end of that etcd lease", async () => {
        expect(observer.removals).toEqual([]);
        return !(await operator.leaseIds()).includes(leaseId);
      });
      expect(await nameOf(agent)).toBe(name);
      expect(observer.removals).toEqual([]);
    });
  });
});
