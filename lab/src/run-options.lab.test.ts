import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { requires } from "linux/testing";
import { afterAll, afterEach, beforeAll, expect, it } from "vitest";
import type { RunEvent } from "./report/events.ts";
import { findEventLogs, readEventLog } from "./report/run-store.ts";
import type { Scenario } from "./scenario.ts";
import { listDirectory } from "./system/files.ts";
import { type CommandOutcome, outcomeOf, ROUTE_AGENT, Workplace } from "./testing/command-line.ts";
import { markedProcesses } from "./testing/leftovers.ts";
import { splitWords } from "./words.ts";

const PLAIN: Scenario = {
  name: "plain",
  why: "nothing is broken",
  invariants: ["A1"],
  nodes: 3,
  variants: [{ backend: "host-gw", family: "v4", segments: 1 }],
  steps: [{ expect: "pods-reach-each-other", withinMs: 10_000 }],
};
const STUCK: Scenario = {
  ...PLAIN,
  name: "stuck",
  why: "the small agent does not look at its routes",
  nodes: 2,
  steps: [
    { fault: "delete-route", node: 1, peer: 2 },
    { expect: "repaired", withinMs: 200 },
  ],
};
const DRAWN: Scenario = {
  ...STUCK,
  name: "drawn",
  why: "two faults draw before the small agent fails",
  steps: [
    { fault: "jitter", node: 1, ms: 10 },
    { fault: "jitter", node: 2, ms: 10 },
    { act: "heal" },
    ...STUCK.steps,
  ],
};
const UNREACHED: Scenario = { ...PLAIN, name: "unreached" };

/** When the last of the agents was started that a lab came up with. */
function agentsStartedMs(events: readonly RunEvent[] = []): number {
  const first = events.findIndex(({ type }) => type === "step-began");
  const started = events.slice(0, first).filter(({ type }) => type === "agent-started");
  return startedMs(events) + Math.max(...started.map(({ at }) => at));
}

function startedMs(events: readonly RunEvent[] = []): number {
  const [first] = events;
  return first?.type === "run-started" ? Date.parse(first.wallClock) : Number.NaN;
}

