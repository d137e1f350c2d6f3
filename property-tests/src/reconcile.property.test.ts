/** The incremental reconciler against the whole one, under changes, drift and refusals. */
import { PeerPlans, wholePlan } from "agent/backends/backend.ts";
import { parseIp } from "agent/core/ip.ts";
import type { Ip } from "agent/core/ip.ts";
import type { Lease } from "agent/core/lease.ts";
import type { Change, KernelObject } from "agent/kernel/kernel.ts";
import { printObject } from "agent/kernel/print.ts";
import { finish } from "agent/kernel/reconcile.ts";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ReconcileWorld, leaseOf, partialPeers, subnetOf } from "./reconcile-world.ts";
import type { BackendName, WorldOptions } from "./reconcile-world.ts";

const types: readonly BackendName[] = ["vxlan", "host-gw"];

/** Peers that overlap, share MACs and addresses, or publish nonsense, besides sound ones. */
function anyLease(type: BackendName): fc.Arbitrary<Lease> {
  const number = fc.integer({ min: 2, max: 6 });
  const sound = fc
    .record({
      node: number,
      mac: number,
      ip: number,
      length: fc.constantFrom(24, 24, 24, 23, 25, 22),
    })
    .map(({ node, mac, ip, length }) => {
      const base = length < 24 ? node - (node % 2 ** (24 - length)) : node;
      return leaseOf(type, node, { mac, ip: 512 + ip, subnet: subnetOf(base, length) });
    });
  const odd = fc.tuple(
    sound,
    fc.constantFrom<Partial<Lease>>(
      { backendType: "other" },
      { backendData: { 4: "nonsense" } },
      { publicIps: {} },
      { subnets: { 4: subnetOf(1) } },
    ),
  );
  return fc.oneof(
    { weight: 5, arbitrary: sound },
    { weight: 1, arbitrary: odd.map(([lease, change]) => ({ ...lease, ...change })) },
  );
}

/** Lists one after the other, each made of the same few leases, so that most of a list stays. */
function histories(type: BackendName): fc.Arbitrary<readonly (readonly Lease[])[]> {
  return fc
    .array(anyLease(type), { minLength: 1, maxLength: 10 })
    .chain((leases) => fc.array(fc.shuffledSubarray(leases), { minLength: 1, maxLength: 8 }));
}

const sorted = (objects: Iterable<KernelObject>): string[] =>
  [...objects].map((object) => JSON.stringify(object)).toSorted();

describe.each(types)("%s: planning peer by peer", (type) => {
  test("A13: any history of peers and routes ends in the plan of the last list", async () => {
    const { backend, own } = await ReconcileWorld.open({ type, options: directRouting(type) });
    const ips = [2, 3, 4, 5, 6].map((ip) => parseIp(`192.0.2.${ip}`));
    const routes = fc.dictionary(fc.constantFrom(...ips), fc.constantFrom("eth0", "eth1", ""));
    await fc.assert(
      fc.asyncProperty(histories(type), fc.array(routes, { maxLength: 8 }), async (lists, ways) => {
        const plans = new PeerPlans(backend.planner, own);
        let before: readonly Lease[] = [];
        const said = new Map<string, number>();
        let known = new Map<Ip, { destination: Ip; link: string }>();
        for (const [step, peers] of lists.entries()) {
          known = routesOf(ways[step] ?? {});
          const change = finish(
            plans.update({
              added: peers.filter((lease) => !before.includes(lease)),
              removed: before.filter((lease) => !peers.includes(lease)),
              routes: new Map(ips.map((ip) => [ip, known.get(ip)])),
            }),
          );
          before = peers;
          for (const text of change.complaints) said.set(text, (said.get(text) ?? 0) + 1);
          for (const text of change.settled) said.set(text, (said.get(text) ?? 0) - 1);
        }
        const whole = wholePlan(backend.planner, { own, peers: before, routes: known });
        expect(sorted(plans.wish.objects.values())).toEqual(sorted(whole.objects));
        for (const object of plans.wish.objects.values())
          expect(plans.wish.objects.get(object)).toBe(object);
        const complaints = [...said.values()].reduce((sum, count) => sum + count, 0);
        expect(complaints).toBe(whole.rejected.length + whole.warnings.length);
        expect(plans.complaints()).toHaveLength(complaints);
      }),
    );
  });
});

function directRouting(type: BackendName): object {
  return type === "vxlan" ? { DirectRouting: true } : {};
}

function routesOf(
  ways: Readonly<Record<string, string>>,
): Map<Ip, { destination: Ip; link: string }> {
  return new Map(
    Object.entries(ways)
      .filter(([, link]) => link !== "")
      .map(([ip, link]) => [ip as Ip, { destination: ip as Ip, link }]),
  );
}

