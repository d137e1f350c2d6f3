import { join } from "node:path";
import { requires } from "linux/testing";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { kernelEqualsLeases } from "../checks/kernel-equals-leases.ts";
import type { FaultRequest, Lab } from "../lab.ts";
import { type LaunchedLab, launchLab } from "../launch.ts";
import { NETWORKS } from "../network-config.ts";
import { readHostKernel } from "../observe/kernel-state.ts";
import { leaseDetails } from "../observe/lease-details.ts";
import { STORE_PREFIX } from "../observe/leases.ts";
import { labOptions } from "../options.ts";
import type { ScenarioResult } from "../scenario-result.ts";
import { runScenario } from "../scenario-run.ts";
import type { Scenario, Step, Variant } from "../scenario.ts";
import { deadlineIn, poll, systemClock } from "../system/clock.ts";
import { defaultFlanneld } from "../own-agent.ts";
import { describeMachine, workingDirectory } from "../system/machine.ts";
import { Workplace } from "../testing/command-line.ts";
import {
  type FaultCase,
  FAULT_CASES,
  isPossible,
  MEMBER_FAULT_CASES,
  PEER,
} from "./fault-cases.ts";
import { FAULTS } from "./registry.ts";
import { corruptWords } from "./corrupt/index.ts";
import { delayWords } from "./delay/index.ts";
import { jitterWords } from "./jitter/index.ts";
import { reorderWords } from "./reorder/index.ts";

const SOON_MS = 20_000;
const FACTS = { run: "x", agent: "route-agent", seed: 1, machine: describeMachine() };
const VARIANT: Variant = { backend: "vxlan", family: "dual", segments: 1 };

