/** Which nodes a scenario has at which step. */
import type { FaultStep, Scenario, Step } from "lab/scenario";

/** Nodes that a storm is of unless said. As in the lab. */
const STORM = 3;

/** How many nodes come or go in a storm. */
export function stormOf({ hosts = STORM }: { readonly hosts?: number }): number {
  return hosts;
}

/** How many nodes a scenario ever has. */
export function castOf({ nodes, steps }: Scenario): number {
  return steps.reduce((sum, step) => sum + newcomersOf(step), nodes);
}

/** The first step, counted from 0, that names a node that is not there then; undefined when none does. */
export function absentNode(
  scenario: Scenario,
): { readonly index: number; readonly message: string } | undefined {
  const there = new Set(Array.from({ length: scenario.nodes }, (_, index) => index + 1));
  const storms: (() => void)[] = [];
  let last = scenario.nodes;
  for (const [index, step] of scenario.steps.entries()) {
    if ("act" in step && step.act === "return-node") there.add(step.node);
    const absent = nodesOf(step).find((node) => !there.has(node));
    if (absent !== undefined) {
      const names = [...there].map((node) => `n${node}`).join(", ");
      return { index, message: `there is no n${absent}; there are ${names}` };
    }
    for (const _newcomer of Array.from({ length: newcomersOf(step) })) {
      const node = ++last;
      there.add(node);
      if ("fault" in step) storms.push(() => there.delete(node));
    }
    for (const node of leaversOf(step, there)) {
      there.delete(node);
      storms.push(() => there.add(node));
    }
    if ("act" in step && step.act === "remove-node") there.delete(step.node);
    if ("act" in step && step.act === "heal") for (const heal of storms.splice(0)) heal();
  }
  return undefined;
}

function newcomersOf(step: Step): number {
  if ("fault" in step) return step.fault === "join-storm" ? stormOf(step) : 0;
  return "act" in step && step.act === "add-node" ? 1 : 0;
}

/** Those with the highest numbers. */
function leaversOf(step: Step | FaultStep, there: ReadonlySet<number>): readonly number[] {
  if (!("fault" in step) || step.fault !== "leave-storm") return [];
  return [...there].toSorted((a, b) => b - a).slice(0, stormOf(step));
}

function nodesOf(step: Step): readonly number[] {
  const members = step as Readonly<Record<string, unknown>>;
  // A partition's `from` is a word; a probe's is a node.
  return ["node", "peer", "from", "to"]
    .map((name) => members[name])
    .filter((value) => typeof value === "number");
}
