import { expect, it } from "vitest";
import type { Step } from "./scenario.ts";
import { loadScenarios } from "./system/scenario-files.ts";

/** What ends a lease while its node can do nothing about it, and who comes and asks for one. */
const FREES: readonly string[] = ["delete-lease", "expire-lease"];
const isComing = (step: Step): boolean =>
  ("act" in step && step.act === "add-node") || ("fault" in step && step.fault === "join-storm");

/** Steps with which a node comes while a subnet is free that another is to take again. */
function gambles(steps: readonly Step[]): readonly number[] {
  let isFree = false;
  return steps.flatMap((step, index) => {
    isFree ||= "fault" in step && FREES.includes(step.fault);
    isFree &&= !("expect" in step && step.expect === "subnets-are-kept");
    const isBack = steps
      .slice(index)
      .some((later) => "expect" in later && later.expect === "subnets-are-kept");
    return isFree && isBack && isComing(step) ? [index + 1] : [];
  });
}

it("no scenario fails by the chance of a node that comes and takes the subnet that another is to have again", async () => {
  const scenarios = await loadScenarios();
  expect(scenarios.length).toBeGreaterThan(40);
  const told = scenarios.flatMap(({ name, steps }) =>
    gambles(steps).map((step) => `${name}, step ${step}`),
  );
  expect(told).toEqual([]);
});
