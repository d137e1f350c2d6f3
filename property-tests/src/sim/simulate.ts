/** Plays a plan in a fresh world and says what was found. */
import { FaultContext } from "./fault-context.ts";
import { Faults } from "./faults.ts";
import { QuietChecks, RENEWAL_MS } from "./quiet-checks.ts";
import { Checks } from "./checks.ts";
import type { InvariantId, Violation } from "./invariants.ts";
import { FAULT_SECONDS, type Plan, QUIET_SECONDS, ROUND_SECONDS } from "./plan.ts";
import type { Mutation, SimNode } from "./actors.ts";
import { SimWorld } from "./world.ts";

export interface SimResult {
  readonly violations: readonly Violation[];
  /** How often each check was made. */
  readonly counts: ReadonlyMap<InvariantId, number>;
  /** How often each fault struck. */
  readonly hit: ReadonlyMap<string, number>;
  /** The same for the same plan (invariant F4). */
  readonly traceHash: string;
  readonly virtualMs: number;
  readonly nodes: number;
  /** The last lines of what happened. */
  readonly trace: readonly string[];
}

/** When the agents that started together must all be ready. */
const READY_MS = 5_000;
const MINUTE_MS = 60_000;
const CALM_MS = 2 * MINUTE_MS;
const MAX_REQUESTS_IN_CALM = 60;
const HERD_MS = 10_000;
const MAX_REQUESTS_AFTER_OUTAGE = 20;
/** Three of its parts may wait for the store at a time, each trying again half a second after the last try at the soonest. */
const MAX_REQUESTS_PER_MINUTE = 360;
const MAX_LINES_PER_MINUTE = 10;

export async function simulate(plan: Plan, mutation: Mutation = {}): Promise<SimResult> {
  const found: { checks?: Checks } = {};
  const { seed, nodes, ttlSeconds, renewMarginMinutes, members, framing } = plan;
  const world = new SimWorld(
    { seed, nodes, ttlSeconds, renewMarginMinutes, members, framing, ...mutation },
    (made) => (found.checks = new Checks(made)),
  );
  const checks = found.checks ?? new Checks(world);
  const run = new Run(plan, world, checks);
  try {
    await run.play();
  } catch (error) {
    checks.check("B7", false, () => String(error));
  } finally {
    world.close();
  }
  return {
    violations: checks.violations,
    counts: checks.counts,
    hit: run.faults.hit,
    traceHash: world.traceHash(),
    virtualMs: world.time.nowMs,
    nodes,
    trace: world.trace,
  };
}

class Run {
  readonly faults: Faults;
  readonly #context: FaultContext;
  readonly #plan: Plan;
  readonly #world: SimWorld;
  readonly #checks: Checks;
  readonly #quiet: QuietChecks;

  constructor(plan: Plan, world: SimWorld, checks: Checks) {
    this.#plan = plan;
    this.#world = world;
    this.#checks = checks;
    this.#context = new FaultContext(world, plan);
    this.faults = new Faults(this.#context);
    this.#quiet = new QuietChecks(world, checks, this.faults.hit);
    checks.faults = this.#context;
  }

  async play(): Promise<void> {
    const { time, nodes } = this.#world;
    this.#context.configure(0);
    for (const node of nodes) node.start();
    this.#everyMinute();
    await time.pass(READY_MS);
    for (const node of nodes) this.#checkStart(node);
    for (let round = 0; round < this.#plan.rounds; round++) {
      await this.#round(round);
      this.#checks.check("B7", true, () => "");
      if (this.#checks.violations.length > 0) return;
    }
  }

  async #round(round: number): Promise<void> {
    const { time, nodes } = this.#world;
    const startMs = time.nowMs;
    this.#context.takeBackup();
    for (const fault of this.#plan.faults)
      if (fault.round === round)
        time.after(fault.atSeconds * 1000, () => this.faults.inject(fault));
    await time.pass(FAULT_SECONDS * 1000);
    this.#watchHerd();
    this.faults.heal();
    await time.pass(QUIET_SECONDS * 1000 - RENEWAL_MS);
    await this.#quiet.look(nodes);
    // As the auto-compaction of a real cluster; what a watch still needs is never older than this.
    this.#world.database.compact(this.#world.database.revision);
    await time.pass(Math.max(0, startMs + ROUND_SECONDS * 1000 - time.nowMs));
  }

  /** After an outage nobody storms the store: at most two requests a second in the first ten. */
  #watchHerd(): void {
    for (const { agent, uplink } of this.#world.nodes) {
      if (agent?.running !== true || agent.paused || uplink.state === "open") continue;
      const memory = this.#checks.memory(agent);
      const before = memory.sentEver;
      this.#world.time.after(HERD_MS, () => {
        if (!agent.running) return;
        const sent = memory.sentEver - before;
        const detail = (): string =>
          `${agent.node.name} sent ${sent} requests in 10 s after the outage`;
        this.#checks.check("E5", sent <= MAX_REQUESTS_AFTER_OUTAGE, detail);
      });
    }
  }

  #checkStart(node: SimNode): void {
    const exhausted = node.agent === undefined || this.#quiet.isExhausted(node);
    this.#checks.check(
      "A8",
      exhausted || (node.agent?.ready ?? false),
      () => `${node.name} is not ready 5 s after it started together with the others`,
    );
  }

  /** Counts what each agent sent and wrote in a minute throughout which it could not reach the store. */
  #everyMinute(): void {
    const { time, nodes } = this.#world;
    time.after(MINUTE_MS, () => {
      for (const { agent, uplink, troubledAtMs, clockErrors } of nodes) {
        if (agent === undefined) continue;
        const memory = this.#checks.memory(agent);
        const untouched = troubledAtMs <= time.nowMs - MINUTE_MS;
        if (agent.running && !agent.paused && uplink.state !== "open" && untouched) {
          this.#checks.check(
            "E5",
            memory.sent <= MAX_REQUESTS_PER_MINUTE && memory.lines <= MAX_LINES_PER_MINUTE,
            () =>
              `${agent.node.name} sent ${memory.sent} requests and wrote ${memory.lines} lines in a minute without the store`,
          );
        }
        const calm =
          agent.running &&
          uplink.state === "open" &&
          troubledAtMs < time.nowMs - CALM_MS &&
          !this.#context.hinders(agent.node);
        if (calm && clockErrors.wallOffsetMs !== 0)
          this.#checks.check(
            "B4",
            memory.sent <= MAX_REQUESTS_IN_CALM,
            () =>
              `${agent.node.name} sent ${memory.sent} requests in a minute after its wall clock jumped`,
          );
        memory.sent = 0;
        memory.lines = 0;
      }
      this.#everyMinute();
    });
  }
}
