import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { requires } from "linux/testing";
import { afterAll, beforeAll, expect, it } from "vitest";
import type { RunEvent } from "./report/events.ts";
import { EVENT_LOG_FILE, findEventLogs, readEventLog } from "./report/run-store.ts";
import type { Scenario } from "./scenario.ts";
import { type LabState, readState } from "./state.ts";
import { deadlineIn, poll, systemClock } from "./system/clock.ts";
import { listDirectory, readText } from "./system/files.ts";
import { type CommandOutcome, outcomeOf, ROUTE_AGENT, Workplace } from "./testing/command-line.ts";

const SCENARIO: Scenario = {
  name: "reported",
  why: "its log is read again",
  invariants: ["D1"],
  nodes: 2,
  variants: [{ backend: "host-gw", family: "v4", segments: 1 }],
  steps: [
    { expect: "pods-reach-each-other", withinMs: 10_000 },
    { fault: "foreign-route", node: 1, forMs: 100 },
    // At most 2,000 a second: the fault's time is over before the last one is sent.
    { probe: "start", from: 1, to: 2 },
    { probe: "stop", packets: 3_000 },
    { expect: "no-packet-lost", withinMs: 0 },
    { fault: "kill-agent", node: 2 },
  ],
};

const ENDLESS: Scenario = {
  ...SCENARIO,
  name: "endless",
  steps: [
    { probe: "start", from: 1, to: 2 },
    { probe: "stop", packets: 1_000_000 },
  ],
};
/** These come from the lab, the others from whoever plays the scenario: their order among each other is chance within milliseconds. */
const TOLD_BY_LAB = /^agent-|^fault-injected|^fault-heal.* f1$/;
const SOON_MS = 20_000;

