import { describe, expect, it } from "vitest";
import { MAX_SEED, seedIn } from "./faults/seeds.ts";
import { requestOfStep } from "./faults/request.ts";
import { withSeeds } from "./scenario-seeds.ts";
import { formatStep } from "./scenario-text.ts";
import type { Scenario, Step } from "./scenario.ts";

const DAMAGE: Step = { fault: "corrupt", node: 1, percent: 10 };
const SCENARIO: Scenario = {
  name: "damage",
  why: "three faults draw",
  invariants: ["A1"],
  nodes: 3,
  variants: [],
  steps: [
    { expect: "pods-reach-each-other", withinMs: 10_000 },
    DAMAGE,
    { fault: "delay", node: 2, ms: 30 },
    { fault: "jitter", node: 2, ms: 30, seed: 7 },
    { fault: "reorder", node: 3, percent: 30, forMs: 500 },
    DAMAGE,
  ],
};

const textsOf = (seed: number): readonly string[] =>
  withSeeds(SCENARIO, seed).steps.map(formatStep);

describe("the faults of a run", () => {
  it("draw from its seed and their place, as they always did; one that says a seed keeps it", () => {
    expect(textsOf(42)).toMatchInlineSnapshot(`
      [
        "expect pods-reach-each-other",
        "fault corrupt n1 percent=10 direction=both seed=1345742030",
        "fault delay n2 ms=30 direction=both",
        "fault jitter n2 ms=30 direction=both seed=7",
        "fault reorder n3 percent=30 direction=both seed=1481245271 for 500 ms",
        "fault corrupt n1 percent=10 direction=both seed=1739910531",
      ]
    `);
    expect(withSeeds(SCENARIO, 42)).toEqual(withSeeds(SCENARIO, 42));
  });

  it("draw something else with another seed, and do the rest as before", () => {
    const [some, others] = [textsOf(42), textsOf(43)];
    const differing = some.flatMap((text, index) => (text === others[index] ? [] : [index + 1]));
    expect(differing).toEqual([2, 5, 6]);
  });

  it("do not draw the same, nor what one of a run beside does", () => {
    const runs = Array.from({ length: 50 }, (_, index) => 1 + index);
    const places = Array.from({ length: 100 }, (_, index) => 1 + index);
    const seeds = runs.flatMap((run) => places.map((place) => seedIn(run, place)));
    expect(new Set(seeds).size).toBe(seeds.length);
  });

  it.each([0, 1, MAX_SEED])("have seeds that can be asked for: %d", (run) => {
    const places = Array.from({ length: 100 }, (_, index) => index);
    for (const seed of places.map((place) => seedIn(run, place))) {
      const { parameters } = requestOfStep({ ...DAMAGE, seed });
      expect(parameters["seed"]).toBe(String(seed));
    }
  });
});
