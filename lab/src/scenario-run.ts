import type { Finding } from "./checks/verdict.ts";
import { LabError, type LabErrorCode, messageOf } from "./errors.ts";
import type { Lab } from "./lab.ts";
import type { LabWishes } from "./options.ts";
import type { RunEvent } from "./report/events.ts";
import { checkScenario } from "./scenario-check.ts";
import { LabFollower, type RunFacts, ScenarioLog, WatchedRun } from "./scenario-log.ts";
import type { ScenarioResult, StepResult } from "./scenario-result.ts";
import { withSeeds } from "./scenario-seeds.ts";
import { ScenarioStage } from "./scenario-stage.ts";
import type { Scenario, Step, Variant } from "./scenario.ts";
import type { Clock } from "./system/clock.ts";

/** A lab that is up, and what ends it. */
export interface OpenLab extends AsyncDisposable {
  readonly lab: Lab;
  /** What the agents wrote so far. */
  readLogs?(): readonly { readonly host: string; readonly text: string }[];
}

export interface ScenarioDeps {
  readonly clock: Clock;
  /** Brings a lab up with all agents ready; pods need not reach each other yet. */
  readonly openLab: (wishes: LabWishes) => Promise<OpenLab>;
  readonly facts: RunFacts;
  /** The run's folder, for evidence; without it no witness watches the run. */
  readonly watchFolder?: string;
  /** What the machine had not got since this was made, in words. */
  readonly shortage?: () => string | undefined;
  /** Takes each event of the run, in its order. */
  readonly append?: (event: RunEvent) => void;
}

const HEAL: Step = { act: "heal" };

/**
 * Acts a scenario out in a lab of its own, and judges it by its log. The first step that does not pass ends it. No fault is
 * on before the first step; after the last all are healed, and one whose end nobody saw makes it unknown.
 * @throws LabError "usage" for a scenario that cannot be acted out
 */
export async function runScenario(
  asked: Scenario,
  variant: Variant,
  deps: ScenarioDeps,
): Promise<ScenarioResult> {
  checkScenario(asked);
  const scenario = withSeeds(asked, deps.facts.seed);
  const { clock, append = () => undefined } = deps;
  const startedMs = clock.nowMs();
  const log = new ScenarioLog(clock, append);
  const run: Run = { scenario, variant, deps, log, steps: [] };
  const evidence: string[] = [];
  log.begin(scenario, variant, deps.facts, deps.watchFolder !== undefined);
  try {
    await actOut(run);
  } catch (thrown) {
    const error = firstOf(thrown);
    const breakage = breakageOf(error, run);
    evidence.push(...breakage.details);
    log.tell({ type: "run-broke", ...breakage });
    if (!(error instanceof LabError)) {
      log.end();
      throw error;
    }
  }
  const shortage = deps.shortage?.();
  if (shortage !== undefined) {
    log.tell({ type: "machine-short", detail: shortage });
  }
  const { verdict, reasons, labBroke } = log.end();
  return {
    scenario: scenario.name,
    variant,
    verdict,
    reasons: [...reasons, ...evidence],
    labBroke,
    steps: run.steps,
    ms: clock.nowMs() - startedMs,
  };
}

interface Run {
  readonly scenario: Scenario;
  readonly variant: Variant;
  readonly deps: ScenarioDeps;
  readonly log: ScenarioLog;
  readonly steps: StepResult[];
  /** The lab came up. */
  isUp?: true;
}

async function actOut(run: Run): Promise<void> {
  const { scenario, variant, deps, log } = run;
  const { clock } = deps;
  const { watchFolder: folder } = deps;
  await using open = await deps.openLab({
    ...wishesOf(scenario, variant),
    ...(folder === undefined ? {} : { watch: { folder, beganMs: log.beganMs } }),
  });
  run.isUp = true;
  try {
    await using _follower = new LabFollower(open.lab, clock, log);
    await using _watched = new WatchedRun(open.lab);
    await using stage = new ScenarioStage({
      lab: open.lab,
      variant,
      nodes: scenario.nodes,
      clock,
      tell: (event) => {
        log.tell(event);
      },
    });
    if (!(await healAll(run, stage))) {
      return;
    }
    for (const [index, step] of scenario.steps.entries()) {
      if ((await playStep(run, stage, index + 1, step)).verdict !== "pass") {
        return;
      }
    }
    await healAll(run, stage);
  } finally {
    log.keepLogs(open.readLogs?.() ?? []);
  }
}

/** Heals are told of one by one; only what is wrong with them is a step of its own. */
async function healAll({ steps, deps }: Run, stage: ScenarioStage): Promise<boolean> {
  const beganMs = deps.clock.nowMs();
  const finding = await stage.play(HEAL);
  if (finding.verdict !== "pass") {
    steps.push({ step: HEAL, finding, ms: deps.clock.nowMs() - beganMs });
  }
  return finding.verdict === "pass";
}

async function playStep(
  { log, deps: { clock }, steps }: Run,
  stage: ScenarioStage,
  number: number,
  step: Step,
): Promise<Finding> {
  const beganMs = clock.nowMs();
  log.tell({ type: "step-began", step: number });
  const finding = await findingOf(() => stage.play(step));
  const ms = clock.nowMs() - beganMs;
  const { verdict, details } = finding;
  if ("expect" in step) {
    const { expect: expectation, withinMs } = step;
    log.tell({ type: "expectation-evaluated", step: number, expectation, verdict, ms, withinMs });
  }
  log.tell({ type: "step-ended", step: number, verdict, ms, details });
  steps.push({ step, finding, ms });
  return finding;
}

/**
 * An agent that ends or does not get ready, and pods that stay apart are failures of the agent; a step that cannot be done says
 * nothing of it.
 * @throws LabError when the lab itself is at its end
 */
async function findingOf(play: () => Promise<Finding>): Promise<Finding> {
  try {
    return await play();
  } catch (error) {
    if (!(error instanceof LabError) || LAB_IS_LOST.has(error.code)) {
      throw error;
    }
    const verdict = isOfAgent(error) ? "fail" : "unknown";
    return { verdict, details: [error.message, ...error.evidence] };
  }
}

const LAB_IS_LOST: ReadonlySet<LabErrorCode> = new Set(["lab-broke", "not-running", "interrupted"]);

const OF_AGENT: ReadonlySet<LabErrorCode> = new Set(["agent-ended", "timed-out", "unreachable"]);

function isOfAgent(error: unknown): boolean {
  return error instanceof LabError && OF_AGENT.has(error.code);
}

/** What was thrown first: taking a lab away that is gone throws, too. */
function firstOf(thrown: unknown): unknown {
  return thrown instanceof SuppressedError ? firstOf(thrown.suppressed) : thrown;
}

function breakageOf(
  error: unknown,
  { isUp }: Run,
): Pick<Extract<RunEvent, { type: "run-broke" }>, "phase" | "blame" | "message" | "details"> {
  return {
    phase: isUp === true ? "steps" : "set-up",
    blame: isOfAgent(error) ? "agent" : "lab",
    message: messageOf(error),
    details: error instanceof LabError ? error.evidence : [],
  };
}

function wishesOf(scenario: Scenario, variant: Variant): LabWishes {
  return {
    nodes: scenario.nodes,
    segments: variant.segments,
    storeMembers: scenario.storeMembers ?? 1,
    storeAuth: scenario.storeAuth ?? false,
    backend: variant.backend,
    backendOptions: variant.backendOptions ?? {},
    dualStack: variant.family === "dual",
    expect: variant.reach ?? "all",
  };
}