describe.each(types)("%s: changes without a dump", (type) => {
  const options: WorldOptions = { type, tells: false };

  test("D1, D3: each list leaves exactly what a whole pass over a fresh kernel makes", async () => {
    await fc.assert(
      fc.asyncProperty(histories(type), async (lists) => {
        await using world = await ReconcileWorld.open(options);
        await world.start([]);
        const partial: Promise<readonly string[]>[] = [];
        world.afterChange = () => partial.push(partialPeers(world.kernel));
        const dumps = world.dumps;
        for (const peers of lists) {
          world.reconciler.setPeers(peers);
          await world.clock.advance(1);
          expect(world.kernel.print()).toBe(await world.expected(options, peers));
        }
        expect(world.dumps).toBe(dumps);
        expect((await Promise.all(partial)).flat()).toEqual([]);
      }),
    );
  });

  test("the cost of one changed peer does not depend on how many there are", async () => {
    const costs = [];
    for (const count of [10, 100, 1_000]) {
      await using world = await ReconcileWorld.open(options);
      const peers = Array.from({ length: count }, (_, index) => leaseOf(type, index + 2));
      await world.start(peers);
      const before = { dumps: world.dumps, asked: world.asked.length, planned: planned(world) };
      world.reconciler.setPeers([
        ...peers.slice(0, 5),
        leaseOf(type, 7, { mac: 5_000, ip: 5_000 }),
        ...peers.slice(6),
      ]);
      await world.clock.advance(1);
      costs.push({
        dumps: world.dumps - before.dumps,
        asked: world.asked.length - before.asked,
        planned: planned(world) - before.planned,
      });
    }
    const [first, ...rest] = costs;
    expect(first).toEqual({ dumps: 0, asked: type === "vxlan" ? 3 : 1, planned: 1 });
    for (const cost of rest) expect(cost).toEqual(first);
  });
});

function planned({ reconciler }: ReconcileWorld): number {
  return reconciler.counters().reconcile_peers_planned_total;
}

/** What befalls a node. */
type Step =
  | { readonly kind: "peers"; readonly peers: readonly Lease[] }
  | { readonly kind: "drift"; readonly pick: number; readonly alter: boolean }
  /** Refuses changes by their number from now on: those in the pattern, again and again. */
  | { readonly kind: "refuse"; readonly pattern: readonly boolean[]; readonly code: string }
  | { readonly kind: "accept" }
  | { readonly kind: "wait"; readonly ms: number };

const CODES = ["ENOMEM", "EINVAL", "EEXIST", "ENOBUFS", "EPERM", "ENETUNREACH", "ENODEV", "EBUSY"];

function steps(type: BackendName, drift: boolean): fc.Arbitrary<readonly Step[]> {
  const refuse = fc.record({
    kind: fc.constant("refuse" as const),
    pattern: fc.array(fc.boolean(), { minLength: 1, maxLength: 7 }),
    code: fc.constantFrom(...CODES),
  });
  return histories(type).chain((lists) =>
    fc.array(
      fc.oneof(
        fc.record({ kind: fc.constant("peers" as const), peers: fc.constantFrom(...lists) }),
        refuse,
        fc.constant({ kind: "accept" as const }),
        fc.record({ kind: fc.constant("wait" as const), ms: fc.constantFrom(1, 50, 900, 4_000) }),
        ...(drift
          ? [
              fc.record({
                kind: fc.constant("drift" as const),
                pick: fc.nat(50),
                alter: fc.boolean(),
              }),
            ]
          : []),
      ),
      { maxLength: 14 },
    ),
  );
}

async function act(world: ReconcileWorld, step: Step, accept: () => void): Promise<() => void> {
  switch (step.kind) {
    case "peers":
      world.reconciler.setPeers(step.peers);
      break;
    case "wait":
      await world.clock.advance(step.ms);
      break;
    case "accept":
      accept();
      break;
    case "refuse": {
      accept();
      let calls = 0;
      const { pattern, code } = step;
      return world.kernel.refuse(() => pattern[calls++ % pattern.length] ?? false, code);
    }
    case "drift":
      await tamper(world, step);
  }
  return accept;
}

/** Somebody deletes or alters one of our objects. */
async function tamper(
  { kernel, backend, own }: ReconcileWorld,
  { pick, alter }: { readonly pick: number; readonly alter: boolean },
): Promise<void> {
  const { scope } = backend.plan({ own, peers: [], routes: new Map() });
  const ours = (await kernel.dump(scope)).filter(({ kind }) => kind !== "sysctl");
  const object = ours[pick % Math.max(1, ours.length)];
  if (object === undefined) return;
  await kernel.apply([
    { action: alter ? "put" : "remove", object: alter ? altered(object) : object },
  ]);
}

