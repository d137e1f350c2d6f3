import { LabError } from "./errors.ts";
import { faultNamed } from "./faults/registry.ts";
import type { FaultNeed } from "./faults/fault.ts";
import type { FaultRequest } from "./lab.ts";
import { requestOfStep } from "./faults/request.ts";
import type { FaultStep, Scenario, Step } from "./scenario.ts";

/**
 * Refuses a scenario with an unknown fault, a parameter it does not take, or a node that is not there at that step: files of
 * scenarios can come from anywhere, and their types are gone when they are read.
 * @throws LabError "usage", one line
 */
export function checkScenario(scenario: Scenario): void {
  const cast = new Cast(scenario.nodes);
  for (const [index, step] of scenario.steps.entries()) {
    try {
      if ("fault" in step) {
        checkStore(scenario, requestOfStep(step));
      }
    } catch (error) {
      throw error instanceof LabError ? wrong(scenario, index, error.message) : error;
    }
    cast.return(step);
    const absent = nodesOf(step).find((node) => !cast.there.has(node));
    if (absent !== undefined) {
      const there = [...cast.there].map((node) => `n${node}`).join(", ");
      throw wrong(scenario, index, `there is no n${absent}; there are ${there}`);
    }
    cast.play(step);
  }
}

/** The nodes that are there, step by step. */
class Cast {
  readonly there: Set<number>;
  #last: number;
  /** What healing does. */
  readonly #joined: Set<number> = new Set();
  readonly #left: Set<number> = new Set();

  constructor(nodes: number) {
    this.there = new Set(Array.from({ length: nodes }, (_, index) => index + 1));
    this.#last = nodes;
  }

  /** Before a step is looked at. */
  return(step: Step): void {
    if ("act" in step && step.act === "return-node") {
      this.there.add(step.node);
    }
  }

  /** After it. */
  play(step: Step): void {
    if ("fault" in step) {
      this.#storm(step);
    } else if ("act" in step && step.act === "add-node") {
      this.there.add(++this.#last);
    } else if ("act" in step && step.act === "remove-node") {
      this.there.delete(step.node);
    } else if ("act" in step && step.act === "heal") {
      this.#joined.forEach((node) => this.there.delete(node));
      this.#left.forEach((node) => this.there.add(node));
      this.#joined.clear();
      this.#left.clear();
    }
  }

  #storm(step: FaultStep): void {
    for (let count = newcomersOf(step); count > 0; count -= 1) {
      this.there.add(++this.#last);
      this.#joined.add(this.#last);
    }
    const leaving = step.fault === "leave-storm" ? stormOf(step) : 0;
    for (const node of [...this.there].toSorted((a, b) => b - a).slice(0, leaving)) {
      this.there.delete(node);
      this.#left.add(node);
    }
  }
}

/** How many nodes a fault adds. */
export function newcomersOf(step: FaultStep): number {
  return step.fault === "join-storm" ? stormOf(step) : 0;
}

function stormOf(step: FaultStep): number {
  return Number(requestOfStep(step).parameters["hosts"]);
}

/** @throws LabError "usage" for a fault of a store with more members than there are, or with users where it has none */
function checkStore(
  { storeMembers: members = 1, storeAuth = false }: Scenario,
  { fault, parameters }: FaultRequest,
): void {
  if (faultNamed(fault).wantsUsers === true && !storeAuth) {
    throw new LabError("usage", `fault ${fault} wants a store with users: storeAuth is not set`);
  }
  const named =
    faultNamed(fault).parameters["member"] === undefined ? 0 : Number(parameters["member"]);
  const wanted = Math.max(faultNamed(fault).membersMin ?? 1, Number.isNaN(named) ? 0 : named);
  if (wanted > members) {
    throw new LabError(
      "usage",
      `fault ${fault} wants a store of at least ${wanted} members: storeMembers is ${members}`,
    );
  }
}

/** The names of all hosts that a scenario ever has, in the order of their numbers. */
export function hostsOf({ nodes, steps }: Scenario): readonly string[] {
  const acts = steps.filter((step) => "act" in step);
  const faults = steps.filter((step) => "fault" in step);
  const storms = faults.reduce((sum, step) => sum + newcomersOf(step), 0);
  const added = storms + acts.filter(({ act }) => act === "add-node").length;
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
