import { describe, expect, it } from "vitest";
import type { RunEvent } from "./events.ts";
import { formatEvent } from "./event-text.ts";
import { formatJUnit } from "./junit.ts";
import { formatPage } from "./page/page.ts";
import { formatVerdictLine, openSummary } from "./terminal-summary.ts";
import { BAD_RUN, BROKEN_SET_UP, GOOD_RUN, STARTED, storyOf } from "./testing/sample-run.ts";

const AGAIN = STARTED.again ?? "nothing";
const [good, bad, broken] = [storyOf(GOOD_RUN), storyOf(BAD_RUN), storyOf(BROKEN_SET_UP)];

const withSeed = (events: readonly RunEvent[], seed: number): readonly RunEvent[] =>
  events.map((event) =>
    event.type === "run-started" ? { ...event, seed, repetition: { number: seed, of: 2 } } : event,
  );

describe("a run that did not pass", () => {
  it("says how it can be had again, under its verdict, in JUnit and on the page", () => {
    for (const story of [bad, broken]) {
      expect(formatVerdictLine(story, { colour: false })).toMatch(
        /\n {4}again: pnpm lab run node-joins-and-leaves --flanneld 'flanneld --a' --seed 42\n$/,
      );
      expect(formatJUnit([story])).toContain(`\nagain: ${AGAIN.replaceAll("'", "&#39;")}\n`);
      expect(formatPage([story])).toContain(
        `<dt>again</dt><dd>${AGAIN.replaceAll("'", "&#39;")}</dd>`,
      );
    }
  });

  it("is the only one that does", () => {
    expect(formatVerdictLine(good, { colour: false })).not.toContain("again");
    expect(formatJUnit([good])).not.toContain("again");
    expect(formatPage([good])).not.toContain("<dt>again</dt>");
  });
});

describe("the seed of a run", () => {
  it("is a property of the suite in JUnit, for each of its runs, and a fact on the page", () => {
    const runs = [1, 2].map((seed) => storyOf(withSeed(GOOD_RUN, seed)));
    expect(formatJUnit(runs)).toContain(
      [
        "<properties>",
        '<property name="seed of vxlan dual, 2 segments 1/2" value="1"/>',
        '<property name="seed of vxlan dual, 2 segments 2/2" value="2"/>',
        "</properties>",
        "<testcase ",
      ].join("\n"),
    );
    expect(formatPage(runs)).toMatch(/<dt>seed<\/dt><dd>1<\/dd>[^]*<dt>seed<\/dt><dd>2<\/dd>/);
  });
});

describe("a log of before runs had seeds", () => {
  const { seed: _seed, again: _again, ...started } = STARTED;
  const old = [started, ...BAD_RUN.slice(1)];

  it("is told as it was", () => {
    const story = storyOf(old);
    expect(story.judgement).toEqual(bad.judgement);
    const lines: string[] = [];
    const print = openSummary({ colour: false }, (line) => lines.push(line));
    old.forEach(print);
    const all = [
      ...lines,
      formatEvent(started),
      formatVerdictLine(story, { colour: false }),
      formatJUnit([story]),
      formatPage([story]),
    ].join("\n");
    expect(all).toContain("[=] node-joins-and-leaves (vxlan dual, 2 segments)\n");
    expect(all).not.toMatch(/seed|again:|<properties/);
  });
});
