import { describe, expect, it } from "vitest";
import { EVENT_SHAPES } from "./event-shapes.ts";
import { formatEventLine, parseEventLog } from "./event-log.ts";
import type { RunEvent } from "./events.ts";
import { BAD_RUN, BROKEN_SET_UP, GOOD_RUN, logText, STARTED } from "./testing/sample-run.ts";

describe("the event log", () => {
  it("reads what was written, hostile text and all", () => {
    for (const run of [GOOD_RUN, BAD_RUN, BROKEN_SET_UP]) {
      // A lone surrogate does not survive a file, which is UTF-8.
      const text = Buffer.from(logText(run), "utf8").toString("utf8");
      expect(parseEventLog(text, "log")).toEqual({
        events: run.map((event) => JSON.parse(JSON.stringify(event)) as RunEvent),
        torn: false,
      });
    }
  });

  it("has every type of event in the sample runs, so that the writers' tests see each", () => {
    const types = new Set([...GOOD_RUN, ...BAD_RUN, ...BROKEN_SET_UP].map(({ type }) => type));
    expect([...types].toSorted()).toEqual(Object.keys(EVENT_SHAPES).toSorted());
  });

  it("forgives a torn last line, wherever it is torn, and nothing else", () => {
    const text = logText(GOOD_RUN.slice(0, 4));
    const whole = logText(GOOD_RUN.slice(0, 3));
    for (let end = whole.length + 1; end < text.length; end += 1) {
      expect(parseEventLog(text.slice(0, end), "log")).toEqual({
        events: GOOD_RUN.slice(0, 3),
        torn: true,
      });
    }
    expect(parseEventLog("", "log")).toEqual({ events: [], torn: false });
    expect(() => parseEventLog(text.replace("\n", ""), "log")).toThrow("log, line 1: no JSON");
  });

  it.each<[string, unknown, string]>([
    ["no object", 7, "no object with a type"],
    ["null", null, "no object with a type"],
    ["a type that is inherited", { type: "toString", at: 1 }, 'unknown type "toString"'],
    ["a type of no word", { type: 1, at: 1 }, "unknown type 1"],
    ["an unknown member", { type: "step-began", at: 1, step: 1, x: 1 }, 'the unknown member "x"'],
    ["a missing member", { type: "step-began", at: 1 }, "step-began.step is missing"],
    ["a negative time", { type: "step-began", at: -1, step: 1 }, "step-began.at is no number"],
    ["half a step", { type: "step-began", at: 1, step: 0.5 }, "step-began.step is no whole number"],
    ["a wrong word", { type: "run-ended", at: 1, verdict: "ok" }, "is none of pass, fail, unknown"],
    [
      "a wrong item",
      { type: "host-log", at: 1, host: "n1", lines: ["a", 1], omitted: 0 },
      "host-log.lines[1] is no text",
    ],
    [
      "no list",
      { type: "host-log", at: 1, host: "n1", lines: "a", omitted: 0 },
      "lines is no list",
    ],
    [
      "no flag",
      {
        type: "invariant-checked",
        at: 1,
        id: "A1",
        verdict: "pass",
        looked: 1,
        blind: 0,
        detail: "",
      },
      "invariant-checked.blind is neither true nor false",
    ],
    ["a second start", STARTED, "a second run-started"],
  ])("refuses a line that is %s, and says where", (_what, value, message) => {
    const text = `${logText([STARTED])}${JSON.stringify(value)}\n`;
    expect(() => parseEventLog(text, "log")).toThrow("log, line 2: ");
    expect(() => parseEventLog(text, "log")).toThrow(message);
  });

  it("refuses another version, a log without a start, and time that goes back", () => {
    const version2 = JSON.stringify({ ...STARTED, version: 2 });
    expect(() => parseEventLog(`${version2}\n`, "log")).toThrow("run-started.version is none of 1");
    const ended = JSON.stringify({ type: "run-ended", at: 5, verdict: "pass" });
    expect(() => parseEventLog(`${ended}\n`, "log")).toThrow("line 1: begins with run-ended");
    const back = logText([
      STARTED,
      { type: "step-began", at: 9, step: 1 },
      { type: "step-began", at: 8, step: 2 },
    ]);
    expect(() => parseEventLog(back, "log")).toThrow("line 3: goes back from 9 to 8 ms");
  });

  it("does not write what it would not read", () => {
    const event: RunEvent = { type: "run-ended", at: Number.NaN, verdict: "pass" };
    expect(() => formatEventLine(event)).toThrow("run-ended.at is no number");
  });
});
