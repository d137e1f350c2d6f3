/** Plays a plan in a fresh world and says what was found. */
import { foreignLines, kernelTexts } from "./expected-kernel.ts";
import { FaultContext } from "./fault-context.ts";
import { Faults } from "./faults.ts";
import { Forwarding } from "./forwarding.ts";
import { checkMtu, checkWays } from "./quiet-data-plane.ts";
import { Checks } from "./checks.ts";
import type { InvariantId, Violation } from "./invariants.ts";
import { FAULT_SECONDS, type Plan, QUIET_SECONDS, ROUND_SECONDS } from "./plan.ts";
import { type Mutation, type SimNode, SUBNETS } from "./actors.ts";
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

const RESTORES = ["restore", "restore-snapshot", "restore-snapshot-same-name"] as const;
/** When the agents that started together must all be ready. */
const READY_MS = 5_000;
const MINUTE_MS = 60_000;
const CALM_MS = 2 * MINUTE_MS;
const MAX_REQUESTS_IN_CALM = 60;
/** A renewal grants, puts and revokes: with a slow network each may take some seconds. */
const RENEWAL_MS = 20_000;
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

  constructor(plan: Plan, world: SimWorld, checks: Checks) {
    this.#plan = plan;
    this.#world = world;
    this.#checks = checks;
    this.#context = new FaultContext(world, plan);
    this.faults = new Faults(this.#context);
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
    const before = new Map(nodes.map((node) => [node, this.#unattached(node)]));
    await time.pass(RENEWAL_MS);
    const forwarding = new Forwarding(nodes);
    for (const node of nodes) this.#checkQuiet(node, before.get(node) ?? [], forwarding);
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
    const exhausted = node.agent === undefined || this.#isExhausted(node);
    this.#checks.check(
      "A8",
      exhausted || (node.agent?.ready ?? false),
      () => `${node.name} is not ready 5 s after it started together with the others`,
    );
  }

  /** A node that found no free subnet is started again and again until there is one. */
  #isExhausted(node: SimNode): boolean {
    const { outcome, lease } = node.agent ?? {};
    if (lease !== undefined || node.agent === undefined) return false;
    // Started again, and about to find out the same.
    if (node.agent.running && this.#checks.isFullFor(node.agent)) return true;
    const error = outcome !== undefined && "error" in outcome ? outcome.error : undefined;
    return error?.message.startsWith("out of subnets") === true;
  }

  /** The etcd leases that an agent holds and no key has. */
  #unattached({ agent }: SimNode): readonly string[] {
    if (agent === undefined) return [];
    const live = this.#checks.leases();
    return this.#checks
      .aliveGrants(agent)
      .filter((leaseId) => !live.some(({ entry }) => entry.leaseId === leaseId));
  }

  /** `unattachedBefore`: what `#unattached` said so long ago that a renewal under way then is over. */
  #checkQuiet(node: SimNode, unattachedBefore: readonly string[], forwarding: Forwarding): void {
    const { agent, name } = node;
    if (agent === undefined || this.#isExhausted(node)) return;
    const live = this.#checks.leases();
    const own = live.find(({ owner }) => owner === node.publicIp);
    const { config, lease } = agent;
    this.#checks.check(
      "B5",
      agent.ready && own !== undefined && own.blocks[0]?.text === lease?.subnets[4],
      () =>
        `${name} is ${agent.ready ? "" : "not "}ready with ${lease?.subnets[4]} while the store has ${own?.entry.key}`,
    );
    const unattached = this.#unattached(node).filter((id) => unattachedBefore.includes(id));
    this.#checks.check(
      "B8",
      unattached.length === 0,
      () => `${name} keeps leases without a key: ${unattached.join(" ")}`,
    );
    this.#checkPeers(node);
    if (config === undefined || own === undefined) return;
    checkMtu(this.#checks, node, config);
    checkWays(this.#checks, node, { config, live, forwarding });
    const printed = node.kernel.print();
    const { wanted, actual } = kernelTexts(node, config, { live, printed });
    this.#checks.check(
      "D1",
      wanted === actual,
      () => `${name} has\n${actual}\ninstead of\n${wanted}`,
    );
    const strangers =
      live.some(({ owner }) => owner === undefined) || this.#hasNonsenseKeys(live.length);
    if (strangers)
      this.#checks.check(
        "A13",
        wanted === actual && agent.ready,
        () => `${name} suffers from nonsense in the store`,
      );
    const foreign = foreignLines(printed).join("\n");
    this.#checks.check(
      "D2",
      foreign === node.foreign,
      () => `${name} has, of what is not flannel's,\n${foreign}\ninstead of\n${node.foreign}`,
    );
  }

  #hasNonsenseKeys(readable: number): boolean {
    return this.#world.database.range({ prefix: SUBNETS }).entries.length > readable;
  }

  #checkPeers(node: SimNode): void {
    const { known, wanted } = this.#checks.peersOf(node);
    const detail = (): string => `${node.name} knows\n${known}\ninstead of\n${wanted}`;
    this.#checks.check("C2", known === wanted, detail);
    this.#checks.check("C5", known === wanted, detail);
    if (this.faults.hit.has("compact")) this.#checks.check("C3", known === wanted, detail);
    if (RESTORES.some((kind) => this.faults.hit.has(kind)))
      this.#checks.check("C9", known === wanted, detail);
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