/** The agent is a small one, so that what is tested is the lab. */
requires("lab")("lab run keeps an event log", () => {
  let workplace: Workplace;
  const file = (name: string): string => join(workplace.scratch, name);
  const read = (name: string): string => readFileSync(file(name), "utf8");
  const runs = (): string => join(workplace.labs, "runs");

  beforeAll(() => {
    workplace = new Workplace();
    writeFileSync(
      file("reported.scenario.ts"),
      `export const [a, b] = ${JSON.stringify([SCENARIO, ENDLESS])};`,
    );
  });
  afterAll(() => {
    workplace[Symbol.dispose]();
  });

  function run(agent: string, name: string): Promise<CommandOutcome> {
    const reports = ["--junit", file(`${name}.xml`), "--html", file(`${name}.html`)];
    const scenario = file("reported.scenario.ts");
    return workplace.run("run", scenario, "reported", "--flanneld", agent, ...reports);
  }

  /** The lab of the endless scenario once its last step began. */
  function probingLab(): LabState["lab"] {
    const [name] = listDirectory(workplace.labs).filter((one) => one.startsWith("run-"));
    const logs = listDirectory(runs()).flatMap((folder) =>
      listDirectory(join(runs(), folder)).map((one) => join(runs(), folder, one, EVENT_LOG_FILE)),
    );
    const began = logs.some((log) => {
      const text = readText(log) ?? "";
      return text.includes('"name":"endless"') && text.includes('"step":2');
    });
    return began && name !== undefined ? readState(join(workplace.labs, name))?.lab : undefined;
  }

  it("that report, replay and compare read, and whose verdict is the exit code", async () => {
    const { exitCode, stdout, stderr } = await run(ROUTE_AGENT, "good");
    expect(stderr).toBe("");
    expect(stdout).toMatch(/✓ pass reported \(host-gw v4, 1 segment\)/);
    expect(exitCode).toBe(0);
    const folder = /^event logs: (.*)$/m.exec(stdout)?.[1] ?? "";
    expect(folder.startsWith(runs())).toBe(true);

    const [log = ""] = findEventLogs(folder);
    const { events, torn } = readEventLog(log);
    expect(torn).toBe(false);
    expect(events[0]).toMatchObject({
      type: "run-started",
      watched: expect.arrayContaining(["A1", "D1", "D5", "D7", "E1"]) as string[],
      scenario: { name: "reported" },
    });
    const checked = events.flatMap((event) =>
      event.type === "invariant-checked" ? [`${event.id} ${event.verdict}`] : [],
    );
    expect(checked).toContain("D1 pass");
    expect(checked.filter((word) => word.endsWith("fail"))).toEqual([]);
    expect(events.some(({ type }) => type === "probe-figures")).toBe(true);
    expect(events.some(({ type }) => type === "lease-changed")).toBe(true);
    expect(events.at(-1)).toMatchObject({ type: "run-ended", verdict: "pass" });
    const said = events.flatMap(wordOf);
    const ofLab = said.filter((word) => TOLD_BY_LAB.test(word));
    expect(ofLab.slice(0, 2).toSorted()).toEqual(["agent-started n1", "agent-started n2"]);
    expect(ofLab.slice(2)).toEqual([
      "fault-injected f1",
      "fault-healed f1",
      "fault-heal-verified f1",
      "fault-injected f2",
      "agent-ended n2",
      "agent-started n2",
    ]);
    expect(said.filter((word) => !TOLD_BY_LAB.test(word))).toEqual([
      "expectation-evaluated 1",
      "step-ended 1",
      "fault-verified f1",
      "step-ended 2",
      "step-ended 3",
      "step-ended 4",
      "expectation-evaluated 5",
      "step-ended 5",
      "fault-verified f2",
      "step-ended 6",
      "fault-healed f2",
      "fault-heal-verified f2",
      "host-log n1",
      "host-log n2",
    ]);

    expect((await workplace.run("report", folder)).stdout).toContain("✓ pass reported");
    expect((await workplace.run("replay", folder)).stdout).toMatch(/n2: agent ends, SIGKILL\n/);
    const compared = await workplace.run("compare", folder, log);
    expect(compared.stdout).toMatch(/\n0 of \d+ differ\n$/);
    expect(read("good.xml")).toMatch(
      /<testsuite name="reported" tests="\d+" failures="0" errors="0"/,
    );
    expect(read("good.xml")).toContain('name="host-gw v4, 1 segment: D1"');
    expect(read("good.html")).toContain("D1");
  });

  it("also of a lab that did not come up, with JUnit", async () => {
    const { exitCode, stdout } = await run("sh -c 'echo no such flag >&2; exit 3'", "bad");
    expect(stdout).toContain("no such flag");
    expect(stdout).toMatch(/^1 runs: 0 pass, 1 fail, 0 unknown$/m);
    expect(exitCode).toBe(1);
    expect(read("bad.xml")).toMatch(/tests="\d+" failures="1"/);
    expect(read("bad.xml")).toContain("no such flag");
  });

  it("also of a lab that died meanwhile, which is nobody's pass or fail", async () => {
    const flags = ["--flanneld", ROUTE_AGENT, "--junit", file("died.xml")];
    const child = workplace.start("run", file("reported.scenario.ts"), "endless", ...flags);
    const outcome = outcomeOf(child);
    try {
      const deadline = deadlineIn(systemClock, SOON_MS);
      const lab = await poll(systemClock, { everyMs: 20, deadline }, probingLab);
      if (lab === undefined) {
        throw new Error("the endless run does not begin");
      }
      process.kill(lab.init.pid, "SIGKILL");
    } catch (error) {
      child.kill("SIGTERM");
      throw error;
    }
    const { exitCode, stdout, stderr } = await outcome;
    expect(stderr).toBe("");
    expect(stdout).toMatch(/\? unknown endless .*\n +the lab broke: /);
    expect(exitCode).toBe(70);
    expect(read("died.xml")).toContain("the lab broke");
  });

  it("and says that nothing was run where it could not begin", async () => {
    const child = workplace.start(
      { PATH: "/nonexistent" },
      "run",
      "pods-reach-each-other",
      "--no-install",
      "--junit",
      file("none.xml"),
    );
    const { exitCode, stderr } = await outcomeOf(child);
    expect(stderr).toContain("unshare");
    expect(exitCode).toBe(70);
    expect(read("none.xml")).toContain('errors="1"');

    const unwritable = await workplace.run("run", "pods-reach-each-other", "--html", "/nowhere/x");
    expect(unwritable).toMatchObject({ exitCode: 64, stdout: "" });
    expect(unwritable.stderr).toContain("/nowhere/x");
  });
});

/** What is compared of an event; nothing of one whose place among the others is chance. */
function wordOf(event: RunEvent): readonly string[] {
  switch (event.type) {
    case "agent-started":
    case "agent-ended":
    case "host-log":
      return [`${event.type} ${event.host}`];
    case "step-ended":
    case "expectation-evaluated":
      return [`${event.type} ${event.step}`];
    case "fault-injected":
    case "fault-verified":
    case "fault-healed":
    case "fault-heal-verified":
    case "fault-not-seen":
      return [`${event.type} ${event.fault}`];
    default:
      return [];
  }
}
