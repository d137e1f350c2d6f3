/** What the words of a scenario act upon: a simulated world in which nobody but the scenario starts or ends anything. */
import type { NetworkConfig } from "agent/core/network-config.ts";
import type { Change } from "agent/kernel/kernel.ts";
import type { FaultName } from "lab/scenario";
import type { Drift } from "../actors.ts";
import type { FaultContext } from "../fault-context.ts";
import type { FaultKind } from "../plan.ts";
import type { StoredSubnets } from "../stored.ts";
import type { Uplink } from "../sim-store.ts";
import type { Machine, SimWorld } from "../world.ts";

/** As the lab waits for an agent. */
export const READY_MS = 20_000;
const LOOK_EVERY_MS = 10;

/** What a step could not do, or did without an effect. */
export class StepFailed extends Error {
  override readonly name = "StepFailed";
}

/** How a fault ends. */
export interface Cure {
  heal(): void;
  /** Their agents must be ready again before the fault counts as healed. */
  readonly awaits?: readonly Machine[];
}

/** For what is done and stays done: time, or the agents, make it good. */
export const NO_CURE: Cure = { heal: () => undefined };

interface Obstacle {
  readonly state: Exclude<Uplink["state"], "open">;
  readonly machines: readonly Machine[];
}

/** A fault that is on. */
interface ActiveFault {
  readonly machine: Machine | undefined;
  readonly cure: Cure;
}

interface GroundParts {
  readonly world: SimWorld;
  readonly context: FaultContext;
  /** The leases in the store at this moment. */
  readonly leases: () => readonly StoredSubnets[];
  /** What the scenario's variant wants, whatever is in the store. */
  readonly config: NetworkConfig;
  /** Which pods must reach each other. */
  readonly reach: "all" | "same-segment";
  /** How many machines there are at the beginning. */
  readonly nodes: number;
}

export class Ground {
  readonly world: SimWorld;
  readonly context: FaultContext;
  readonly config: NetworkConfig;
  readonly reach: GroundParts["reach"];
  readonly leases: () => readonly StoredSubnets[];
  /** The machines that are there, by their numbers. */
  readonly #present = new Map<number, Machine>();
  /** Those whose cards carry nothing. */
  readonly offline: Set<Machine> = new Set();
  /** Lines of kernels that the `foreign-…` faults made. */
  readonly foreign: Set<{ readonly machine: Machine; readonly lines: readonly string[] }> =
    new Set();
  /** The last fault that took effect. */
  lastFault:
    | { readonly fault: FaultName; readonly text: string; readonly atMs: number }
    | undefined;
  /** What befell the store that the checks of a quiet world ask for, in the words of plan.ts. */
  readonly struck: Set<FaultKind> = new Set();
  readonly #active = new Set<ActiveFault>();
  readonly #obstacles = new Set<Obstacle>();
  #lastNode = 0;
  /** How often a machine came or went. */
  joins = 0;

