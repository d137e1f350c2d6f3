import { describe, expect, it } from "vitest";
import { compareRuns } from "./comparison.ts";
import { formatEvent } from "./event-text.ts";
import type { RunEvent } from "./events.ts";
import { formatFlaky } from "./flaky.ts";
import { formatJUnit } from "./junit.ts";
import { formatPage } from "./page/page.ts";
import { tellStory, type Story } from "./story.ts";
import { formatVerdictLine, openSummary } from "./terminal-summary.ts";
import { BAD_RUN, BROKEN_SET_UP, GOOD_RUN, STARTED, storyOf } from "./testing/sample-run.ts";

const [good, bad, broken] = [storyOf(GOOD_RUN), storyOf(BAD_RUN), storyOf(BROKEN_SET_UP)];
const none = tellStory({ events: [], torn: true });

function summaryOf(events: readonly RunEvent[]): string {
  let text = "";
  const print = openSummary({ colour: false }, (more) => {
    text += more;
  });
  events.forEach(print);
  return text;
}

/** The run as one of two of its kind. */
function repetition(events: readonly RunEvent[], number: number): Story {
  return storyOf(
    events.map((event) =>
      event.type === "run-started" ? { ...event, repetition: { number, of: 2 } } : event,
    ),
  );
}

describe("repeated runs", () => {
  it("are a case each in JUnit, under a name of its own, with what is flaky beside them", () => {
    const text = formatJUnit([repetition(GOOD_RUN, 1), repetition(BAD_RUN, 2)]);
    const names = [...text.matchAll(/<testcase name="([^"]+)"/g)].map(([, name]) => name);
    expect(names).toContain("vxlan dual, 2 segments 1/2");
    expect(names).toContain("vxlan dual, 2 segments 2/2: A4");
    expect(new Set(names).size).toBe(names.length);
    expect(text).toMatch(/<system-out>\nflaky: node-joins-and-leaves .*: 1 pass, 1 fail\n/);
  });

  it("are told apart, in words and on the page", () => {
    const second = repetition(GOOD_RUN, 2);
    expect(formatVerdictLine(second, { colour: false })).toMatch(
      /^✓ pass node-joins-and-leaves \(vxlan dual, 2 segments\) 2\/2 5\.0 s/,
    );
    const started: RunEvent = { ...STARTED, repetition: { number: 2, of: 2 } };
    expect(summaryOf([started])).toContain("(vxlan dual, 2 segments) 2/2 seed 42\n");
    expect(formatEvent(started)).toContain("(vxlan dual, 2 segments) 2/2, seed 42");
    const page = formatPage([repetition(GOOD_RUN, 1), second]);
    expect(page).toContain("(vxlan dual, 2 segments) 1/2</a>");
    expect(page).toContain("<p>flaky: none, each scenario came to the same verdict each time</p>");
  });

  it("are flaky when they do not come to the same verdict each time", () => {
    const other = repetition(
      [{ ...STARTED, variant: { ...STARTED.variant, text: "host-gw v4" } }, ...GOOD_RUN.slice(1)],
      1,
    );
    expect(formatFlaky([good, other, good])).toBe(
      "flaky: none, each scenario came to the same verdict each time\n",
    );
    expect(formatFlaky([good, other, bad, good, other, broken])).toBe(
      "flaky: node-joins-and-leaves (vxlan dual, 2 segments): 2 pass, 1 fail, 1 unknown\n",
    );
    expect(formatFlaky([repetition(GOOD_RUN, 1), repetition(BAD_RUN, 2)])).toBe(
      "flaky: node-joins-and-leaves (vxlan dual, 2 segments): 1 pass, 1 fail\n",
    );
    expect(formatFlaky([good, other, none])).toBe("");
  });
});

describe("a run of one agent on all hosts", () => {
  it("needs no line that says who runs what", () => {
    const agents = ["n1", "n2"].map((host) => ({ host, command: "flanneld" }));
    const events = [{ ...STARTED, agents }, ...GOOD_RUN.slice(1)];
    expect(summaryOf(events)).not.toContain("agent of");
    expect(compareRuns([storyOf(events)], [bad]).agents[0]).toBe("flanneld");
  });
});
