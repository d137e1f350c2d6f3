import { join } from "node:path";
import { requires } from "linux/testing";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { kernelEqualsLeases } from "../checks/kernel-equals-leases.ts";
import { examineFaultNeed } from "../doctor.ts";
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
import { defaultFlanneld, describeMachine, workingDirectory } from "../system/machine.ts";
import { outcomeOf, ROUTE_AGENT, Workplace } from "../testing/command-line.ts";
import { leftovers, lookAtMachine, type Machine } from "../testing/leftovers.ts";
import { FAULTS } from "./registry.ts";

const SOON_MS = 20_000;
const FACTS = { run: "x", agent: "route-agent", machine: describeMachine() };
const VARIANT: Variant = { backend: "vxlan", family: "dual", segments: 1 };

interface Case {
  readonly request: FaultRequest;
  /** Who must have seen the effect. */
  readonly saw: RegExp;
  /** What the test itself sees in a host meanwhile, where the agent does not repair it at once. */
  readonly meanwhile?: { readonly argv: readonly string[]; readonly says: RegExp };
}

function strike(
  fault: string,
  parameters: FaultRequest["parameters"],
  saw: RegExp,
  meanwhile?: Case["meanwhile"],
): Case {
  const request = { fault, host: "n1", parameters };
  return { request, saw, ...(meanwhile === undefined ? {} : { meanwhile }) };
}

const PEER = { peer: "n2" };
const PING_STORE = ["sh", "-c", "ping -q -c 1 -W 0.5 172.31.1.2 | grep received"];
const PING_PEER = ["sh", "-c", "ping -q -c 1 -W 0.5 172.31.1.12 | grep received"];
const show = (...argv: readonly string[]): readonly string[] => ["ip", ...argv];

const CASES: readonly Case[] = [
  strike("delete-route", PEER, /kernel of n1 told of the removal of route 10\.244\..* route fd00/),
  strike("delete-neighbour", PEER, /removal of neighbour 10\.244\..* neighbour fd00/),
  strike("delete-fdb", PEER, /removal of fdb .* dst 172\.31\.1\.12 .* dst fd00:31:0:1::c/),
  strike("alter-route", PEER, /another object in place of route 10\.244\./),
  strike("alter-neighbour", PEER, /another object in place of neighbour 10\.244\./),
  strike("alter-fdb", PEER, /another object in place of fdb /),
  strike("flush-routes", {}, /removal of route /),
  strike("delete-link", { link: "flannel.1" }, /removal of flannel\.1/),
  strike("change-mac", { link: "flannel.1" }, /flannel\.1 with 02:00:00:00:0b:ee/),
  strike("foreign-route", {}, /dump of n1 shows 198\.51\.100\.0\/24/, {
    argv: show("route", "show", "198.51.100.0/24"),
    says: /via 172\.31\.1\.1 dev eth0 proto static/,
  }),
  strike("foreign-device", {}, /dump of n1 shows other0/, {
    argv: show("route", "show", "dev", "other0"),
    says: /203\.0\.113\.0\/24 via 192\.0\.2\.77/,
  }),
  strike("detour", PEER, /dump of n1 shows 172\.31\.1\.12\/32 via 172\.31\.1\.1, fd00/, {
    argv: show("route", "get", "172.31.1.12"),
    says: /via 172\.31\.1\.1/,
  }),
  strike("change-mtu", { mtu: "1400" }, /eth0 with MTU 1400/, {
    argv: show("link", "show", "eth0"),
    says: /mtu 1400/,
  }),
  strike("change-address", {}, /removal of 172\.31\.1\.11, .*address 172\.31\.1\.111/, {
    argv: show("-br", "address", "show", "eth0"),
    says: /172\.31\.1\.111\/24 fd00:31:0:1::6f\/64/,
  }),
  strike("link-flap", { side: "host" }, /eth0 down/, {
    argv: show("-br", "link", "show", "eth0"),
    says: /DOWN/,
  }),
  strike("link-flap", { side: "switch" }, /eth0 without a carrier/, {
    argv: show("-br", "link", "show", "eth0"),
    says: /NO-CARRIER/,
  }),
  strike("partition", { from: "store" }, /a ping from n1 to 172\.31\.1\.2 came to nothing/, {
    argv: ["sh", "-c", `${PING_STORE[2]}; ${PING_PEER[2]}`],
    says: / 0 received[^]* 1 received/,
  }),
  strike("partition", { from: "peers", direction: "out" }, /a ping from n1 to 172/, {
    argv: ["sh", "-c", `${PING_STORE[2]}; ${PING_PEER[2]}`],
    says: / 1 received[^]* 0 received/,
  }),
  strike("partition", { direction: "in" }, /a ping from n1 to 172/, {
    argv: PING_STORE,
    says: / 0 rec/,
  }),
  strike("loss", { percent: "40" }, /\d+ of 50 pings from n1 were lost/),
  strike("pause-agent", {}, /process table has \d+ stopped/),
  strike("kill-agent", {}, /process table of n1 has no \d+ any more/),
  strike("stop-agent", {}, /process table of n1 has no \d+ any more/),
  { request: { fault: "compact-store", parameters: {} }, saw: /etcd has no revision \d+ any more/ },
  { request: { fault: "pause-store", parameters: {} }, saw: /process table has \d+ stopped/ },
  { request: { fault: "stop-store", parameters: {} }, saw: /no \d+, and etcd does not answer/ },
  strike("delete-lease", {}, /the store has (no|another) \/coreos/),
  strike("expire-lease", {}, /the store has (no|another) \/coreos/),
];

