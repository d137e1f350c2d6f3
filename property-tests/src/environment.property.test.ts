/**
 * The machine under the agents changes while they run, restart and lose answers of the store: addresses, MTU, links. Once it is quiet, device,
 * lease, subnet.env and what peers hold are those of the machine as it is; and until then no address is published twice, and
 * no key passes from one node to another.
 */
import * as registry from "agent/backends/registry.ts";
import type { Cidr } from "agent/core/ip.ts";
import { runDaemon } from "agent/daemon.ts";
import { MemoryKernel } from "agent/kernel/memory-kernel.ts";
import { MemoryDatabase } from "agent/subnet-manager/etcd/memory-database.ts";
import type { MemoryStore } from "agent/subnet-manager/etcd/memory-store.ts";
import { openMemorySubnetManager } from "agent/subnet-manager/etcd/memory-subnet-manager.ts";
import { ManualClock } from "agent/system/manual-clock.ts";
import { MemoryFiles } from "agent/system/memory-files.ts";
import { MemoryLog } from "agent/system/memory-log.ts";
import { SeededRandom } from "agent/system/seeded-random.ts";
import * as fc from "fast-check";
import { expect, test } from "vitest";

const PREFIX = "/coreos.com/network";
const SUBNETS = `${PREFIX}/subnets/`;
const SUBNET_FILE = "/run/flannel/subnet.env";
const TTL_SECONDS = 120;
/** Longer than any lease lives that nobody keeps, and any wait for another try. */
const QUIET_MS = 3 * TTL_SECONDS * 1000;
const MTUS = [1400, 1500, 9000];
/** Addresses that each node may have, so that an address tells the node. */
const CHOICES = 3;
const FAMILIES = ["4", "6"] as const;
type Family = (typeof FAMILIES)[number];
const OVERHEAD: Record<string, Record<Family, number>> = {
  vxlan: { 4: 50, 6: 70 },
  "host-gw": { 4: 0, 6: 0 },
};

type Change =
  | {
      /** While the agent runs, or while it does not. */
      readonly kind: "address" | "address-at-restart";
      readonly family: Family;
      readonly choice: number;
    }
  | { readonly kind: "no-address" | "beside"; readonly family: Family }
  | { readonly kind: "mtu"; readonly mtu: number }
  | { readonly kind: "down" | "up" | "delete" | "restart" | "stop" | "start" | "cut" | "mend" }
  | { readonly kind: "lose-replies" | "lose-requests"; readonly count: number };

type Step = { readonly node: number; readonly change: Change } | { readonly passMs: number };

const family = fc.constantFrom(...FAMILIES);
const change: fc.Arbitrary<Change> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc
      .record({
        kind: fc.constantFrom("address", "address", "address-at-restart"),
        family: fc.constantFrom("4", "4", "6"),
        choice: fc.nat({ max: CHOICES - 1 }),
      })
      .map((one): Change => one),
  },
  family.map((one): Change => ({ kind: "no-address", family: one })),
  family.map((one): Change => ({ kind: "beside", family: one })),
  fc.constantFrom(...MTUS).map((mtu): Change => ({ kind: "mtu", mtu })),
  fc
    .constantFrom("down", "up", "delete", "restart", "stop", "start", "cut", "mend")
    .map((kind): Change => ({ kind })),
  fc
    .record({
      kind: fc.constantFrom("lose-replies", "lose-requests"),
      count: fc.integer({ min: 1, max: 3 }),
    })
    .map((one): Change => one),
);
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 3, arbitrary: fc.record({ node: fc.nat({ max: 1 }), change }) },
  {
    weight: 2,
    arbitrary: fc
      .oneof(fc.nat({ max: 3_000 }), fc.nat({ max: 15_000 }), fc.nat({ max: TTL_SECONDS * 1000 }))
      .map((passMs): Step => ({ passMs })),
  },
);

function ipOf(node: number, which: Family, choice: number): string {
  const last = 10 * (node + 1) + choice;
  return which === "4" ? `192.0.2.${last}` : `2001:db8::${last}`;
}

