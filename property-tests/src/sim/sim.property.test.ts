/** Whole agents in simulated worlds: fast-check makes the fault plans, and shrinks one that breaks an invariant. */
import type { KeyValueStore } from "agent/subnet-manager/etcd/key-value-store.ts";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { INVARIANTS } from "./invariants.ts";
import { FAULT_KINDS, type Plan, type PlanLimits, planOfSeed, plans } from "./plan.ts";
import { simulate } from "./simulate.ts";

const LIMITS = { nodes: { min: 2, max: 6 }, minutes: 20 };
const ONE_ROUND = { nodes: { min: 2, max: 4 }, minutes: 10 };
const THREE_NODES = { nodes: { min: 3, max: 3 }, minutes: 20 };
const WORLDS = 100;
/** Ten seconds of one core, which others may want too. */
const WORLDS_MS = 120_000;

/** A store that forgets the conditions of every transaction: what two nodes read before, they both write. */
function withoutConditions(store: KeyValueStore): KeyValueStore {
  return {
    endpoints: store.endpoints,
    range: (range, options) => store.range(range, options),
    txn: (transaction, options) => store.txn({ ...transaction, compare: [] }, options),
    watch: (range, fromRevision, options) => store.watch(range, fromRevision, options),
    grantLease: (ttlSeconds, options) => store.grantLease(ttlSeconds, options),
    revokeLease: (leaseId, options) => store.revokeLease(leaseId, options),
    timeToLive: (leaseId, options) => store.timeToLive(leaseId, options),
    reconnect: () => store.reconnect(),
    close: () => store.close(),
  };
}

describe("simulated worlds", () => {
  test(
    `${Object.keys(INVARIANTS).join(", ")}: no plan of faults breaks an invariant`,
    async () => {
      await fc.assert(
        fc.asyncProperty(plans(LIMITS), async (plan) => {
          const { violations } = await simulate(plan);
          expect(violations.map(({ id, detail, trace }) => ({ id, detail, trace }))).toEqual([]);
        }),
        { numRuns: WORLDS },
      );
    },
    WORLDS_MS,
  );

  test("a plan has as many nodes as were asked for, and exactly ten are ten", () => {
    const seeds = Array.from({ length: 200 }, (_, seed) => seed);
    const counts = (nodes: PlanLimits["nodes"]): ReadonlySet<number> =>
      new Set(seeds.map((seed) => planOfSeed(seed, { nodes, minutes: 10 }).nodes));
    expect(counts({ min: 10, max: 10 })).toEqual(new Set([10]));
    expect(counts({ min: 2, max: 4 })).toEqual(new Set([2, 3, 4]));
  });

  test(
    "F5: every kind of fault strikes within sixty plans of three nodes",
    async () => {
      const hit = new Set<string>();
      for (let seed = 1; seed <= 60; seed++) {
        const { hit: kinds } = await simulate(planOfSeed(seed, THREE_NODES));
        for (const kind of kinds.keys()) hit.add(kind);
      }
      expect(FAULT_KINDS.filter((kind) => !hit.has(kind))).toEqual([]);
    },
    WORLDS_MS,
  );

  test("F4: the same plan does the same, line by line", async () => {
    const plan = planOfSeed(7, LIMITS);
    const [first, second] = [await simulate(plan), await simulate(plan)];
    expect(first.traceHash).toBe(second.traceHash);
    const other = await simulate({ ...plan, seed: 8 });
    expect(other.traceHash).not.toBe(first.traceHash);
  });

  test("F7: a store that ignores conditions is caught at the first plan", async () => {
    const { violations } = await simulate(planOfSeed(1, ONE_ROUND), {
      wrapStore: withoutConditions,
    });
    expect(violations.map(({ id }) => id)).toContain("A5");
  });

  test("F7: a kernel that loses every route it is given is caught by the kernel's state", async () => {
    const plan: Plan = { ...planOfSeed(1, ONE_ROUND), faults: [] };
    const { violations } = await simulate(plan, {
      wrapKernel: (kernel) => ({
        dump: (scope) => kernel.dump(scope),
        apply: (changes) => kernel.apply(changes.filter(({ object }) => object.kind !== "route")),
        watch: (signal) => kernel.watch(signal),
        hasNexthops: () => kernel.hasNexthops(),
        routesTo: (destinations) => kernel.routesTo(destinations),
        interfaces: () => kernel.interfaces(),
      }),
    });
    expect(violations.map(({ id }) => id)).toContain("D1");
  });
});
