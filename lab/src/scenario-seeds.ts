import { faultNamed } from "./faults/registry.ts";
import { seedIn } from "./faults/seeds.ts";
import type { FaultStep, Scenario } from "./scenario.ts";

/**
 * The scenario as a run with this seed plays it: each fault that draws and says no seed has one, out of the run's and the number of
 * its step. It is so in its text, too: what the log says of a fault is enough to have it again.
 * @throws LabError "usage" for an unknown fault
 */
export function withSeeds(scenario: Scenario, runSeed: number): Scenario {
  return {
    ...scenario,
    steps: scenario.steps.map((step, index) =>
      "fault" in step && wantsSeed(step) ? { ...step, seed: seedIn(runSeed, index + 1) } : step,
    ),
  };
}

function wantsSeed(step: FaultStep): boolean {
  return (
    faultNamed(step.fault).parameters["seed"] !== undefined &&
    !("seed" in step && step.seed !== undefined)
  );
}