function altered(object: KernelObject): KernelObject {
  switch (object.kind) {
    case "link":
      return { ...object, mtu: object.mtu - 10 };
    case "route":
      return { ...object, protocol: 4 };
    case "fdb":
      return { ...object, destination: parseIp("192.0.2.250") };
    default:
      return object;
  }
}

describe.each(types)("%s: another agent's kernel", (type) => {
  const options: WorldOptions = { type, tells: false };

  test("D1, D3: holds what a fresh one does after the first pass, and no route was ever without its way", async () => {
    await fc.assert(
      fc.asyncProperty(histories(type), async (lists) => {
        const kernels = [];
        for (const peers of lists) {
          await using world = await ReconcileWorld.open(options, kernels[0]);
          kernels[0] = world.kernel;
          const partial: Promise<readonly string[]>[] = [];
          world.afterChange = () => partial.push(partialPeers(world.kernel));
          world.reconciler.setPeers(peers);
          expect(await world.reconciler.pass()).toEqual([]);
          expect(world.kernel.print()).toBe(await world.expected(options, peers));
          expect((await Promise.all(partial)).flat()).toEqual([]);
          const inUse = world.kernel.print();
          const removed = world.asked.filter(({ action }) => action === "remove");
          expect(removed.filter(({ object }) => inUse.includes(printObject(object)))).toEqual([]);
        }
      }),
    );
  });
});

describe.each(types)("%s: whatever the kernel refuses", (type) => {
  test.each([true, false])(
    "D1, D12: ends as wished once it refuses no more, and no route is left without its way (drift: %s)",
    async (drifts) => {
      const options: WorldOptions = { type, tells: drifts };
      await fc.assert(
        fc.asyncProperty(steps(type, drifts), async (story) => {
          await using world = await ReconcileWorld.open(options);
          await world.start([]);
          const partial: Promise<readonly string[]>[] = [];
          if (!drifts) world.afterChange = () => partial.push(partialPeers(world.kernel));
          let accept = (): void => undefined;
          let peers: readonly Lease[] = [];
          for (const step of story) {
            if (step.kind === "peers") peers = step.peers;
            accept = await act(world, step, accept);
          }
          accept();
          await world.clock.advance(25_000);
          expect(world.kernel.print()).toBe(await world.expected(options, peers));
          expect(world.reconciler.counters().reconcile_objects_open).toBe(0);
          expect((await Promise.all(partial)).flat()).toEqual([]);
        }),
      );
    },
  );

  test("D12: every error at every call of a whole life", async () => {
    const options: WorldOptions = { type, tells: false };
    const [one, two, three, moved] = [
      leaseOf(type, 2),
      leaseOf(type, 3),
      leaseOf(type, 4),
      leaseOf(type, 2, { mac: 9, ip: 9 }),
    ];
    const life = [[one], [one, two, three], [moved, two], [two], []];
    const calls = await asked(options, life);
    expect(calls).toBeGreaterThan(4);
    for (const code of CODES)
      for (let refused = 0; refused < calls; refused++) {
        await using world = await ReconcileWorld.open(options);
        const partial: Promise<readonly string[]>[] = [];
        world.afterChange = () => partial.push(partialPeers(world.kernel));
        let call = 0;
        world.kernel.refuse(() => call++ === refused, code);
        await world.start([]);
        for (const peers of life) {
          world.reconciler.setPeers(peers);
          await world.clock.advance(2_000);
          expect(world.kernel.print()).toBe(await world.expected(options, peers));
        }
        expect((await Promise.all(partial)).flat()).toEqual([]);
      }
  });
});

async function asked(options: WorldOptions, life: readonly (readonly Lease[])[]): Promise<number> {
  await using world = await ReconcileWorld.open(options);
  await world.start([]);
  for (const peers of life) {
    world.reconciler.setPeers(peers);
    await world.clock.advance(2_000);
  }
  return world.asked.length;
}

test("one peer that is refused for ever delays no other, and is tried less and less often", async () => {
  await using world = await ReconcileWorld.open({ type: "vxlan" });
  const bad = leaseOf("vxlan", 2);
  const tries: number[] = [];
  const isBad = ({ object }: Change): boolean =>
    object.kind === "route" && object.destination === bad.subnets[4];
  world.kernel.refuse((change) => {
    if (isBad(change)) tries.push(world.clock.nowMs());
    return isBad(change);
  }, "ENOMEM");
  await world.start([bad]);
  for (let node = 3; node < 40; node++) {
    world.reconciler.setPeers([
      bad,
      ...Array.from({ length: node - 2 }, (_, n) => leaseOf("vxlan", n + 3)),
    ]);
    await world.clock.advance(1);
    expect(world.kernel.print()).toContain(`route ${subnetOf(node)} via`);
    await world.clock.advance(1_000);
  }
  const [quiet] = [tries.length];
  await world.clock.advance(60_000);
  expect(tries.length - quiet).toBeLessThanOrEqual(8);
});