function prefixed(ip: string): Cidr {
  return (ip.includes(":") ? `${ip}/64` : `${ip}/24`) as Cidr;
}

/** Which node an address is of. */
function nodeOf(ip: unknown): number {
  return Math.floor(Number(/(\d+)$/.exec(String(ip))?.[1]) / 10) - 1;
}

interface Stored {
  readonly key: string;
  readonly createRevision: number;
  readonly value: Readonly<Record<string, unknown>>;
}

class World {
  readonly clock = new ManualClock();
  readonly database = new MemoryDatabase(this.clock);
  readonly nodes: readonly Machine[];
  readonly violations: string[] = [];
  #owners = new Map<string, number>();

  constructor(type: string, families: readonly Family[]) {
    const both = families.length > 1;
    const six = both ? { EnableIPv6: true, IPv6Network: "fd00:42::/56" } : {};
    const config = { Network: "10.42.0.0/16", ...six, Backend: { Type: type } };
    this.database.put(`${PREFIX}/config`, JSON.stringify(config));
    this.nodes = [0, 1].map((number) => new Machine(this, number, type, families));
    this.database.onChange(() => this.#check());
  }

  leases(): readonly Stored[] {
    return this.database.range({ prefix: SUBNETS }).entries.map((entry) => ({
      key: entry.key.slice(SUBNETS.length),
      createRevision: entry.createRevision,
      value: JSON.parse(entry.value) as Record<string, unknown>,
    }));
  }

  #check(): void {
    const seen = new Set<unknown>();
    const owners = new Map<string, number>();
    for (const { key, createRevision, value } of this.leases()) {
      const { PublicIP: publicIp } = value;
      const instance = `${key} @${createRevision}`;
      // A node whose new address another lease has names none meanwhile, and its key stays its own.
      const isNameless = publicIp === "0.0.0.0";
      if (!isNameless && seen.has(publicIp))
        this.violations.push(`A3: ${String(publicIp)} owns two keys`);
      seen.add(publicIp);
      const owner = isNameless ? this.#owners.get(instance) : nodeOf(publicIp);
      if (owner === undefined) continue;
      if ((this.#owners.get(instance) ?? owner) !== owner)
        this.violations.push(`A4: ${instance} becomes one of ${String(publicIp)}`);
      owners.set(instance, owner);
    }
    this.#owners = owners;
  }
}

/** A node's kernel and files, which outlive its agents, and its way to the store. */
class Machine {
  readonly kernel = new MemoryKernel();
  readonly files = new MemoryFiles();
  readonly log = new MemoryLog();
  readonly number: number;
  readonly type: string;
  readonly families: readonly Family[];
  readonly addresses = new Map<Family, string>();
  mtu = 1500;
  ready = false;
  readonly #world: World;
  #store: MemoryStore | undefined;
  #cut = false;
  #stop: AbortController | undefined;
  #ended: Promise<unknown> = Promise.resolve();
  #lives = 0;

  constructor(world: World, number: number, type: string, families: readonly Family[]) {
    this.#world = world;
    this.number = number;
    this.type = type;
    this.families = families;
    for (const each of families) this.addresses.set(each, ipOf(number, each, 0));
    this.#addInterface();
  }

  #addInterface(): void {
    const { mtu } = this;
    const addresses = [...this.addresses.values()].map(prefixed);
    this.kernel.addInterface({ name: "eth0", mtu, addresses });
  }

  get isThere(): boolean {
    return this.lines(/^link eth0 /).length > 0;
  }

  async play(next: Change): Promise<void> {
    const { kernel, addresses } = this;
    switch (next.kind) {
      case "address":
        return this.#move(next.family, ipOf(this.number, next.family, next.choice));
      case "address-at-restart":
        await this.stop();
        this.#move(next.family, ipOf(this.number, next.family, next.choice));
        return this.start();
      case "no-address":
        return this.#move(next.family, undefined);
      case "beside":
        if (this.isThere)
          kernel.addAddress("eth0", prefixed(ipOf(this.number, next.family, CHOICES)));
        return;
      case "mtu":
        this.mtu = next.mtu;
        if (this.isThere) kernel.setMtu("eth0", next.mtu);
        return;
      case "down":
        if (this.isThere) kernel.setUp("eth0", false);
        return;
      case "up":
        if (!this.isThere) return this.#addInterface();
        kernel.setUp("eth0", true);
        // What the kernel dropped when it went down, as a network manager does.
        for (const ip of addresses.values()) kernel.addAddress("eth0", prefixed(ip));
        return;
      case "delete":
        if (this.isThere) kernel.removeInterface("eth0");
        return;
      case "cut":
      case "mend":
        this.#cut = next.kind === "cut";
        this.#store?.setConnected(!this.#cut);
        return;
      case "lose-replies":
        this.#store?.loseReplies(next.count, "txn");
        return;
      case "lose-requests":
        this.#store?.fail(next.count);
        return;
      case "stop":
        return this.stop();
      case "start":
        return this.start();
      case "restart":
        await this.stop();
        return this.start();
    }
  }

  #move(which: Family, to: string | undefined): void {
    if (!this.families.includes(which)) return;
    const before = this.addresses.get(which);
    if (to === undefined) this.addresses.delete(which);
    else this.addresses.set(which, to);
    if (!this.isThere || before === to) return;
    if (to !== undefined) this.kernel.addAddress("eth0", prefixed(to));
    if (before !== undefined) this.kernel.removeAddress("eth0", prefixed(before));
  }