  constructor({ world, context, leases, config, reach, nodes }: GroundParts) {
    this.world = world;
    this.context = context;
    this.leases = leases;
    this.config = config;
    this.reach = reach;
    while (this.#lastNode < nodes) this.addMachine();
  }

  get machines(): readonly Machine[] {
    return [...this.#present.values()];
  }

  /** @throws StepFailed for one that is not there */
  machine(node: number): Machine {
    const machine = this.#present.get(node);
    if (machine === undefined) throw new StepFailed(`there is no n${node}`);
    return machine;
  }

  /** The next one. */
  addMachine(): Machine {
    this.#lastNode++;
    return this.#join(this.#lastNode);
  }

  /** Another machine in the place of one that was removed. */
  returnMachine(node: number): Machine {
    const machine = this.#join(node);
    machine.replace();
    return machine;
  }

  /** It vanishes, and with it what was wrong with it; its lease ends, as the store would end it a day later. */
  removeMachine(node: number): void {
    const machine = this.machine(node);
    const entry = this.context.entryOf(machine);
    this.#present.delete(node);
    this.joins++;
    this.offline.delete(machine);
    for (const active of this.#active) if (active.machine === machine) this.#active.delete(active);
    machine.leave();
    const { database } = this.world;
    if (entry?.leaseId !== undefined) {
      const { leaseId } = entry;
      this.context.operate(() => database.expireLease(leaseId));
    } else if (entry !== undefined) this.context.operate(() => database.delete(entry.key));
  }

  /** @throws StepFailed while its agent runs */
  start(machine: Machine): void {
    if (machine.agent?.running === true)
      throw new StepFailed(`the agent of ${machine.name} runs already`);
    this.context.touch(machine);
    machine.start();
    // Only the scenario starts it again.
    machine.supervised = false;
  }

  /** @throws StepFailed when its agent ends, or is not ready in time */
  async awaitReady(machine: Machine): Promise<void> {
    const { agent } = machine;
    await this.until(() => agent?.running !== true || agent.ready, READY_MS);
    const { outcome } = agent ?? {};
    if (outcome !== undefined)
      throw new StepFailed(
        `the agent of ${machine.name} ended: ${"error" in outcome ? outcome.error.message : "stopped"}`,
      );
    if (agent?.ready !== true)
      throw new StepFailed(`the agent of ${machine.name} is not ready after ${READY_MS / 1000} s`);
  }

  /** Lets time pass until something holds, `withinMs` at the most. Whether it did. */
  async until(holds: () => boolean, withinMs: number): Promise<boolean> {
    const { time } = this.world;
    const endMs = time.nowMs + withinMs;
    while (!holds()) {
      if (time.nowMs >= endMs) return false;
      await time.pass(Math.min(LOOK_EVERY_MS, endMs - time.nowMs));
    }
    return true;
  }

  /** Somebody else changes a kernel. @throws StepFailed when the kernel refuses, or is as it was */
  async changeKernel(
    machine: Machine,
    changes: readonly Change[],
    drift: Drift | undefined,
  ): Promise<void> {
    const { kernel } = machine;
    const before = kernel.print();
    const refused = (await kernel.apply(changes)).find(({ error }) => error !== undefined);
    if (refused?.error !== undefined) throw new StepFailed(refused.error.message);
    if (kernel.print() === before)
      throw new StepFailed(`the kernel of ${machine.name} is as it was`);
    if (drift !== undefined) this.world.observer.drifted(machine, drift);
  }

  /** Keeps machines from the store until it is healed. */
  obstruct(state: Obstacle["state"], machines: readonly Machine[]): Cure {
    const obstacle = { state, machines };
    this.#obstacles.add(obstacle);
    this.#setUplinks();
    return {
      heal: () => {
        this.#obstacles.delete(obstacle);
        this.#setUplinks();
      },
    };
  }

  /** A fault is on; without `forMs`, until `healAll`. */
  keep(machine: Machine | undefined, cure: Cure, forMs: number | undefined): void {
    const active = { machine, cure };
    this.#active.add(active);
    if (forMs === undefined) return;
    this.world.time.after(forMs, () => {
      if (this.#active.delete(active)) cure.heal();
    });
  }

  /** What came last ends first: it may stand on what came before. @throws StepFailed for an agent that does not get ready again */
  async healAll(): Promise<void> {
    this.world.note("heal");
    const active = [...this.#active].toReversed();
    this.#active.clear();
    for (const { cure } of active) cure.heal();
    for (const { cure } of active)
      for (const machine of cure.awaits ?? [])
        if (this.machines.includes(machine)) await this.awaitReady(machine);
  }

  #join(node: number): Machine {
    const machine = this.world.nodes[node - 1];
    if (machine === undefined) throw new StepFailed(`this world has no room for n${node}`);
    this.#present.set(node, machine);
    this.joins++;
    return machine;
  }

  /** What drops packets outdoes what refuses connections. */
  #setUplinks(): void {
    for (const machine of this.world.nodes) {
      const states = [...this.#obstacles]
        .filter(({ machines }) => machines.includes(machine))
        .map(({ state }) => state);
      const state = states.includes("silent") ? "silent" : (states[0] ?? "open");
      if (machine.uplink.state === state) continue;
      this.context.touch(machine);
      machine.uplink.set(state);
    }
  }
}
