/** Whole agents in simulated worlds: fast-check makes the fault plans, and shrinks one that breaks an invariant. */
import type { KeyValueStore } from "agent/subnet-manager/etcd/key-value-store.ts";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { INVARIANTS } from "./invariants.ts";
import { type Plan, planOfSeed, plans } from "./plan.ts";
import { simulate } from "./simulate.ts";

const LIMITS = { nodesMax: 6, minutes: 20 };
const ONE_ROUND = { nodesMax: 4, minutes: 10 };
const WORLDS = 120;

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
    close: () => store.close(),
  };
}

describe("simulated worlds", () => {
  test(`${Object.keys(INVARIANTS).join(", ")}: no plan of faults breaks an invariant`, async () => {
    await fc.assert(
      fc.asyncProperty(plans(LIMITS), async (plan) => {
        const { violations } = await simulate(plan);
        expect(violations.map(({ id, detail, trace }) => ({ id, detail, trace }))).toEqual([]);
      }),
      { numRuns: WORLDS },
    );
  });

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
        routesTo: (destinations) => kernel.routesTo(destinations),
        interfaces: () => kernel.interfaces(),
      }),
    });
    expect(violations.map(({ id }) => id)).toContain("D1");
  });
});