/** The agents are small ones, so that what is tested is the lab. */
requires("lab")("lab run, told how", () => {
  let workplace: Workplace;
  let scenarios: string;
  const file = (name: string): string => join(workplace.scratch, name);
  const read = (name: string): string => readFileSync(file(name), "utf8");
  const labsLeft = (): readonly string[] =>
    listDirectory(workplace.labs).filter((name) => name !== "runs");
  const run = (...words: readonly string[]): Promise<CommandOutcome> =>
    workplace.run("run", scenarios, ...words);
  const folderIn = ({ stdout }: CommandOutcome): string =>
    /^event logs: (.*)$/m.exec(stdout)?.[1] ?? "";

  /** What the faults of each run hit and drew from. */
  const injectedIn = (outcome: CommandOutcome): readonly (readonly string[])[] =>
    findEventLogs(folderIn(outcome)).map((log) =>
      readEventLog(log).events.flatMap((event) =>
        event.type === "fault-injected" ? [`${event.name} ${event.target}`] : [],
      ),
    );

  beforeAll(() => {
    workplace = new Workplace();
    scenarios = file("told.scenario.ts");
    writeFileSync(
      scenarios,
      `export const [a, b, c, d] = ${JSON.stringify([PLAIN, STUCK, UNREACHED, DRAWN])};`,
    );
  });
  afterEach(async () => {
    for (const name of labsLeft()) {
      await workplace.run("down", "--name", name);
    }
  });
  afterAll(() => {
    workplace[Symbol.dispose]();
  });

  /** An agent of its own: a script that ends in the small one. */
  function wrapper(name: string, ...lines: readonly string[]): string {
    const script = ["#!/bin/sh", ...lines, `exec ${ROUTE_AGENT} "$@"`, ""];
    writeFileSync(file(name), script.join("\n"), { mode: 0o755 });
    return file(name);
  }

  it("takes of a file that is named without a scenario all of it, and nothing else", async () => {
    const { exitCode, stdout } = await run("--list", "--json");
    expect(exitCode).toBe(0);
    const listed = JSON.parse(stdout) as readonly { readonly name: string }[];
    const own = [PLAIN, STUCK, UNREACHED, DRAWN].map(({ name }) => name);
    expect(listed.map(({ name }) => name)).toEqual(own.toSorted());
    expect((await run("link-flaps", "--list")).stdout).toMatch(/^link-flaps /);
  });

  it("runs on each host the agent that was asked for there, and says so", async () => {
    const one = wrapper("one", "echo this is one >&2");
    const two = wrapper("two", "echo this is two >&2");
    const agents = ["--flanneld", `n*=${two}`, "--flanneld", `n1=${one}`];
    const outcome = await run("plain", ...agents, "--html", file("mixed.html"));
    expect(outcome).toMatchObject({ exitCode: 0, stderr: "" });
    expect(outcome.stdout).toContain(`\n  agent of n1: ${one}\n  agent of n2 n3: ${two}\n`);

    const folder = folderIn(outcome);
    const { events } = readEventLog(findEventLogs(folder)[0] ?? "");
    expect(events[0]).toMatchObject({
      agents: [
        { host: "n1", command: one },
        { host: "n2", command: two },
        { host: "n3", command: two },
      ],
    });
    expect(
      events.flatMap((event) =>
        event.type === "host-log" ? [`${event.host}: ${event.lines[0] ?? ""}`] : [],
      ),
    ).toEqual(["n1: this is one", "n2: this is two", "n3: this is two"]);
    expect(read("mixed.html")).toContain(`<dt>agent of n2 n3</dt><dd>${two}</dd>`);
    const { stdout } = await workplace.run("compare", folder, folder);
    expect(stdout).toContain(`A: ${one} (n1) + ${two} (n2 n3)\n`);
  });

  it("does the same in a lab that stays up, also for hosts that come later", async () => {
    const one = wrapper("one", "echo this is one >&2");
    const two = wrapper("two", "echo this is two >&2");
    const agents = ["--flanneld", `n1=${one}`, "--flanneld", `n3*=${one}`, "--flanneld", two];
    const up = ["up", "--backend", "host-gw", "--nodes", "3"];
    expect((await workplace.run(...up, ...agents)).stderr).toBe("");
    expect((await workplace.run("node", "rm", "n3")).exitCode).toBe(0);
    expect((await workplace.run("node", "add", "n30")).exitCode).toBe(0);
    const { stdout } = await workplace.run("logs");
    expect(stdout.match(/^n\d+: this is \w+$/gm)).toEqual([
      "n1: this is one",
      "n2: this is two",
      "n3: this is one",
      "n30: this is one",
    ]);
  });

  it("repeats a scenario, exits with the worst verdict, and says what is flaky", async () => {
    const mark = file("mark");
    const once = wrapper("once", `[ -e '${mark}' ] && exit 3`, `touch '${mark}'`);
    const agents = ["--flanneld", ROUTE_AGENT, "--flanneld", `n2=${once}`];
    const outcome = await run("plain", "--repeat", "2", ...agents, "--junit", file("twice.xml"));
    expect(outcome).toMatchObject({ exitCode: 1, stderr: "" });
    const flaky = "flaky: plain (host-gw v4, 1 segment): 1 pass, 1 fail\n";
    expect(outcome.stdout.endsWith(flaky)).toBe(true);
    expect(outcome.stdout).toMatch(/^✓ pass plain \(host-gw v4, 1 segment\) 1\/2 /m);
    expect(outcome.stdout).toMatch(/^✗ fail plain \(host-gw v4, 1 segment\) 2\/2 /m);
    expect(read("twice.xml")).toContain('<testcase name="host-gw v4, 1 segment 1/2"');
    expect(read("twice.xml")).toMatch(/<testcase name="host-gw v4, 1 segment 2\/2".*\n<failure /);
    expect(read("twice.xml")).toContain(flaky);
    expect((await workplace.run("report", folderIn(outcome))).stdout).toContain(flaky);
    expect(labsLeft()).toEqual([]);
  });

  it("draws from its seed, the next one each time, and says how a run is had again", async () => {
    const words = ["drawn", "--seed", "7", "--repeat", "2", "--flanneld", ROUTE_AGENT];
    const both = await run(...words);
    expect(both).toMatchObject({ exitCode: 1, stderr: "" });
    expect(both.stdout.match(/^\[=\] .*$/gm)).toEqual([
      "[=] drawn (host-gw v4, 1 segment) 1/2 seed 7",
      "[=] drawn (host-gw v4, 1 segment) 2/2 seed 8",
    ]);
    const [first, second] = injectedIn(both);
    expect(first).toHaveLength(3);
    expect(new Set([first, second].flatMap((faults) => faults?.slice(0, 2))).size).toBe(4);

    const [, again = ""] = both.stdout.match(/(?<=^ {4}again: ).*$/gm) ?? [];
    const [manager, lab, ...argv] = splitWords(again);
    expect([manager, lab]).toEqual(["pnpm", "lab"]);
    const once = await workplace.run(...argv);
    expect(once.stdout).toContain("[=] drawn (host-gw v4, 1 segment) seed 8\n");
    expect(once.stdout).toContain(`\n    again: ${again}\n`);
    expect(injectedIn(once)).toEqual([second]);
  });

  it("makes several runs at a time, the longest first, and tells of each in one piece and of all in their order", async () => {
    const words = ["plain", "stuck", "unreached", "--jobs", "2", "--flanneld", ROUTE_AGENT];
    const outcome = await run(...words, "--junit", file("jobs.xml"));
    expect(outcome).toMatchObject({ exitCode: 1, stderr: "" });
    const pieces = outcome.stdout.split(/^(?=\[=\] )/m).map((piece) => piece.replace(/ \(.*/s, ""));
    expect(pieces.toSorted()).toEqual(["[=] plain", "[=] stuck", "[=] unreached"]);
    const suites = [...read("jobs.xml").matchAll(/<testsuite name="([^"]*)"/g)];
    expect(suites.map(([, name]) => name)).toEqual(["plain", "stuck", "unreached"]);
    const [plain, stuck, unreached] = findEventLogs(folderIn(outcome)).map(
      (log) => readEventLog(log).events,
    );
    const endedMs = startedMs(plain) + (plain?.at(-1)?.at ?? 0);
    expect(startedMs(unreached)).toBeLessThan(endedMs);
    const [first, second] = [plain, unreached].toSorted((a, b) => startedMs(a) - startedMs(b));
    expect(startedMs(second)).toBeGreaterThan(agentsStartedMs(first));
    // It has a node less.
    expect(startedMs(stuck)).toBeGreaterThan(startedMs(unreached));
    expect(labsLeft()).toEqual([]);
  });

  it("ends at a run that does not pass, with its lab left as it is", async () => {
    const words = ["plain", "stuck", "unreached", "--flanneld", ROUTE_AGENT, "--pause-on-fail"];
    const { exitCode, stdout, stderr } = await run(...words);
    expect({ exitCode, stderr }).toEqual({ exitCode: 1, stderr: "" });
    expect(stdout).toContain("\n2 runs: 1 pass, 1 fail, 0 unknown\n");
    const [, name = "", rest] =
      /^lab "(run-\d+-2)" is left up, .*not begun: (.*)$/m.exec(stdout) ?? [];
    expect(rest).toBe("1 more");
    expect(labsLeft()).toEqual([name]);
    expect(stdout).toContain(`  lab ps --name ${name} `);
    expect((await workplace.run("ps", "--name", name)).stdout).toMatch(/^n1 .* ready /m);
    const faults = await workplace.run("fault", "ls", "--name", name);
    expect(faults.stdout).toContain("delete-route n1 peer=n2");
    expect(stdout).toContain(`  lab down --name ${name} `);
    expect((await workplace.run("down", "--name", name)).exitCode).toBe(0);
    expect(markedProcesses(workplace)).toEqual([]);
  });

  it("leaves no lab up when it is interrupted", async () => {
    const child = workplace.start(
      "run",
      scenarios,
      "stuck",
      "--flanneld",
      ROUTE_AGENT,
      "--pause-on-fail",
      // A single run is told of while it goes on, also where several could be made at a time.
      "--jobs",
      "4",
    );
    child.stdout?.on("data", (text: Buffer) => {
      if (text.includes("✓ fault delete-route")) {
        child.kill("SIGINT");
      }
    });
    const { exitCode, stdout } = await outcomeOf(child);
    expect(exitCode).toBe(130);
    expect(stdout).toContain("✗ fail stuck");
    expect(labsLeft()).toEqual([]);
    expect(markedProcesses(workplace)).toEqual([]);
  });

  it("keeps the files of a lab whose run did not pass where only they are asked for", async () => {
    const { exitCode, stdout } = await run("stuck", "--flanneld", ROUTE_AGENT, "--keep");
    expect(exitCode).toBe(1);
    expect(stdout).not.toContain("left up");
    const [name = ""] = labsLeft();
    expect((await workplace.run("logs", "n1", "--name", name)).stdout).toContain("leased");
    expect(markedProcesses(workplace)).toEqual([]);
  });

  it("also leaves a lab that did not come up", async () => {
    const agents = ["--flanneld", ROUTE_AGENT, "--flanneld", "n2=sh -c 'exit 3'"];
    const { exitCode, stdout } = await run("plain", ...agents, "--pause-on-fail");
    expect(exitCode).toBe(1);
    const [name = ""] = labsLeft();
    expect(stdout).toContain(`lab "${name}" is left up, since its run did not pass\n`);
    expect((await workplace.run("ps", "--name", name)).stdout).toContain("exited (code 3)");
  });
});
