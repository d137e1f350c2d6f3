/** The player of scenarios can fail: each expectation, each step that cannot be done, and what comes after. */
import type { Step, Variant } from "lab/scenario";
import { describe, expect, test } from "vitest";
import { AgentClock, SimTime } from "../sim-time.ts";
import { absentNode } from "./cast.ts";
import { playScenario } from "./play-scenario.ts";
import { HOST_GW, VXLAN, play, story, wrongsOf } from "./stories.ts";

describe("a step that does not hold", () => {
  /** Steps, the number of the one that ends the run, the id and the first detail that are told of. */
  test.each<[string, Variant, readonly Step[], number, RegExp]>([
    [
      "routes that nobody puts back are not repaired in time",
      VXLAN,
      [
        { fault: "kill-agent", node: 1 },
        { fault: "flush-routes", node: 1 },
        { expect: "repaired", withinMs: 1_000 },
      ],
      3,
      /^D11: .* n1 lacks route 10\.42\./,
    ],
    [
      "nor do they equal the leases",
      HOST_GW,
      [
        { fault: "kill-agent", node: 1 },
        { fault: "alter-route", node: 1, peer: 2 },
        { expect: "kernel-equals-leases", withinMs: 1_000 },
      ],
      3,
      /^D1: .* n1 lacks route .* n1 has besides route .* via 192\.0\.2\.254 /,
    ],
    [
      "pods behind them are not reached",
      VXLAN,
      [
        { fault: "kill-agent", node: 1 },
        { fault: "delete-fdb", node: 1, peer: 2 },
        { expect: "pods-reach-each-other", withinMs: 500 },
      ],
      3,
      /^D7: .* no FDB entry /,
    ],
    [
      "nor those of a machine whose card is off",
      VXLAN,
      [
        { fault: "link-flap", node: 2, side: "switch" },
        { expect: "pods-reach-each-other", withinMs: 500 },
      ],
      2,
      /^D7: .* the card of n2 carries nothing/,
    ],
    [
      "packets are lost",
      HOST_GW,
      [
        { fault: "kill-agent", node: 1 },
        { probe: "start", from: 1, to: 2 },
        { fault: "delete-route", node: 1, peer: 2 },
        { probe: "stop", packets: 1_000 },
        { expect: "no-packet-lost", withinMs: 0 },
      ],
      5,
      /^D5: .* packets lost/,
    ],
    [
      "packets have no answer for too long",
      HOST_GW,
      [
        { fault: "kill-agent", node: 2 },
        { probe: "start", from: 1, to: 2 },
        { fault: "delete-route", node: 2, peer: 1, forMs: 1_500 },
        { probe: "stop", packets: 6_000 },
        { expect: "gap-at-most", withinMs: 1_499 },
      ],
      5,
      /^D5: .* 1500\.\d ms without an answer/,
    ],
    [
      "packets have no answer to the end",
      HOST_GW,
      [
        { fault: "kill-agent", node: 2 },
        { probe: "start", from: 1, to: 2 },
        { fault: "delete-route", node: 2, peer: 1 },
        { probe: "stop", packets: 6_000 },
        { expect: "gap-at-most", withinMs: 2_000 },
      ],
      5,
      /^D5: .* [23]\d{3}\.\d ms without an answer/,
    ],
    [
      "a probe of too few packets says nothing",
      HOST_GW,
      [
        { probe: "start", from: 1, to: 2 },
        { probe: "stop", packets: 10 },
        { expect: "no-packet-lost", withinMs: 0 },
      ],
      3,
      /^D5: .* only \d+ packets sent/,
    ],
    ["nor does none", HOST_GW, [{ expect: "gap-at-most", withinMs: 0 }], 1, /^D5: .* no probe ran/],
    [
      "pods of one card with a smaller MTU are told too much by the others",
      HOST_GW,
      [
        { fault: "change-mtu", node: 1, mtu: 1400 },
        { expect: "largest-packet-is-mtu", withinMs: 5_000 },
      ],
      2,
      /^D8: .* n2 tells pods 1500: of 1400 fit to n1/,
    ],
    [
      "a machine that came anew has another subnet",
      VXLAN,
      [
        { act: "remember-subnets" },
        { act: "remove-node", node: 2 },
        { act: "return-node", node: 2 },
        { expect: "subnets-are-kept", withinMs: 1_000 },
      ],
      4,
      /^A10: .* n2 had .*, subnet\.env has/,
    ],
    [
      "nothing was remembered",
      VXLAN,
      [{ expect: "subnets-are-kept", withinMs: 0 }],
      1,
      /^A10: .* nothing was remembered/,
    ],
    [
      "what is somebody else's is away",
      VXLAN,
      [
        { fault: "foreign-device", node: 1 },
        { fault: "delete-link", node: 1, link: "other0" },
        { expect: "foreign-objects-stay", withinMs: 0 },
      ],
      3,
      /^D2: .* n1 has no .*other0.* any more/,
    ],
    [
      "nothing of somebody else is there",
      VXLAN,
      [{ expect: "foreign-objects-stay", withinMs: 0 }],
      1,
      /^D2: .* nothing of somebody else/,
    ],
    [
      "an agent that stands still does not hear that its subnet is another's",
      VXLAN,
      [
        { fault: "pause-agent", node: 1 },
        { fault: "overwrite-lease", node: 1 },
        { expect: "nobody-runs-on-anothers-lease", withinMs: 3_000 },
      ],
      3,
      /^B1: .* n1 runs with 10\.42\..* of /,
    ],
    [
      "an agent that runs is not started",
      VXLAN,
      [{ act: "start-agent", node: 1 }],
      1,
      /the agent of n1 runs already/,
    ],
    [
      "an agent that cannot lease a subnet is not ready",
      VXLAN,
      [{ fault: "stop-store" }, { act: "add-node" }],
      2,
      /the agent of n4 is not ready after 20 s/,
    ],
    [
      "there is nothing to be deleted",
      HOST_GW,
      [{ fault: "delete-fdb", node: 1, peer: 2 }],
      1,
      /n1 has no fdb that leads to n2/,
    ],
    [
      "there is no such device",
      HOST_GW,
      [{ fault: "delete-link", node: 1, link: "flannel.1" }],
      1,
      /there is no flannel\.1/,
    ],
    [
      "a lease that is no more cannot be deleted",
      VXLAN,
      [
        { fault: "kill-agent", node: 1 },
        { fault: "delete-lease", node: 1 },
        { fault: "delete-lease", node: 1 },
      ],
      3,
      /n1 holds no lease/,
    ],
    [
      "a fault that changes nothing has no effect",
      VXLAN,
      [
        { fault: "kill-agent", node: 1 },
        { fault: "change-mac", node: 1, link: "flannel.1" },
        { fault: "change-mac", node: 1, link: "flannel.1" },
      ],
      3,
      /the kernel of n1 is as it was/,
    ],
    [
      "a machine that lost its lease and /run has another subnet",
      VXLAN,
      [
        { act: "remember-subnets" },
        { fault: "reboot-host", node: 1, run: "lost" },
        { fault: "delete-lease", node: 1 },
        { act: "heal" },
        { expect: "subnets-are-kept", withinMs: 1_000 },
      ],
      5,
      /^A10: .* n1 had .*, the store has/,
    ],
    [
      "what was repaired before it was looked at was repaired too late",
      VXLAN,
      [
        { fault: "flush-routes", node: 1 },
        { act: "add-node" },
        { probe: "start", from: 1, to: 2 },
        { probe: "stop", packets: 8_000 },
        { expect: "repaired", withinMs: 1_000 },
      ],
      5,
      /^D11: .* repaired \d+\.?\d* ms after fault flush-routes node=1/,
    ],
    [
      "a store that was rolled back knows nothing of who came meanwhile, at first",
      VXLAN,
      [
        { fault: "roll-back-store" },
        { act: "add-node" },
        { act: "heal" },
        { expect: "kernel-equals-leases", withinMs: 0 },
      ],
      4,
      /^D1: .* n4 has no lease/,
    ],
    [
      "who came in a storm is gone after it",
      VXLAN,
      [{ fault: "join-storm", hosts: 1 }, { act: "heal" }, { act: "start-agent", node: 4 }],
      3,
      /there is no n4/,
    ],
    [
      "no fault came before",
      VXLAN,
      [{ expect: "repaired", withinMs: 1_000 }],
      1,
      /^D11: .* no fault took effect/,
    ],
  ])("%s", async (_name, variant, steps, step, wrong) => {
    const played = await play(steps, variant);
    expect(wrongsOf(played)[0]).toMatch(wrong);
    expect(played.failure?.step).toBe(step);
    expect(played.failure?.trace.length).toBeGreaterThan(0);
  });

  test.each<[readonly Step[], number | undefined]>([
    [[{ fault: "kill-agent", node: 4 }], 0],
    [[{ act: "add-node" }, { fault: "kill-agent", node: 4 }], undefined],
    [[{ fault: "join-storm" }, { fault: "kill-agent", node: 6 }], undefined],
    [
      [
        { fault: "join-storm", hosts: 2 },
        { fault: "kill-agent", node: 6 },
      ],
      1,
    ],
    [[{ fault: "join-storm" }, { act: "heal" }, { fault: "kill-agent", node: 6 }], 2],
    [
      [
        { fault: "leave-storm", hosts: 1 },
        { probe: "start", from: 1, to: 3 },
      ],
      1,
    ],
    [
      [{ fault: "leave-storm", hosts: 1 }, { act: "heal" }, { fault: "kill-agent", node: 3 }],
      undefined,
    ],
    [
      [
        { act: "remove-node", node: 2 },
        { fault: "detour", node: 1, peer: 2 },
      ],
      1,
    ],
    [
      [
        { act: "remove-node", node: 2 },
        { act: "return-node", node: 2 },
      ],
      undefined,
    ],
  ])("%j names a node that is not there in step %s", (steps, index) => {
    expect(absentNode(story(...steps))?.index).toBe(index);
  });

  test("ends the steps: what comes after it is not done", async () => {
    const { failure, virtualMs } = await play([
      { expect: "foreign-objects-stay", withinMs: 0 },
      { probe: "start", from: 1, to: 2 },
      { probe: "stop", packets: 1_000_000 },
    ]);
    expect(failure?.step).toBe(1);
    expect(virtualMs).toBeLessThan(100_000);
  });

  test("a machine that kept /run takes its subnet again, though the lease is gone", async () => {
    const played = await play([
      { act: "remember-subnets" },
      { fault: "reboot-host", node: 1, run: "kept" },
      { fault: "delete-lease", node: 1 },
      { act: "heal" },
      { expect: "subnets-are-kept", withinMs: 1_000 },
    ]);
    expect(wrongsOf(played)).toEqual([]);
  });

  test("B7: what spins ends the world, and is told of", async () => {
    const { violations } = await playScenario(story(), VXLAN, {
      seed: 1,
      mutation: {
        wrapKernel: (kernel, { world }) => ({
          dump: async (scope) => {
            for (let times = 0; times < 30_000; times++)
              await new Promise<void>((resolve) => world.time.after(0, resolve));
            return kernel.dump(scope);
          },
          apply: (changes) => kernel.apply(changes),
          watch: (signal) => kernel.watch(signal),
          hasNexthops: () => kernel.hasNexthops(),
          routesTo: (destinations) => kernel.routesTo(destinations),
          interfaces: () => kernel.interfaces(),
        }),
      },
    });
    expect(violations.map(({ id }) => id)).toEqual(["B7"]);
  });

  test("what a fault with a time did is over after it", async () => {
    const steps = (withinMs: number): readonly Step[] => [
      { fault: "link-flap", node: 2, side: "switch", forMs: 3_000 },
      { expect: "pods-reach-each-other", withinMs },
    ];
    expect(wrongsOf(await play(steps(2_000)))[0]).toMatch(/^D7: step 2/);
    expect(wrongsOf(await play(steps(4_000)))).toEqual([]);
  });

  test("an agent that ended by itself stays ended until the scenario starts it", async () => {
    const played = await play(
      [
        { fault: "overwrite-lease", node: 1 },
        { probe: "start", from: 2, to: 3 },
        { probe: "stop", packets: 30_000 },
        { act: "start-agent", node: 1 },
        { expect: "kernel-equals-leases", withinMs: 2_000 },
      ],
      HOST_GW,
    );
    expect(wrongsOf(played)).toEqual([]);
  });

  test("an expectation is looked at until it holds, and not for longer", async () => {
    const steps = (withinMs: number): readonly Step[] => [
      { fault: "stop-agent", node: 1 },
      { act: "remove-node", node: 3 },
      { fault: "pause-agent", node: 2, forMs: 4_000 },
      { act: "start-agent", node: 1 },
      { expect: "kernel-equals-leases", withinMs },
    ];
    const late = await play(steps(1_000));
    expect(wrongsOf(late)[0]).toMatch(/^D1: step 5.* n2 has besides/);
    const inTime = await play(steps(10_000));
    expect(wrongsOf(inTime)).toEqual([]);
    // Both end with the same heal and the same quiet time.
    expect(inTime.virtualMs - late.virtualMs).toBeLessThan(6_000);
  });

  test("a wall clock at another pace gains from when it was set", async () => {
    const time = new SimTime();
    await time.pass(5_000);
    const errors = { rate: 1, wallOffsetMs: 0, wallPace: { sinceMs: 5_000, pace: 2 } };
    const [wrong, right] = [errors, { rate: 1, wallOffsetMs: 0 }].map(
      (one) => new AgentClock(time, one),
    );
    await time.pass(60_000);
    expect(Number(wrong?.wallClock()) - Number(right?.wallClock())).toBe(60_000);
    expect(wrong?.nowMs()).toBe(right?.nowMs());
  });
});
