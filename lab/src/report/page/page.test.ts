import { describe, expect, it } from "vitest";
import { tellStory } from "../story.ts";
import { BAD_RUN, BROKEN_SET_UP, GOOD_RUN, storyOf } from "../testing/sample-run.ts";
import { expectWellFormed, UNWRITABLE } from "../testing/well-formed.ts";
import { formatPage } from "./page.ts";

const [good, bad, broken] = [storyOf(GOOD_RUN), storyOf(BAD_RUN), storyOf(BROKEN_SET_UP)];
const none = tellStory({ events: [], torn: true });

describe("the page", () => {
  const text = formatPage([good, bad, broken, none]);

  it("carries everything itself and runs nothing but its own script", () => {
    expect(text).not.toMatch(/(?:src|href)="(?!#)|@import|url\(|https?:\/\/(?!172\.31)/);
    expect(text).toMatch(/default-src 'none'; style-src 'sha256-[^']+'; script-src 'sha256-[^']+'/);
    expect(text.match(/<script>/g)).toHaveLength(1);
    expect(text).not.toMatch(UNWRITABLE);
    expect(text).toContain("&lt;script&gt;alert(&quot;1&quot;)");
  });

  it("is well-formed, with every id once and every link to one of them", () => {
    const body = text.slice(text.indexOf("<body>"), text.indexOf("<script>"));
    expectWellFormed(
      `${body}</body>`
        .replaceAll("<br>", "<br/>")
        .replaceAll(/<input([^>]*) data-logs>/g, "<input$1/>"),
    );
    const ids = [...text.matchAll(/ id="([^"]+)"/g)].map(([, id]) => id);
    expect(new Set(ids).size).toBe(ids.length);
    const links = [...text.matchAll(/ href="#([^"]+)"/g)].map(([, id]) => id);
    expect(links.length).toBeGreaterThan(4);
    expect(ids).toEqual(expect.arrayContaining(links));
  });

  it("shows topology, steps, faults, violations, gaps, leases and logs", () => {
    const page = formatPage([bad]);
    for (const title of [
      "Topology: 3 hosts on 2 segments",
      "Timeline of 3 steps, 1 faults and 1 violations",
      "Gaps in the probe traffic per pair",
      "Lease map of 2 subnets",
      "2000 ms from 2.500 s, 100 packets lost",
      "Log of n1",
      "evidence/1-A4/store.json",
      "7 lines before these left out",
    ]) {
      expect(page).toContain(title);
    }
    expect(page.match(/class="violation"/g)).toHaveLength(1);
  });

  it("cuts long lines", () => {
    expect(text).toMatch(/long … \(48000 more\)/);
    expect(Math.max(...text.split("\n").map((line) => line.length))).toBeLessThan(20_000);
  });

  it("draws bars in proportion to their time", () => {
    const [, x, width] =
      /2000 ms from 2\.500 s[^<]*<\/title><rect class="bar-fail" x="([\d.]+)" y="\d+" width="([\d.]+)"/.exec(
        text,
      ) ?? [];
    // The run took 5 s, which is 950 units wide and begins at 230.
    expect([Number(x), Number(width)]).toEqual([230 + 950 / 2, (950 * 2) / 5]);
  });
});
