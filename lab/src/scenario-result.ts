import type { Finding } from "./checks/verdict.ts";
import type { Step, Variant } from "./scenario.ts";

export interface StepResult {
  readonly step: Step;
  readonly finding: Finding;
  /** From the start of the step to its finding. */
  readonly ms: number;
}

export interface ScenarioResult {
  readonly scenario: string;
  readonly variant: Variant;
  readonly verdict: Finding["verdict"];
  /** Why it is no pass. */
  readonly reasons: readonly string[];
  /** Nothing was learned of the agent. */
  readonly labBroke: boolean;
  readonly steps: readonly StepResult[];
  /** Bringing the lab up included. */
  readonly ms: number;
}
