import { describe, expect, it } from "vitest";
import type { Scenario } from "../scenario.ts";
import { orderOfRuns } from "./run-order.ts";

type Facts = Pick<Scenario, "nodes" | "storeMembers" | "steps">;

const reach: Facts["steps"][number] = { expect: "pods-reach-each-other", withinMs: 1000 };
const joining = (hosts: number): Facts["steps"][number] => ({ fault: "join-storm", hosts });
const run = (scenario: Facts): { readonly scenario: Facts } => ({ scenario });

const few = run({ nodes: 2, steps: [reach] });
const many = run({ nodes: 6, steps: [reach] });
const ofThreeMembers = run({ nodes: 2, storeMembers: 3, steps: [reach] });
const storm = run({ nodes: 2, steps: [reach, joining(50)] });
const breeze = run({ nodes: 2, steps: [reach, joining(5)] });
const runs = [few, storm, many, breeze, ofThreeMembers];

describe("the order of runs", () => {
  it("is theirs where one is made at a time", () => {
    expect(orderOfRuns(runs, 1)).toEqual({ alone: runs, together: [] });
  });

  it("is the longest first where several are, and a crowd of hosts has the machine for itself", () => {
    expect(orderOfRuns(runs, 2)).toEqual({
      alone: [storm],
      together: [ofThreeMembers, breeze, many, few],
    });
  });
});