const filter = await examineFaultNeed("packet-filter");
const canFilter = filter.ok || process.env["REQUIRE"] !== undefined;

/** Skips with the reason; where `REQUIRE` is set nothing is skipped. */
function whereFiltered(title: string, body: () => void): void {
  (canFilter ? describe : describe.skip)(canFilter ? title : `${title}: ${filter.detail}`, body);
}

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
        networks: NETWORKS,
      } as const;
      return (
        kernelEqualsLeases(facts, leaseDetails(entries), views).verdict === "pass" || undefined
      );
    });
    expect(right).toBe(true);
  }

  /** Whether the test itself sees the effect; undefined where it has nothing to look at. */
  async function shows(meanwhile: Case["meanwhile"]): Promise<boolean | undefined> {
    if (meanwhile === undefined) {
      return undefined;
    }
    const { stdout } = await lab.exec({ host: "n1", argv: meanwhile.argv });
    return meanwhile.says.test(stdout);
  }

  it("each have a case here", () => {
    const tested = new Set(CASES.map(({ request }) => request.fault));
    expect([...FAULTS.keys()].filter((name) => !tested.has(name))).toEqual([]);
  });

  /** One test a case: pretended, injected, looked at, healed. */
  function tryEach(cases: readonly Case[]): void {
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

  tryEach(CASES.filter(({ request }) => FAULTS.get(request.fault)?.needs === undefined));
  whereFiltered("with a packet filter", () => {
    tryEach(CASES.filter(({ request }) => FAULTS.get(request.fault)?.needs !== undefined));
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

requires("lab")("faults, from the command line", () => {
  let workplace: Workplace;
  let before: Machine;

  beforeEach(() => {
    workplace = new Workplace();
    before = lookAtMachine();
  });
  afterEach(async () => {
    await workplace.run("down");
    const left = await leftovers(before, workplace);
    workplace[Symbol.dispose]();
    if (left.length > 0) {
      throw new Error(`left behind: ${left.join(", ")}`);
    }
  });

  whereFiltered("with a packet filter", () => {
    it("F1: are injected, listed, healed, run out, and leave nothing behind, even with all of them on", async () => {
      await workplace.run("up", "--nodes", "2", "--backend", "host-gw", "--flanneld", ROUTE_AGENT);
      expect((await workplace.run("fault", "ls")).stdout).toBe("no fault is on\n");
      const cut = await workplace.run("fault", "partition", "n1", "--from", "peers");
      expect(cut.stdout).toMatch(
        /^✓ f1 +partition n1 from=peers direction=both +until healed +a ping/,
      );
      expect((await workplace.run("ping")).exitCode).toBe(1);
      expect((await workplace.run("heal", "f1")).stdout).toMatch(
        /^✓ f1 +partition .* answers a ping/,
      );
      expect((await workplace.run("ping")).exitCode).toBe(0);
      expect((await workplace.run("heal")).stdout).toBe("no fault was on\n");

      const pretended = await workplace.run("fault", "pause-agent", "n1", "--pretend");
      expect(pretended).toMatchObject({ exitCode: 2 });
      expect(pretended.stdout).toMatch(/^\? f2 .*nobody saw its effect\n$/);

      const brief = await workplace.run("fault", "pause-agent", "n2", "--for", "300ms", "--json");
      expect(JSON.parse(brief.stdout)).toMatchObject({ id: "f3", host: "n2" });
      const deadline = deadlineIn(systemClock, SOON_MS);
      const over = await poll(systemClock, { everyMs: 50, deadline }, async () =>
        (await workplace.run("fault", "ls")).stdout === "no fault is on\n" ? true : undefined,
      );
      expect(over).toBe(true);

      const absent = await workplace.run("fault", "pause-agent", "n7");
      expect(absent).toMatchObject({
        exitCode: 1,
        stderr: 'lab: there is no host "n7"; there are n1, n2\n',
      });
      for (const words of [
        "loss n1 --percent 50",
        "foreign-device n1",
        "pause-agent n1",
        "pause-store",
      ]) {
        expect((await workplace.run("fault", ...words.split(" "))).exitCode).toBe(0);
      }
      expect((await workplace.run("fault", "ls", "--json")).stdout).toContain(
        '"foreign-device n1"',
      );
    });

    it("end with a lab whose supervisor dies while they are on", async () => {
      await workplace.run("up", "--nodes", "2", "--backend", "host-gw", "--flanneld", ROUTE_AGENT);
      await workplace.run("fault", "partition", "n1");
      await workplace.run("fault", "pause-agent", "n2");
      const { supervisorPid } = JSON.parse((await workplace.run("ps", "--json")).stdout) as {
        supervisorPid: number;
      };
      process.kill(supervisorPid, "SIGKILL");
      expect(await leftovers(before, workplace)).toEqual([]);
      const after = await outcomeOf(workplace.start("fault", "ls"));
      expect(after.stderr).toMatch(/^lab: no lab "default" is running/);
    });
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
