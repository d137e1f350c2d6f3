import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { EventLogWriter, findEventLogs, readEventLog } from "../report/run-store.ts";
import { BAD_RUN, BROKEN_SET_UP, GOOD_RUN, STARTED } from "../report/testing/sample-run.ts";
import type { RunEvent } from "../report/events.ts";
import type { Command } from "./command.ts";
import { compare } from "./compare.ts";
import { replay } from "./replay.ts";
import { report } from "./report.ts";

let directory: string;
const path = (...names: readonly string[]): string => join(directory, ...names);

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "lab-report-"));
  for (const [name, events] of [
    ["runs/good", GOOD_RUN],
    ["runs/bad", BAD_RUN],
    ["broken", BROKEN_SET_UP],
  ] as const) {
    const log = new EventLogWriter(path(name));
    events.forEach((event) => {
      log.append(event);
    });
  }
});

afterAll(() => {
  rmSync(directory, { recursive: true });
});

async function outcomeOf(
  command: Command,
  ...argv: readonly string[]
): Promise<[number, string, string]> {
  let [said, complained] = ["", ""];
  const exitCode = await command.run(argv, {
    isInteractive: false,
    out: (text) => {
      said += text;
    },
    error: (text) => {
      complained += text;
    },
  });
  return [exitCode, said, complained];
}

describe("lab report", () => {
  it("says what runs came to, exits with it, and writes a page and JUnit", async () => {
    const [html, junit] = [path("page.html"), path("junit.xml")];
    const [exitCode, said] = await outcomeOf(
      report,
      path("runs"),
      "--html",
      html,
      "--junit",
      junit,
    );
    expect(exitCode).toBe(1);
    expect(said).toContain("✓ pass node-joins-and-leaves (vxlan dual, 2 segments) 5.0 s");
    expect(said).toMatch(
      /2 runs: 1 pass, 1 fail, 0 unknown\nflaky: node-joins-and-leaves \(.*\): 1 pass, 1 fail\n$/,
    );
    const packets = "bad/evidence/1-A4/packets.pcapng";
    expect(said).toContain(`\n    packets of A4: ${path("runs", packets)}\n`);
    expect(readFileSync(html, "utf8")).toMatch(/^<!doctype html>/);
    // From where the page is, so that both can be moved together.
    expect(readFileSync(html, "utf8")).toContain(`<a href="runs/${packets}">`);
    expect(readFileSync(junit, "utf8")).toContain('tests="9" failures="2"');
    expect((await outcomeOf(report, path("runs/good")))[0]).toBe(0);
    expect((await outcomeOf(report, path("broken", "run.jsonl")))[0]).toBe(70);
  });

  it("prints the table of scenarios and where the time went instead, with the same exit code", async () => {
    const [exitCode, said] = await outcomeOf(report, path("runs"), "--table", "--phases");
    expect(exitCode).toBe(1);
    expect(said).toMatch(/^SCENARIO .*VXLAN DUAL\nnode-joins-and-leaves .* fail 5\.0\n\nPHASE /);
    expect(said).toMatch(/\nset-up .*\n[^]* s in 2 runs\n2 runs: 1 pass, 1 fail, 0 unknown\n/);
    expect(said).not.toContain("✓ pass");
    expect((await outcomeOf(report, path("runs/good"), "--table"))[1]).not.toContain("PHASE");
  });

  it("says unknown of a run that was cut off in the middle of a line", async () => {
    const text = readFileSync(path("runs/good/run.jsonl"), "utf8");
    const torn = path("torn.jsonl");
    writeFileSync(torn, text.slice(0, -10));
    const [exitCode, said] = await outcomeOf(report, torn);
    expect(exitCode).toBe(2);
    expect(said).toContain("the run did not come to its end");
    const [, , complaint] = await outcomeOf(replay, torn);
    expect(complaint).toBe("the log ends in the middle of a line\n");
  });
});

describe("lab replay", () => {
  it("prints a run again, from the moment asked for", async () => {
    const [exitCode, said] = await outcomeOf(
      replay,
      path("runs/good"),
      "--at",
      "4.6",
      "--speed",
      "1000",
    );
    expect(exitCode).toBe(0);
    expect(said).toMatch(/^\+ {3}4\.600 s {2}state: step 3\n {2}faults: none\n/);
    expect(said).toMatch(/\+ {3}5\.000 s {2}run ends: pass\n$/);
    const [, bad] = await outcomeOf(replay, path("runs/bad"));
    expect(bad).toContain("; packets in evidence/1-A4/packets.pcapng\n");
  });
});

describe("lab compare", () => {
  it("puts two runs side by side, as text, JSON and a page", async () => {
    const page = path("compare.html");
    const [exitCode, said] = await outcomeOf(
      compare,
      path("runs/good"),
      path("runs/bad"),
      "--html",
      page,
    );
    expect(exitCode).toBe(0);
    expect(said).toMatch(/\(run\) +pass +fail +≠\n/);
    expect(readFileSync(page, "utf8")).toContain(
      "<caption>Agent by scenario by invariant</caption>",
    );
    const [, json] = await outcomeOf(compare, path("runs/good"), path("runs/bad"), "--json");
    expect(JSON.parse(json)).toMatchObject({ rows: expect.any(Array) as unknown });
  });
});

describe("what is asked wrongly", () => {
  it.each<[Command, readonly string[], string]>([
    [report, [], "lab report wants the folder of a run"],
    [report, ["/nowhere"], "/nowhere is no event log, no run and no folder of runs"],
    [replay, [], "lab replay wants the folder of a run"],
    [replay, ["x", "--speed", "0"], "--speed 0 would never end"],
    [replay, ["x", "--at", "-1"], "lab replay: "],
    [replay, ["x", "--at", "soon"], '--at wants a number, not "soon"'],
    [compare, ["x"], "lab compare wants two runs"],
  ])("is a usage error", async (command, argv, message) => {
    await expect(async () =>
      command.run(argv, { isInteractive: false, out: String, error: String }),
    ).rejects.toMatchObject({
      code: "usage",
      message: expect.stringContaining(message) as string,
    });
  });
});

describe("the writer of the event log", () => {
  it("keeps the log's time going forward, and tells its listeners what is in the file", () => {
    const heard: RunEvent[] = [];
    const log = new EventLogWriter(path("late"), [(event) => void heard.push(event)]);
    log.append(STARTED);
    log.append({ type: "step-began", at: 10.123_456, step: 1 });
    log.append({ type: "step-began", at: 9, step: 2 });
    expect(findEventLogs(path("late"))).toEqual([log.file]);
    expect(readEventLog(log.file).events).toEqual(heard);
    expect(heard.map(({ at }) => at)).toEqual([0, 10.123, 10.123]);
  });
});