requires("lab", "vxlan")("faults", () => {
  let workplace: Workplace;
  let launched: LaunchedLab;
  let lab: Lab;

  beforeAll(async () => {
    workplace = new Workplace();
    const options = labOptions(
      { nodes: 2, dualStack: true },
      { flanneld: defaultFlanneld(), workingDirectory: workingDirectory() },
    );
    launched = await launchLab(options, join(workplace.labs, "default"));
    lab = launched.lab;
    await waitUntilRight();
  });
  afterEach(async () => {
    // What a failed test left on would make the next one fail too.
    await lab.healFaults({});
  });
  afterAll(async () => {
    await launched.down();
    workplace[Symbol.dispose]();
  });

  /** Until every kernel holds what the leases say; an agent that ended with its lease is started again. */
  async function waitUntilRight(): Promise<void> {
    const deadline = deadlineIn(systemClock, SOON_MS);
    const right = await poll(systemClock, { everyMs: 50, deadline }, async () => {
      const { hosts } = await lab.status({});
      for (const { name } of hosts.filter(({ state }) => state === "exited")) {
        await lab.startAgent({ host: name });
      }
      const { entries } = await lab.readStore({ prefix: `${STORE_PREFIX}/subnets/` });
      const views = await Promise.all(
        hosts.map(async ({ name, publicIps }) => ({
          host: name,
          publicIps: { ipv4: publicIps[0] ?? "", ipv6: publicIps[1] ?? "" },
          kernel: await readHostKernel(lab, name),
        })),
      );
      const facts = {
        backend: "vxlan",
        directRouting: false,
        segmentLengths: { ipv4: 24, ipv6: 64 },
        families: ["ipv4", "ipv6"],
        networks: { ipv4: [NETWORKS.ipv4], ipv6: [NETWORKS.ipv6] },
      } as const;
      return (
        kernelEqualsLeases(facts, leaseDetails(entries), views).verdict === "pass" || undefined
      );
    });
    expect(right).toBe(true);
  }

  /** Whether the test itself sees the effect; undefined where it has nothing to look at. */
  async function shows(meanwhile: FaultCase["meanwhile"]): Promise<boolean | undefined> {
    if (meanwhile === undefined) {
      return undefined;
    }
    const { stdout } = await lab.exec({ host: "n1", argv: meanwhile.argv });
    return meanwhile.says.test(stdout);
  }

  it("each have a case here", () => {
    const cases = [...FAULT_CASES, ...MEMBER_FAULT_CASES];
    const tested = new Set(cases.map(({ request }) => request.fault));
    tested.add("partition-ring"); // Wants more hosts: it has a test of its own below.
    tested.add("expire-tokens"); // Wants a store with users: in store-members.lab.test.ts.
    expect([...FAULTS.keys()].filter((name) => !tested.has(name))).toEqual([]);
  });

  /** One test a case: pretended, injected, looked at, healed. */
  function tryEach(cases: readonly FaultCase[]): void {
    describe.each(cases)("$request.fault $request.parameters", ({ request, saw, meanwhile }) => {
      it("F2: is seen by a witness when it strikes and by none when it does not, and is healed", async () => {
        const pretended = await lab.injectFault({ ...request, pretend: true });
        expect(pretended.saw).toBeUndefined();
        const report = await lab.injectFault(request);
        expect(report.saw).toMatch(saw);
        expect(await lab.listFaults({})).toMatchObject([{ id: report.id, fault: request.fault }]);
        expect(await shows(meanwhile)).not.toBe(false);
        const [healed] = await lab.healFaults({ id: report.id });
        expect(healed).toMatchObject({ id: report.id, saw: expect.any(String) });
        expect(await lab.listFaults({})).toEqual([]);
        expect(await shows(meanwhile)).not.toBe(true);
        await waitUntilRight();
      });
    });
  }

  tryEach(FAULT_CASES.filter(isPossible));

  describe.each(FAULT_CASES.filter((one) => !isPossible(one)))("$request.fault", ({ request }) => {
    it("is refused in one line, before anything is done, where the machine cannot do it", async () => {
      const need = FAULTS.get(request.fault)?.needs;
      await expect(lab.injectFault(request)).rejects.toThrow(
        new RegExp(`^no ${need} here: .+; remedy: .+$`),
      );
      expect(await lab.listFaults({})).toEqual([]);
    });
  });

  it.each([delayWords(50), jitterWords(30), reorderWords(50), corruptWords(40)])(
    "by netem are put in words that tc understands: %s",
    async (words) => {
      const script = `tc qdisc add dev lo root netem ${words} && tc qdisc del dev lo root`;
      const { stderr } = await lab.exec({ host: "n1", argv: ["sh", "-c", script] });
      // tc reads its words before the kernel is asked: one that has no netem says so.
      expect(stderr.trim()).toMatch(/^(Error: Specified qdisc kind is unknown\.)?$/);
    },
  );

  it("that shape a link are refused where another shapes it, and fit beside one of the other direction", async () => {
    const limit = (direction: string): Promise<unknown> =>
      lab.injectFault({ fault: "rate", host: "n1", parameters: { kbit: "5000", direction } });
    await limit("in");
    await expect(limit("both")).rejects.toThrow("n1 is shaped already: heal that fault first");
    await limit("out");
    expect(await lab.listFaults({ look: true })).toMatchObject([
      { saw: expect.any(String) },
      { saw: expect.any(String) },
    ]);
    expect(await lab.healFaults({})).toMatchObject([
      { saw: expect.any(String) },
      { saw: expect.any(String) },
    ]);
  });

  it("of a pair leave both its hosts the way to a third", async () => {
    await lab.addHost({ host: "n3" });
    await lab.waitReady({ timeoutMs: SOON_MS });
    await lab.waitReachable({ timeoutMs: SOON_MS });
    await lab.injectFault({ fault: "partition-pair", host: "n1", parameters: { peer: "n3" } });
    const pings = await lab.ping({ count: 1 });
    const lost = pings.pairs.filter(({ received }) => received === 0);
    expect([...new Set(lost.map(({ from, to }) => `${from} ${to}`))]).toEqual(["n1 n3", "n3 n1"]);
    await lab.healFaults({});
    await lab.removeHost({ host: "n3" });
  });

  it("F2: loss strikes and is seen whatever another host loses", async () => {
    const loss = (host: string, percent: string): FaultRequest => ({
      fault: "loss",
      host,
      parameters: { percent },
    });
    expect((await lab.injectFault(loss("n2", "95"))).saw).toMatch(/pings from n2 were lost/);
    expect((await lab.injectFault(loss("n1", "40"))).saw).toMatch(/of 50 pings from n1 were lost/);
    const healed = await lab.healFaults({});
    expect(healed.map(({ saw }) => saw)).toEqual(Array(2).fill("none of 20 pings was lost"));
  });

  it("that make a ring leave each host its neighbours, and are refused where all are neighbours", async () => {
    const ring = { fault: "partition-ring", parameters: {} };
    await expect(lab.injectFault(ring)).rejects.toThrow("a ring wants 4 hosts; there are 2");
    await lab.addHost({ host: "n3" });
    await lab.addHost({ host: "n4" });
    await lab.waitReady({ timeoutMs: SOON_MS });
    await lab.waitReachable({ timeoutMs: SOON_MS });
    expect((await lab.injectFault({ ...ring, pretend: true })).saw).toBeUndefined();
    const report = await lab.injectFault(ring);
    expect(report.saw).toMatch(/^each of 4 hosts had an answer from its neighbour and from no/);
    const { pairs } = await lab.ping({ count: 1 });
    const lost = pairs.filter(({ received }) => received === 0);
    expect([...new Set(lost.map(({ from, to }) => `${from} ${to}`))].toSorted()).toEqual([
      "n1 n3",
      "n2 n4",
      "n3 n1",
      "n4 n2",
    ]);
    expect(await lab.healFaults({})).toMatchObject([{ saw: expect.any(String) }]);
    await lab.waitReachable({ timeoutMs: SOON_MS });
    await lab.injectFault(ring);
    await lab.removeHost({ host: "n4" });
    expect(await lab.healFaults({})).toMatchObject([
      { saw: "each of 3 hosts had an answer from all beyond its neighbours" },
    ]);
    await lab.waitReachable({ timeoutMs: SOON_MS });
    await lab.removeHost({ host: "n3" });
  });

  it("of addresses are followed by the lab's status and its pods", async () => {
    const [before] = (await lab.status({})).hosts;
    await lab.injectFault({ fault: "change-address", host: "n1", parameters: {} });
    const [during] = (await lab.status({})).hosts;
    expect(during?.publicIps).toEqual(["172.31.1.111", "fd00:31:0:1::6f"]);
    await lab.healFaults({});
    await waitUntilRight();
    const [after] = (await lab.status({})).hosts;
    expect(after?.publicIps).toEqual(before?.publicIps);
    await expect(lab.waitReachable({ timeoutMs: SOON_MS })).resolves.toBeDefined();
  });

  it("restore with no agent what it would have repaired", async () => {
    await lab.killAgent({ host: "n1", signal: "SIGKILL" });
    for (const [fault, parameters] of [
      ["delete-route", PEER],
      ["alter-route", PEER],
      ["alter-neighbour", PEER],
      ["delete-fdb", PEER],
      ["delete-link", {}],
    ] as const) {
      const before = await readHostKernel(lab, "n1");
      await lab.injectFault({ fault, host: "n1", parameters });
      expect(await readHostKernel(lab, "n1")).not.toEqual(before);
      await lab.healFaults({});
      const after = await readHostKernel(lab, "n1");
      expect(sorted(after)).toEqual(sorted(before));
    }
    await lab.startAgent({ host: "n1" });
    await waitUntilRight();
  });

  it("F2: make a scenario unknown when nobody saw one, and none is on before it or after it", async () => {
    const scenario = (...steps: readonly Step[]): Scenario => ({
      name: "x",
      why: "y",
      invariants: [],
      nodes: 2,
      variants: [VARIANT],
      steps,
    });
    const play = (steps: readonly Step[], used: Lab): Promise<ScenarioResult> =>
      runScenario(scenario(...steps), VARIANT, {
        clock: systemClock,
        facts: FACTS,
        openLab: async () => ({ lab: used, [Symbol.asyncDispose]: async () => undefined }),
      });
    const harmless: Lab = {
      ...lab,
      injectFault: (request) => lab.injectFault({ ...request, pretend: true }),
    };
    const steps: readonly Step[] = [
      { fault: "foreign-route", node: 1 },
      { expect: "foreign-objects-stay", withinMs: 0 },
    ];
    const unseen = await play(steps, harmless);
    expect(unseen.verdict).toBe("unknown");
    expect(unseen.steps.at(-1)?.finding.details).toEqual([
      "fault foreign-route n1 to=198.51.100.0/24: nobody saw its effect",
    ]);

    expect(await play(steps, lab)).toMatchObject({ verdict: "pass" });
    expect(await lab.listFaults({})).toEqual([]);

    await lab.injectFault({ fault: "foreign-route", host: "n1", parameters: {} });
    const nothingLeft = await play(steps.slice(1), lab);
    expect(nothingLeft.steps.at(-1)?.finding).toEqual({
      verdict: "unknown",
      details: ["there is nothing of somebody else to look at"],
    });
  });

  it("F2: make a scenario unknown when their end is not seen", async () => {
    const stuck: Lab = {
      ...lab,
      healFaults: async (request) =>
        (await lab.healFaults(request)).map(({ id, text }) => ({ id, text, trouble: "stuck" })),
    };
    const result = await runScenario(
      {
        name: "x",
        why: "y",
        invariants: [],
        nodes: 2,
        variants: [VARIANT],
        steps: [{ fault: "foreign-route", node: 1 }],
      },
      VARIANT,
      {
        clock: systemClock,
        facts: FACTS,
        openLab: async () => ({ lab: stuck, [Symbol.asyncDispose]: async () => undefined }),
      },
    );
    expect(result.verdict).toBe("unknown");
  });

  it("where there is nothing to hit, or no such host, are refused and leave nothing on", async () => {
    const strikeAt = (fault: string, host: string, parameters = {}): Promise<unknown> =>
      lab.injectFault({ fault, host, parameters });
    await expect(strikeAt("kill-agent", "n9")).rejects.toThrow('there is no host "n9"');
    await expect(strikeAt("delete-route", "n1", { peer: "n9" })).rejects.toThrow("no host");
    await expect(strikeAt("delete-link", "n1", { link: "wg0" })).rejects.toThrow(
      "wg0 on n1 is not there",
    );
    await expect(strikeAt("delete-link", "n1", { link: "cni0" })).rejects.toThrow(
      "is no vxlan device",
    );
    await expect(strikeAt("change-mtu", "n1", { mtu: "1500" })).rejects.toThrow(
      "has MTU 1500 already",
    );
    await expect(strikeAt("black-hole", "n1", { peer: "n2", port: "8285" })).rejects.toThrow(
      "n1 has no tunnel on UDP port 8285",
    );
    await expect(lab.injectFault({ fault: "stop-member", parameters: {} })).rejects.toThrow(
      "fault stop-member wants a store of several members: lab up --store-members 3",
    );
    await expect(lab.injectFault({ fault: "expire-tokens", parameters: {} })).rejects.toThrow(
      "fault expire-tokens wants a store that knows its users: lab up --store-auth",
    );
    await expect(lab.healFaults({ id: "f0" })).rejects.toThrow("there is no fault f0; on are none");
    expect(await lab.listFaults({})).toEqual([]);
  });

  it("of a host that was taken away are over", async () => {
    await lab.addHost({ host: "n3" });
    await lab.waitReady({ timeoutMs: SOON_MS });
    await lab.injectFault({ fault: "foreign-route", host: "n3", parameters: {} });
    await lab.removeHost({ host: "n3" });
    expect(await lab.healFaults({})).toMatchObject([{ saw: "its host is gone" }]);
  });
});

function sorted(kernel: Awaited<ReturnType<typeof readHostKernel>>): Record<string, string[]> {
  return Object.fromEntries(
    Object.entries(kernel).map(([name, list]) => [
      name,
      list.map((item: unknown) => JSON.stringify(item)).toSorted(),
    ]),
  );
}
