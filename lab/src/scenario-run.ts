import type { Finding } from "./checks/verdict.ts";
import { LabError } from "./errors.ts";
import type { Lab } from "./lab.ts";
import type { LabWishes } from "./options.ts";
import { checkScenario } from "./scenario-check.ts";
import { ScenarioStage } from "./scenario-stage.ts";
import type { Scenario, Step, Variant } from "./scenario.ts";
import type { Clock } from "./system/clock.ts";

/** A lab that is up, and what ends it. */
export interface OpenLab extends AsyncDisposable {
  readonly lab: Lab;
}

export interface ScenarioDeps {
  readonly clock: Clock;
  /** Brings a lab up with all agents ready; pods need not reach each other yet. */
  readonly openLab: (wishes: LabWishes) => Promise<OpenLab>;
  readonly onStep?: (step: StepResult) => void;
}

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
  readonly steps: readonly StepResult[];
  /** Bringing the lab up included. */
  readonly ms: number;
}

const HEAL: Step = { act: "heal" };

/**
 * Acts a scenario out in a lab of its own. The first step that does not pass ends it; a lab that broke makes it unknown. No
 * fault is on before the first step; after the last all are healed, and one whose end nobody saw makes it unknown.
 * @throws LabError "usage" for a scenario that cannot be acted out
 */
export async function runScenario(
  scenario: Scenario,
  variant: Variant,
  deps: ScenarioDeps,
): Promise<ScenarioResult> {
  checkScenario(scenario);
  const startedMs = deps.clock.nowMs();
  const steps: StepResult[] = [];
  try {
    await using open = await deps.openLab(wishesOf(scenario, variant));
    await using stage = new ScenarioStage(open.lab, variant, scenario.nodes, deps.clock);
    for (const step of [HEAL, ...scenario.steps, HEAL]) {
      const stepStartedMs = deps.clock.nowMs();
      const finding = await stage.play(step);
      const result = { step, finding, ms: deps.clock.nowMs() - stepStartedMs };
      if (step !== HEAL || finding.verdict !== "pass") {
        steps.push(result);
        deps.onStep?.(result);
      }
      if (finding.verdict !== "pass") {
        break;
      }
    }
  } catch (error) {
    if (!(error instanceof LabError)) {
      throw error;
    }
    steps.push({ step: scenario.steps[steps.length] ?? HEAL, finding: findingOf(error), ms: 0 });
  }
  return {
    scenario: scenario.name,
    variant,
    verdict: verdictOf(scenario, steps),
    steps,
    ms: deps.clock.nowMs() - startedMs,
  };
}

/** An agent that does not get ready and pods that stay apart are failures of the agent; anything else says nothing of it. */
function findingOf(error: LabError): Finding {
  const verdict = error.code === "timed-out" || error.code === "unreachable" ? "fail" : "unknown";
  return { verdict, details: [error.message, ...error.evidence] };
}

/** Pass only if every step was played and passed (invariant F6). */
function verdictOf(scenario: Scenario, steps: readonly StepResult[]): Finding["verdict"] {
  const verdicts = steps.map((step) => step.finding.verdict);
  if (verdicts.includes("fail")) {
    return "fail";
  }
  const complete = steps.length === scenario.steps.length && steps.length > 0;
  return complete && verdicts.every((verdict) => verdict === "pass") ? "pass" : "unknown";
}

function wishesOf(scenario: Scenario, variant: Variant): LabWishes {
  return {
    nodes: scenario.nodes,
    segments: variant.segments,
    backend: variant.backend,
    backendOptions: variant.backendOptions ?? {},
    dualStack: variant.family === "dual",
    expect: variant.reach ?? "all",
  };
}
