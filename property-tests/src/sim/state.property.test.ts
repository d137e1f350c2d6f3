/** Agents that start again, at any moment, while no node reaches the store: what the state file is for. */
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { SUBNETS } from "./actors.ts";
import { Checks } from "./checks.ts";
import { kernelTextsNow } from "./expected-kernel.ts";
import { FaultContext } from "./fault-context.ts";
import { type Live, storedOf } from "./lease-facts.ts";
import { type Plan, planOfSeed } from "./plan.ts";
import { QuietChecks } from "./quiet-checks.ts";
import { type Machine, SimWorld } from "./world.ts";

/** Everything known is in the file after this time. */
const SETTLED_MS = 60_000;
const OUTAGE_SECONDS = 300;
/** A request over a silent connection is given up after five seconds; then one look, and the start. */
const STARTED_MS = 12_000;
const RETURNED_MS = 30_000;

const WORLDS = 40;

interface Restart {
  readonly node: number;
  readonly atMs: number;
  readonly how: "crash" | "stop" | "reboot";
  readonly downMs: number;
}

interface Story {
  readonly seed: number;
  readonly shape: Pick<Plan, "backend" | "dualStack" | "members">;
  readonly outage: "refused" | "silent";
  readonly wallJumpHours: number;
  readonly restarts: readonly Restart[];
  /** What becomes of the leases of others meanwhile. */
  readonly leaves: boolean;
  readonly comes: boolean;
}

const stories: fc.Arbitrary<Story> = fc.record({
  seed: fc.nat(),
  shape: fc.record({
    backend: fc.constantFrom("vxlan" as const, "host-gw" as const),
    dualStack: fc.boolean(),
    members: fc.constantFrom(1 as const, 3 as const),
  }),
  outage: fc.constantFrom("refused" as const, "silent" as const),
  wallJumpHours: fc.constantFrom(0, 0, 25, -25),
  restarts: fc.array(
    fc.record({
      node: fc.nat({ max: 2 }),
      atMs: fc.integer({ min: 0, max: (OUTAGE_SECONDS - 60) * 1_000 }),
      how: fc.constantFrom("crash" as const, "stop" as const, "reboot" as const),
      downMs: fc.integer({ min: 0, max: 30_000 }),
    }),
    { minLength: 1, maxLength: 6 },
  ),
  leaves: fc.boolean(),
  comes: fc.boolean(),
});

interface Told {
  readonly violations: readonly string[];
  readonly wrong: readonly string[];
  /** How many kernels were looked at while the store was down. */
  readonly looks: number;
  readonly resumed: number;
}

class Stage {
  readonly world: SimWorld;
  readonly checks: Checks;
  readonly context: FaultContext;
  readonly quiet: QuietChecks;
  readonly wrong: string[] = [];
  looks = 0;

  constructor({ seed, shape }: Story) {
    const plan: Plan = {
      ...planOfSeed(seed, { nodes: { min: 3, max: 3 }, minutes: 10 }),
      ...shape,
      range: "roomy",
      ttlSeconds: 86_400,
      renewMarginMinutes: 60,
      faults: [],
    };
    const found: { checks?: Checks } = {};
    this.world = new SimWorld(plan, (made) => (found.checks = new Checks(made)));
    this.checks = found.checks ?? new Checks(this.world);
    this.context = new FaultContext(this.world, plan);
    this.checks.faults = this.context;
    this.quiet = new QuietChecks(this.world, this.checks, new Set());
    this.context.configure(0);
  }

  get live(): Live {
    const { entries } = this.world.database.range({ prefix: SUBNETS });
    return new Map(entries.map((entry) => [entry.key, entry]));
  }

  cut(state: "refused" | "silent" | "open"): void {
    this.context.storeDown = state !== "open";
    for (const node of this.world.nodes) {
      this.context.touch(node);
      node.uplink.set(state);
    }
  }

  restart(node: Machine, { how, downMs }: Restart, before: Live): void {
    if (node.agent?.running !== true) return;
    node[how]();
    this.world.time.after(downMs, () => {
      node.start();
      const { agent } = node;
      this.world.time.after(STARTED_MS, () => {
        if (node.agent !== agent || agent?.running !== true) return;
        this.looks++;
        this.#compare(node, before, `${how} and start`);
      });
    });
  }

  /** The kernel has what the leases of then call for. */
  #compare(node: Machine, live: Live, when: string): void {
    const { agent, name } = node;
    const texts = agent === undefined ? undefined : kernelTextsNow(agent, storedOf(live));
    if (texts === undefined) this.wrong.push(`${name} after ${when} has no lease`);
    else if (texts.wanted !== texts.actual)
      this.wrong.push(`${name} after ${when} has\n${texts.actual}\ninstead of\n${texts.wanted}`);
  }
}

async function play(story: Story): Promise<Told> {
  const stage = new Stage(story);
  const { world, context, checks, quiet } = stage;
  try {
    for (const node of world.nodes) node.start();
    await world.time.pass(SETTLED_MS);
    const before = stage.live;
    stage.cut(story.outage);
    for (const node of world.nodes)
      node.clockErrors.wallOffsetMs += story.wallJumpHours * 3_600_000;
    // A boot is the one thing after which the wall clock counts: a node whose clock was set does not trust what it kept.
    const restarts = story.restarts.filter(
      ({ how }) => story.wallJumpHours === 0 || how !== "reboot",
    );
    for (const restart of restarts)
      world.time.after(restart.atMs, () => {
        const { [restart.node]: node } = world.nodes;
        if (node !== undefined) stage.restart(node, restart, before);
      });
    const [, , third] = world.nodes;
    if (story.leaves && third !== undefined) {
      const entry = context.entryOf(third);
      world.time.after(OUTAGE_SECONDS * 1_000 - 1, () => third.leave());
      world.time.after(OUTAGE_SECONDS * 1_000 - 1, () =>
        context.operate(() => entry !== undefined && world.database.delete(entry.key)),
      );
    }
    if (story.comes)
      world.time.after(1_000, () =>
        context.operate(() =>
          world.database.put(
            `${SUBNETS}10.42.200.0-28${story.shape.dualStack ? "&fd00:42::c80-124" : ""}`,
            context.foreignValue(),
          ),
        ),
      );
    await world.time.pass(OUTAGE_SECONDS * 1_000);
    const resumed = world.trace.filter((line) => line.includes("of the state file")).length;
    stage.cut("open");
    await world.time.pass(RETURNED_MS);
    const staying = world.nodes.filter(({ agent }) => agent !== undefined);
    await quiet.look(staying);
    for (const node of staying) {
      const kept = [...before.values()].find(({ key }) => key === context.entryOf(node)?.key);
      if (kept === undefined) stage.wrong.push(`${node.name} has another subnet than before`);
    }
    const violations = checks.violations.map(({ id, detail }) => `${id}: ${detail}`);
    return { violations, wrong: stage.wrong, looks: stage.looks, resumed };
  } finally {
    world.close();
  }
}

test("A1, A3, A4, A10, B3', D1, E2, E5: agents that start while the store is down carry packets as before, and agree with it when it is back", async () => {
  let looks = 0;
  let resumed = 0;
  await fc.assert(
    fc.asyncProperty(stories, async (story) => {
      const told = await play(story);
      looks += told.looks;
      resumed += told.resumed;
      expect({ violations: told.violations, wrong: told.wrong }).toEqual({
        violations: [],
        wrong: [],
      });
    }),
    { numRuns: WORLDS },
  );
  expect(looks).toBeGreaterThan(0);
  expect(resumed).toBeGreaterThan(0);
}, 120_000);