  start(): void {
    if (this.#stop !== undefined) return;
    const { clock, database } = this.#world;
    const stop = (this.#stop = new AbortController());
    const random = new SeededRandom(1000 * this.number + ++this.#lives);
    const { log, kernel, files } = this;
    const { subnetManager, store } = openMemorySubnetManager({
      prefix: PREFIX,
      clock,
      database,
      random,
      log,
      leaseTtlSeconds: TTL_SECONDS,
      renewMarginMinutes: 1,
    });
    store.setConnected(!this.#cut);
    this.#store = store;
    const none = { patterns: [], canReach: "", publicIp: "", publicIpv6: "" };
    const backends = new Map(Object.values(registry).map((one) => [one.type, one]));
    this.#ended = runDaemon(
      {
        interfaceWishes: { names: ["eth0"], ...none },
        subnetFile: SUBNET_FILE,
        onReady: (ready) => (this.ready = ready),
      },
      { subnetManager, kernel, backends, files, clock, random, log },
      stop.signal,
    )
      .catch((error: unknown) => log.error({ err: error }, String(error)))
      .finally(() => {
        void store.close();
        if (this.#stop === stop) this.#stop = undefined;
      });
  }

  async stop(): Promise<void> {
    this.#stop?.abort(new Error("asked to stop"));
    await this.#ended;
  }

  /** Everything works again, and the interface has one address of each family. */
  async heal(): Promise<void> {
    await this.play({ kind: "mend" });
    this.#store?.loseReplies(0, "txn");
    this.#store?.fail(0);
    for (const each of this.families) {
      if (!this.addresses.has(each)) this.addresses.set(each, ipOf(this.number, each, 0));
      if (this.isThere)
        this.kernel.removeAddress("eth0", prefixed(ipOf(this.number, each, CHOICES)));
    }
    await this.play({ kind: "up" });
  }

  lines(pattern: RegExp): readonly string[] {
    return this.kernel
      .print()
      .split("\n")
      .filter((line) => pattern.test(line));
  }
}

/** What is wrong with one node once all is quiet. */
function looksWrong(world: World, node: Machine, peer: Machine): readonly string[] {
  const wrong: string[] = [];
  const same = (what: string, is: unknown, expected: unknown): void => {
    const [a, b] = [JSON.stringify(is), JSON.stringify(expected)];
    if (a !== b) wrong.push(`node ${node.number}: ${what} is ${a}, expected ${b}`);
  };
  const leaseOf = ({ addresses }: Machine): Stored | undefined =>
    world.leases().find(({ value }) => value["PublicIP"] === addresses.get("4"));
  const [own, other] = [leaseOf(node), leaseOf(peer)];
  same("ready", node.ready, true);
  if (own === undefined || other === undefined) return [...wrong, "a lease is missing"];
  const overhead = Math.max(...node.families.map((each) => OVERHEAD[node.type]?.[each] ?? 0));
  const env = node.files.texts.get(SUBNET_FILE) ?? "";
  same("FLANNEL_MTU", /FLANNEL_MTU=(\d+)/.exec(env)?.[1], String(node.mtu - overhead));
  const subnet = /FLANNEL_SUBNET=([\d.]+)\.1\/24/.exec(env)?.[1];
  same("FLANNEL_SUBNET", `${subnet}.0-24`, own.key.split("&")[0]);
  for (const [index, each] of node.families.entries()) {
    const ip = node.addresses.get(each);
    same(`public IPv${each}`, own.value[each === "4" ? "PublicIP" : "PublicIPv6"], ip);
    const block = other.key.split("&")[index]?.replace(/-(\d+)$/, "/$1") ?? "none";
    const to = peer.addresses.get(each);
    const inNetwork = each === "4" ? /^route 10\.42\./ : /^route fd00:42:/;
    if (node.type === "host-gw") {
      same("routes", node.lines(inNetwork), [`route ${block} via ${to} dev eth0 proto 116`]);
      continue;
    }
    const name = each === "4" ? "flannel.1" : "flannel-v6.1";
    const [device = ""] = node.lines(new RegExp(`^link ${name} `));
    same("source", / local (\S+)/.exec(device)?.[1], ip);
    same("MTU", / mtu (\d+)/.exec(device)?.[1], String(node.mtu - (each === "4" ? 50 : 70)));
    const data = other.value[each === "4" ? "BackendData" : "BackendV6Data"];
    const { VtepMAC: mac } = data as { readonly VtepMAC: string };
    const [via] = block.split("/");
    same("routes", node.lines(inNetwork), [`route ${block} via ${via} dev ${name} onlink`]);
    same("FDB", node.lines(new RegExp(`^fdb .* ${name} `)), [
      `fdb ${mac} dev ${name} dst ${to} self permanent`,
    ]);
    same("neighbours", node.lines(new RegExp(`^neigh .* ${name} `)), [
      `neigh ${via} dev ${name} lladdr ${mac} PERMANENT`,
    ]);
  }
  return wrong;
}

async function settle(world: World): Promise<void> {
  for (const node of world.nodes) await node.heal();
  for (let passedMs = 0; passedMs < QUIET_MS; passedMs += 10_000) {
    // As a supervisor does with one that has ended.
    for (const node of world.nodes) node.start();
    await world.clock.advance(10_000);
  }
}

test("D1, A3, A4, B3', E1, E2: whatever becomes of the interfaces, once it is quiet everything is as they are", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom("vxlan", "host-gw"),
      fc.boolean(),
      fc.array(step, { minLength: 1, maxLength: 25 }),
      async (type, both, steps) => {
        const world = new World(type, both ? FAMILIES : ["4"]);
        for (const node of world.nodes) node.start();
        await world.clock.advance(2_000);
        for (const one of steps)
          if ("passMs" in one) await world.clock.advance(one.passMs);
          else await world.nodes[one.node]?.play(one.change);
        await settle(world);
        const [first, second] = world.nodes;
        if (first === undefined || second === undefined) throw new Error("two nodes");
        const wrong = [
          ...world.violations,
          ...looksWrong(world, first, second),
          ...looksWrong(world, second, first),
        ];
        for (const node of world.nodes) await node.stop();
        world.database.close();
        expect(wrong).toEqual([]);
      },
    ),
  );
});
