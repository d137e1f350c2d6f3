/**
 * Plays a scenario of the lab in a simulated world, as `lab/src/scenario-run.ts` acts it out among processes: no fault is on before the
 * first step, the first step that does not hold ends it, and after the last all faults are healed. Meanwhile, and in the quiet after it,
 * everything that happens is checked as in any simulated world.
 */
import { parseNetworkConfig } from "agent/core/network-config.ts";
import type {
  ActStep,
  ExpectStep,
  FaultStep,
  ProbeStep,
  Scenario,
  Step,
  Variant,
} from "lab/scenario";
import type { Mutation } from "../actors.ts";
import { Checks } from "../checks.ts";
import { FaultContext } from "../fault-context.ts";
import type { InvariantId, Violation } from "../invariants.ts";
import { networkConfig } from "../network-configs.ts";
import type { Plan } from "../plan.ts";
import { QuietChecks } from "../quiet-checks.ts";
import { BusyLoop } from "../sim-time.ts";
import type { Block } from "../stored.ts";
import { type Machine, SimWorld } from "../world.ts";
import { castOf } from "./cast.ts";
import { Ground, StepFailed } from "./ground.ts";
import { LOOKS, STANDS_FOR, type Wrongs, lookAtKernels } from "./looks.ts";
import { Probe, type ProbeRecord, podSubnets } from "./pods.ts";
import { backendOf, strike, whyNotPlayable } from "./words.ts";

const LOOK_EVERY_MS = 100;
/** As in the lab: each look is a bound of what was measured. */
const LOOK_FOR_REPAIR_EVERY_MS = 20;
/** A fault is on for as long as this at the most before the next step: the lab takes its time to see it. */
const SEEN_MS = 200;
/** As long as the lab takes to make pods, at the least: agents have begun to watch what they watch. */
const PODS_MS = 1_000;
/** So long after the last heal everybody has tried again what was refused meanwhile. */
const CALM_MS = 20_000;
/** A day, and when it is renewed: as the lab's agents have it. */
const LIFETIME = { ttlSeconds: 86_400, renewMarginMinutes: 60 };
const TRACE_LINES = 40;

export interface Failure {
  /** Counted from 1; 0 for the start, one more than there are for the last heal. */
  readonly step: number;
  readonly text: string;
  /** What an expectation stands for, by its id in the design's list of invariants. */
  readonly invariant: string | undefined;
  readonly atMs: number;
  readonly details: readonly string[];
  /** The last lines of what happened before. */
  readonly trace: readonly string[];
}

export interface Played {
  /** The step that did not hold. */
  readonly failure: Failure | undefined;
  readonly violations: readonly Violation[];
  readonly counts: ReadonlyMap<InvariantId, number>;
  /** The same for the same scenario, variant and seed (invariant F4). */
  readonly traceHash: string;
  readonly virtualMs: number;
}

export interface PlayOptions {
  readonly seed: number;
  readonly mutation?: Mutation;
}

/** @throws Error for a variant that `whyNotPlayable` says cannot be played */
export async function playScenario(
  scenario: Scenario,
  variant: Variant,
  { seed, mutation = {} }: PlayOptions,
): Promise<Played> {
  const why = whyNotPlayable(scenario, variant);
  if (why !== undefined) throw new Error(`${scenario.name} is not playable: ${why}`);
  const plan = planOf(scenario, variant, seed);
  const { nodes, members, framing } = plan;
  const found: { checks?: Checks } = {};
  const world = new SimWorld(
    { seed, nodes, members, framing, ...LIFETIME, segments: variant.segments, ...mutation },
    (made) => (found.checks = new Checks(made)),
  );
  const checks = found.checks ?? new Checks(world);
  const context = new FaultContext(world, plan);
  checks.faults = context;
  const ground = new Ground({
    world,
    context,
    leases: () => checks.leases(),
    config: parseNetworkConfig(networkConfig(plan, 0)),
    reach: variant.reach ?? "all",
    nodes: scenario.nodes,
  });
  const run = new ScenarioRun(scenario, ground, checks);
  try {
    await run.play();
  } catch (error) {
    if (!(error instanceof BusyLoop)) throw error;
    checks.check("B7", false, () => error.message);
  } finally {
    world.close();
  }
  const { violations, counts } = checks;
  const traceHash = world.traceHash();
  return { failure: run.failure, violations, counts, traceHash, virtualMs: world.time.nowMs };
}

/** A plan without faults: the scenario brings them. There is a machine for each that ever joins. */
function planOf(scenario: Scenario, variant: Variant, seed: number): Plan {
  return {
    seed,
    nodes: castOf(scenario),
    backend: backendOf(variant) ?? "vxlan",
    dualStack: variant.family === "dual",
    backendOptions: variant.backendOptions ?? {},
    ...LIFETIME,
    members: 1,
    framing: "whole",
    range: "roomy",
    rounds: 0,
    faults: [],
  };
}

class ScenarioRun {
  failure: Failure | undefined;
  readonly #scenario: Scenario;
  readonly #ground: Ground;
  readonly #checks: Checks;
  #subnets: ReadonlyMap<Machine, readonly Block[]> | undefined;
  #probe: Probe | undefined;
  #records: readonly ProbeRecord[] = [];

  constructor(scenario: Scenario, ground: Ground, checks: Checks) {
    this.#scenario = scenario;
    this.#ground = ground;
    this.#checks = checks;
  }

