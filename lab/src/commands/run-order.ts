import type { Scenario } from "../scenario.ts";

/** What of a run says how long it takes. */
interface Runnable {
  readonly scenario: Pick<Scenario, "nodes" | "storeMembers" | "steps">;
}

export interface RunOrder<Run> {
  /** One after the other, with nothing beside them. */
  readonly alone: readonly Run[];
  /** After those, several at a time. */
  readonly together: readonly Run[];
}

/** Agents of so many hosts that start at once keep every core of a machine busy, and a run beside them from probing as often as it has to. */
const CROWD = 20;

/**
 * In which order runs are made: as they are where one is made at a time, otherwise crowds first and alone, then those that take long: a long
 * run that begins last leaves the other cores with nothing to do.
 */
export function orderOfRuns<Run extends Runnable>(
  runs: readonly Run[],
  atOnce: number,
): RunOrder<Run> {
  if (atOnce === 1) {
    return { alone: runs, together: [] };
  }
  const longestFirst = runs.toSorted((a, b) => weightOf(b) - weightOf(a));
  const isCrowd = ({ scenario }: Run): boolean => hostsOf(scenario) > CROWD;
  return {
    alone: longestFirst.filter(isCrowd),
    together: longestFirst.filter((run) => !isCrowd(run)),
  };
}

/** A store of several members elects, and is waited for; each host has an agent to start; each step takes its time. */
function weightOf({ scenario }: Runnable): number {
  const { storeMembers = 1, steps } = scenario;
  return 10 * (storeMembers - 1) + 2 * hostsOf(scenario) + steps.length;
}

/** Those that it has, and those that faults add. */
function hostsOf({ nodes, steps }: Runnable["scenario"]): number {
  const added = steps.map((step) => ("hosts" in step ? step.hosts : 0));
  return added.reduce((sum, hosts) => sum + hosts, nodes);
}
