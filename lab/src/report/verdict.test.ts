import { describe, expect, it } from "vitest";
import type { RunEvent } from "./events.ts";
import { invariantVerdicts, tellStory } from "./story.ts";
import { BAD_RUN, BROKEN_SET_UP, GOOD_RUN, STARTED } from "./testing/sample-run.ts";
import { exitCodeOfRuns, judge, worstOf } from "./verdict.ts";

const without = (...types: readonly RunEvent["type"][]): readonly RunEvent[] =>
  GOOD_RUN.filter(({ type }) => !types.includes(type));
const changed = <T extends RunEvent["type"]>(
  type: T,
  change: Partial<Extract<RunEvent, { type: T }>>,
): readonly RunEvent[] =>
  GOOD_RUN.map((event) => (event.type === type ? { ...event, ...change } : event));

describe("the verdict of a run", () => {
  it("is pass when every step, fault and invariant was seen", () => {
    expect(judge(GOOD_RUN)).toEqual({ verdict: "pass", reasons: [], labBroke: false });
  });

  it("does not ask of a run what its scenario does not declare, unless a witness was blind", () => {
    const other = {
      type: "invariant-checked",
      at: 5000,
      id: "D3",
      verdict: "unknown",
      looked: 0,
    } as const;
    const nothing: RunEvent = { ...other, blind: false, detail: "there was nothing to look at" };
    const blind: RunEvent = { ...other, blind: true, detail: "events were lost" };
    expect(judge([...GOOD_RUN, nothing]).verdict).toBe("pass");
    expect(judge([...GOOD_RUN, blind])).toMatchObject({
      verdict: "unknown",
      reasons: ["D3 could not be looked at: events were lost"],
    });
  });

  it("does not ask for what no witness watches: there the expectations speak", () => {
    const unwatched = without("invariant-checked").map((event) =>
      event.type === "run-started" ? { ...event, watched: ["A1"] } : event,
    );
    expect(judge(unwatched)).toMatchObject({ verdict: "unknown", reasons: ["A1 was not checked"] });
    const none = unwatched.map((event) =>
      event.type === "run-started" ? { ...event, watched: [] } : event,
    );
    expect(judge(none)).toEqual({ verdict: "pass", reasons: [], labBroke: false });
  });

  it("is unknown where packets were lost for want of something of the machine's", () => {
    const short: RunEvent = { type: "machine-short", at: 4999, detail: "no room for ARP entries" };
    const broken = (id: string): RunEvent => ({
      type: "invariant-violated",
      at: 4000,
      violatedAt: 3000,
      id,
      detail: "broken",
      evidence: [],
    });
    expect(judge([...GOOD_RUN, broken("D5")]).verdict).toBe("fail");
    expect(judge([...GOOD_RUN, broken("D5"), short])).toMatchObject({
      verdict: "unknown",
      reasons: ["no room for ARP entries", "D5: broken"],
    });
    // No lost packet makes an agent do that.
    expect(judge([...GOOD_RUN, broken("D5"), broken("A4"), short]).verdict).toBe("fail");
    // What went well all the same went well.
    expect(judge([...GOOD_RUN, short])).toEqual({ verdict: "pass", reasons: [], labBroke: false });
    const story = tellStory({ events: [...GOOD_RUN, broken("D5"), short], torn: false });
    expect(invariantVerdicts(story).get("D5")).toBe("unknown");
  });

  it("asks each watched invariant for its word, declared or not", () => {
    const more = GOOD_RUN.map((event) =>
      event.type === "run-started" ? { ...event, watched: [...event.watched, "E1"] } : event,
    );
    expect(judge(more)).toMatchObject({ verdict: "unknown", reasons: ["E1 was not checked"] });
    // What broke is the reason then.
    const broke: RunEvent = {
      type: "run-broke",
      at: 5001,
      phase: "steps",
      blame: "lab",
      message: "gone",
      details: [],
    };
    expect(judge([...more, broke]).reasons).toEqual(["the lab broke: gone"]);
  });

  it("does not ask the log's own verdict", () => {
    expect(judge(changed("run-ended", { verdict: "fail" })).verdict).toBe("pass");
    expect(
      judge(BAD_RUN.map((e) => (e.type === "run-ended" ? { ...e, verdict: "pass" } : e))).verdict,
    ).toBe("fail");
  });

  it.each<[string, readonly RunEvent[], string]>([
    ["F2: a fault nobody saw", without("fault-verified"), "nobody saw fault partition"],
    [
      "F2: a heal nobody saw",
      without("fault-heal-verified"),
      "nobody saw the end of fault partition",
    ],
    [
      "F2: a fault said to be unseen",
      [
        ...GOOD_RUN,
        { type: "fault-not-seen", at: 5000, fault: "f1", part: "injection", detail: "pings pass" },
      ],
      "nobody saw the injection of fault f1: pings pass",
    ],
    [
      "F3: traffic under the floor",
      changed("probe-figures", { sent: 99, received: 99, gaps: [] }),
      "n1 → n2 ipv4: 99 of 100 packets",
    ],
    [
      "a check that could not look",
      changed("invariant-checked", { verdict: "unknown", detail: "the watch broke" }),
      "A1 could not be looked at: the watch broke",
    ],
    [
      "a check that says pass and never looked",
      changed("invariant-checked", { looked: 0 }),
      "A1 could not be looked at: 12 looks",
    ],
    ["F6: an invariant never checked", without("invariant-checked"), "A1 was not checked"],
    [
      "F6: an expectation never evaluated",
      without("expectation-evaluated"),
      "step 1 was never evaluated: expect pods-reach-each-other",
    ],
    ["F6: a step never played", without("step-ended"), "step 2 was not played: fault partition n2"],
    ["an unknown step", changed("step-ended", { verdict: "unknown" }), "step 1 is unknown"],
    [
      "an unknown expectation",
      changed("expectation-evaluated", { verdict: "unknown" }),
      "pods-reach-each-other could not be looked at",
    ],
    ["a run cut off", without("run-ended"), "the run did not come to its end"],
    ["a lab that broke", BROKEN_SET_UP, "the lab broke: etcd ended with code 1"],
    ["an empty log", [], "the run did not start"],
    [
      "a scenario without steps",
      [
        { ...STARTED, scenario: { ...STARTED.scenario, steps: [], invariants: [] } },
        { type: "run-ended", at: 1, verdict: "pass" },
      ],
      "the scenario has no steps",
    ],
  ])("is unknown for %s", (_what, events, reason) => {
    const { verdict, reasons } = judge(events);
    expect(verdict).toBe("unknown");
    expect(reasons).toContain(reason);
  });

  it.each<[string, RunEvent, string]>([
    [
      "a violation",
      {
        type: "invariant-violated",
        at: 5000,
        violatedAt: 4990,
        id: "B1",
        host: "n1",
        detail: "late",
        evidence: [],
      },
      "B1 on n1: late",
    ],
    [
      "a check that failed",
      {
        type: "invariant-checked",
        at: 5000,
        id: "D5",
        verdict: "fail",
        looked: 1,
        blind: false,
        detail: "gap",
      },
      "D5: gap",
    ],
    [
      "a step that failed",
      { type: "step-ended", at: 5000, step: 3, verdict: "fail", ms: 1, details: [] },
      "step 3 failed",
    ],
    [
      "an expectation that failed",
      {
        type: "expectation-evaluated",
        at: 5000,
        step: 3,
        expectation: "repaired",
        verdict: "fail",
        ms: 2,
        withinMs: 1,
      },
      "repaired not within 1 ms",
    ],
    [
      "an agent that does not get ready",
      {
        type: "run-broke",
        at: 5000,
        phase: "set-up",
        blame: "agent",
        message: "n1 is not ready",
        details: [],
      },
      "n1 is not ready",
    ],
  ])("is fail for %s, whatever is unknown beside it", (_what, event, reason) => {
    const { verdict, reasons } = judge([...without("fault-verified"), event]);
    expect(verdict).toBe("fail");
    expect(reasons).toEqual([reason, "nobody saw fault partition"]);
  });
});

describe("several runs", () => {
  it("keep the worst, in whatever order; nothing at all is unknown", () => {
    expect(worstOf(["pass", "fail", "unknown"])).toBe("fail");
    expect(worstOf(["pass", "unknown", "pass"])).toBe("unknown");
    expect(worstOf(["unknown", "fail"])).toBe("fail");
    expect(worstOf(["pass"])).toBe("pass");
    expect(worstOf([])).toBe("unknown");
  });

  it("end with 0 pass, 1 fail, 2 unknown, 70 when the lab broke and nothing failed", () => {
    const [good, bad, broke] = [judge(GOOD_RUN), judge(BAD_RUN), judge(BROKEN_SET_UP)];
    const cut = judge(without("run-ended"));
    expect(exitCodeOfRuns([good, good])).toBe(0);
    expect(exitCodeOfRuns([good, bad, broke])).toBe(1);
    expect(exitCodeOfRuns([good, cut])).toBe(2);
    expect(exitCodeOfRuns([cut, broke])).toBe(70);
    expect(exitCodeOfRuns([])).toBe(2);
  });
});
