import { LabError } from "./errors.ts";
import { faultNamed } from "./faults/registry.ts";
import type { FaultNeed } from "./faults/fault.ts";
import { requestOfStep } from "./faults/request.ts";
import type { Scenario, Step } from "./scenario.ts";

/**
 * Refuses a scenario with an unknown fault, a parameter it does not take, or a node that is not there at that step: files of
 * scenarios can come from anywhere, and their types are gone when they are read.
 * @throws LabError "usage", one line
 */
export function checkScenario(scenario: Scenario): void {
  const nodes = new Set(Array.from({ length: scenario.nodes }, (_, index) => index + 1));
  let last = scenario.nodes;
  for (const [index, step] of scenario.steps.entries()) {
    try {
      if ("fault" in step) {
        requestOfStep(step);
      }
    } catch (error) {
      throw error instanceof LabError ? wrong(scenario, index, error.message) : error;
    }
    if ("act" in step && step.act === "return-node") {
      nodes.add(step.node);
    }
    const absent = nodesOf(step).find((node) => !nodes.has(node));
    if (absent !== undefined) {
      const there = [...nodes].map((node) => `n${node}`).join(", ");
      throw wrong(scenario, index, `there is no n${absent}; there are ${there}`);
    }
    if ("act" in step && step.act === "add-node") {
      last += 1;
      nodes.add(last);
    }
    if ("act" in step && step.act === "remove-node") {
      nodes.delete(step.node);
    }
  }
}

/** The names of all hosts that a scenario ever has, in the order of their numbers. */
export function hostsOf({ nodes, steps }: Scenario): readonly string[] {
  const acts = steps.filter((step) => "act" in step);
  const added = acts.filter(({ act }) => act === "add-node").length;
  const numbers = Array.from({ length: nodes + added }, (_, index) => index + 1);
  const returned = acts.flatMap((step) => (step.act === "return-node" ? [step.node] : []));
  return [...new Set([...numbers, ...returned])].map((number) => `n${number}`);
}

/** What the faults of a scenario need of the machine. */
export function needsOf(scenario: Scenario): ReadonlySet<FaultNeed> {
  return new Set(
    scenario.steps.flatMap((step) => ("fault" in step ? (faultNamed(step.fault).needs ?? []) : [])),
  );
}

function nodesOf(step: Step): number[] {
  const members = step as Readonly<Record<string, unknown>>;
  // A partition's `from` is a word; a probe's is a node.
  return ["node", "peer", "from", "to"]
    .map((name) => members[name])
    .filter((value) => typeof value === "number");
}

function wrong(scenario: Scenario, index: number, message: string): LabError {
  return new LabError("usage", `scenario ${scenario.name}, step ${index + 1}: ${message}`);
}