  /** After a step that did not hold all is healed and looked at, too: the invariants say what is behind it. */
  async play(): Promise<void> {
    await this.#do({ number: 0, text: "start" }, () => this.#start());
    for (const [index, step] of this.#scenario.steps.entries()) {
      if (this.failure !== undefined || this.#checks.violations.length > 0) break;
      const invariant = "expect" in step ? this.#invariantOf(step) : undefined;
      await this.#do({ number: index + 1, text: textOf(step), invariant }, () => this.#step(step));
    }
    this.#probe?.end();
    const last = { number: this.#scenario.steps.length + 1, text: "heal" };
    await this.#do(last, () => this.#healAll());
    await this.#lookWhenQuiet();
  }

  /** The first that does not hold is told of. */
  async #do(
    { number, text, invariant }: { number: number; text: string; invariant?: string | undefined },
    act: () => Promise<Wrongs>,
  ): Promise<void> {
    const { world } = this.#ground;
    world.note(`step ${number}: ${text}`);
    const details = await wrongsOf(act);
    if (details.length === 0 || this.failure !== undefined) return;
    const trace = world.trace.slice(-TRACE_LINES);
    this.failure = { step: number, text, invariant, atMs: world.time.nowMs, details, trace };
  }

  #invariantOf({ expect }: ExpectStep): string {
    const isDevice = this.#ground.lastFault?.fault === "delete-link";
    return expect === "repaired" && isDevice ? "D10" : STANDS_FOR[expect];
  }

  /** The lab is up when all agents are ready, and has made pods then. */
  async #start(): Promise<Wrongs> {
    const { context, machines } = this.#ground;
    context.configure(0);
    for (const machine of machines) this.#ground.start(machine);
    for (const machine of machines) await this.#ground.awaitReady(machine);
    await this.#ground.world.time.pass(PODS_MS);
    return [];
  }

  async #healAll(): Promise<Wrongs> {
    await this.#ground.healAll();
    return [];
  }

  async #lookWhenQuiet(): Promise<void> {
    const { world, machines } = this.#ground;
    await world.time.pass(CALM_MS);
    const quiet = new QuietChecks(world, this.#checks, this.#ground.struck);
    const running = machines.filter(({ agent }) => agent?.running === true);
    await quiet.look(machines, running);
  }

  async #step(step: Step): Promise<Wrongs> {
    if ("expect" in step) return this.#expect(step);
    if ("probe" in step) await this.#doProbe(step);
    else if ("fault" in step) await this.#fault(step);
    else await this.#act(step);
    return [];
  }

  async #fault(step: FaultStep): Promise<void> {
    const ground = this.#ground;
    const cure = await strike(ground, step);
    const machine = "node" in step ? ground.machine(step.node) : undefined;
    ground.keep(machine, cure, step.forMs);
    const { time, random } = ground.world;
    ground.lastFault = { fault: step.fault, text: textOf(step), atMs: time.nowMs };
    await time.pass(random.integer(SEEN_MS));
  }

  async #act(step: ActStep): Promise<void> {
    const ground = this.#ground;
    switch (step.act) {
      case "start-agent":
        return this.#startAgent(ground.machine(step.node));
      case "add-node":
        return this.#startAgent(ground.addMachine());
      case "return-node":
        return this.#startAgent(ground.returnMachine(step.node));
      case "remove-node":
        return ground.removeMachine(step.node);
      case "remember-subnets":
        this.#subnets = new Map(ground.machines.map((one) => [one, podSubnets(one)]));
        return undefined;
      case "heal":
        return ground.healAll();
    }
  }

  async #startAgent(machine: Machine): Promise<void> {
    this.#ground.start(machine);
    await this.#ground.awaitReady(machine);
  }

  async #doProbe(step: ProbeStep): Promise<void> {
    const ground = this.#ground;
    if (step.probe === "start") {
      this.#probe = new Probe(ground, ground.machine(step.from), ground.machine(step.to));
      return;
    }
    await this.#probe?.stop(step.packets ?? 0);
    this.#records = this.#probe?.records ?? [];
    this.#probe = undefined;
  }

  /** Looks until there is nothing wrong or the time is over; the last look counts. */
  async #expect({ expect, withinMs }: ExpectStep): Promise<Wrongs> {
    const ground = this.#ground;
    const { time } = ground.world;
    // A repair is counted from its fault's effect, not from this step.
    const isRepair = expect === "repaired";
    const sinceMs = isRepair ? ground.lastFault?.atMs : time.nowMs;
    if (sinceMs === undefined) return ["no fault took effect before"];
    const everyMs = isRepair ? LOOK_FOR_REPAIR_EVERY_MS : LOOK_EVERY_MS;
    for (;;) {
      const wrongs = isRepair
        ? lookAtKernels(ground)
        : LOOKS[expect](ground, { subnets: this.#subnets, records: this.#records }, withinMs);
      const isOver = time.nowMs - sinceMs >= withinMs;
      if (isRepair && wrongs.length === 0 && time.nowMs - sinceMs > withinMs)
        return [`repaired ${time.nowMs - sinceMs} ms after ${ground.lastFault?.text}`];
      if (wrongs.length === 0 || isOver) return wrongs;
      await time.pass(Math.min(everyMs, sinceMs + withinMs - time.nowMs));
    }
  }
}

/** @throws Error of the simulation itself */
async function wrongsOf(act: () => Promise<Wrongs>): Promise<Wrongs> {
  try {
    return await act();
  } catch (error) {
    if (error instanceof StepFailed) return [error.message];
    throw error;
  }
}

/** `fault delete-route node=1 peer=2` */
function textOf(step: Step): string {
  return Object.entries(step)
    .map(([name, value], index) => (index === 0 ? `${name} ${value}` : `${name}=${value}`))
    .join(" ");
}
