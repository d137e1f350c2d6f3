import { describe, expect, it } from "vitest";
import type { RunEvent } from "./events.ts";
import { formatPhases, phasesOf } from "./phases.ts";
import { formatScenarioTable } from "./scenario-table.ts";
import { type Story, tellStory } from "./story.ts";
import { BAD_RUN, GOOD_RUN, STARTED } from "./testing/sample-run.ts";

const storyOf = (events: readonly RunEvent[]): Story => tellStory({ events, torn: false });

/** A run of three steps: up at 1 s, the witnesses at their end 0.25 s after the last step, down 0.05 s later. */
const RUN: readonly RunEvent[] = [
  {
    ...STARTED,
    scenario: {
      ...STARTED.scenario,
      name: "short",
      steps: [
        { kind: "fault", text: "fault kill-agent n1" },
        { kind: "fault", text: "fault kill-agent n2" },
        { kind: "probe", text: "probe n1 → n2" },
      ],
    },
  },
  ...[1000, 1200, 1500].flatMap((at, index): readonly RunEvent[] => [
    { type: "step-began", at, step: index + 1 },
    { type: "step-ended", at: at + 100, step: index + 1, verdict: "pass", ms: 100, details: [] },
  ]),
  { type: "host-log", at: 1850, host: "n1", lines: [], omitted: 0 },
  { type: "run-ended", at: 1900, verdict: "pass" },
];

describe("where the time of a run went", () => {
  it("is what is before the steps, the steps, and what is after them", () => {
    expect(phasesOf(storyOf(RUN))).toEqual([
      { name: "set-up", ms: 1000 },
      { name: "fault kill-agent", ms: 100 },
      { name: "fault kill-agent", ms: 100 },
      { name: "probe start", ms: 100 },
      { name: "last look", ms: 250 },
      { name: "tear-down", ms: 50 },
    ]);
  });

  it("is all set-up where no step began, and all of the step that did not end", () => {
    const cut = (at: number): readonly RunEvent[] => RUN.filter((event) => event.at <= at);
    expect(phasesOf(storyOf(cut(999)))).toEqual([{ name: "set-up", ms: 0 }]);
    expect(phasesOf(storyOf([...cut(1200), { type: "run-ended", at: 5200, verdict: "unknown" }])))
      .toMatchInlineSnapshot(`
      [
        {
          "ms": 1000,
          "name": "set-up",
        },
        {
          "ms": 100,
          "name": "fault kill-agent",
        },
        {
          "ms": 4000,
          "name": "fault kill-agent",
        },
        {
          "ms": 0,
          "name": "last look",
        },
        {
          "ms": 0,
          "name": "tear-down",
        },
      ]
    `);
  });

  it("is summed up for all runs, the most first", () => {
    expect(formatPhases([storyOf(RUN), storyOf(RUN)])).toMatchInlineSnapshot(`
      "PHASE             TIMES  SECONDS  SHARE  MEAN  LONGEST
      set-up            2      2.00     63 %   1.00  1.00 short (vxlan dual, 2 segments)
      last look         2      0.50     16 %   0.25  0.25 short (vxlan dual, 2 segments)
      fault kill-agent  4      0.40     13 %   0.10  0.10 short (vxlan dual, 2 segments)
      probe start       2      0.20     6 %    0.10  0.10 short (vxlan dual, 2 segments)
      tear-down         2      0.10     3 %    0.05  0.05 short (vxlan dual, 2 segments)
      3.20 s in 2 runs
      "
    `);
    expect(formatPhases([])).toBe(
      "PHASE  TIMES  SECONDS  SHARE  MEAN  LONGEST\n0.00 s in 0 runs\n",
    );
  });
});

describe("the table of scenarios", () => {
  it("has a row a scenario and network, and a column for each backend with its families", () => {
    const other = (text: string, family: string): readonly RunEvent[] =>
      RUN.map((event) =>
        event.type === "run-started"
          ? { ...event, variant: { backend: "vxlan", family, text } }
          : event,
      );
    const stories = [
      storyOf(GOOD_RUN),
      storyOf(BAD_RUN),
      storyOf(other("vxlan dual, 1 segment", "dual")),
      storyOf(other("vxlan v4, 1 segment", "v4")),
    ];
    expect(formatScenarioTable(stories)).toMatchInlineSnapshot(`
      "SCENARIO                            INVARIANTS  VXLAN DUAL   VXLAN V4
      node-joins-and-leaves (2 segments)  A1 D1 D5    fail 5.0     –
      short                               A1 D1 D5    unknown 1.9  unknown 1.9
      "
    `);
  });
});
