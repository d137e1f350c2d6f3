import { describe, expect, it } from "vitest";
import { compareRuns, formatComparison } from "./comparison.ts";
import { parseEventLog } from "./event-log.ts";
import type { RunEvent } from "./events.ts";
import { formatJUnit } from "./junit.ts";
import { formatComparisonPage, formatPage } from "./page/page.ts";
import { replay } from "./replay.ts";
import { tellStory, type Story } from "./story.ts";
import { formatTotals, formatVerdictLine, openSummary } from "./terminal-summary.ts";
import {
  BAD_RUN,
  BROKEN_SET_UP,
  GOOD_RUN,
  HOSTILE,
  logText,
  STARTED,
} from "./testing/sample-run.ts";

const storyOf = (events: readonly RunEvent[]): Story =>
  tellStory(parseEventLog(logText(events), "log"));
const [good, bad, broken] = [storyOf(GOOD_RUN), storyOf(BAD_RUN), storyOf(BROKEN_SET_UP)];
const none = tellStory({ events: [], torn: true });

/** What neither a terminal nor an XML parser may see: controls but newline and tab, bidirectional overrides, half characters. */
const UNWRITABLE = /[^\P{Cc}\n\t]|[\u202a-\u202e]|\p{Cs}/u;

function summaryOf(events: readonly RunEvent[], colour: boolean): string {
  let text = "";
  const print = openSummary({ colour }, (more) => {
    text += more;
  });
  events.forEach(print);
  return text;
}

describe("a story", () => {
  it("tells who owned a subnet when, also when nobody let go of it", () => {
    const [first, second, third] = bad.leases.map(({ owner, beginMs, endMs }) => [
      owner,
      beginMs,
      endMs,
    ]);
    expect(first).toEqual(["172.31.1.11", 200, 2400]);
    expect(second).toEqual(["172.31.2.12", 240, 2500]);
    expect(third).toEqual(["172.31.2.12", 2400, undefined]);
  });
});

describe("the terminal summary", () => {
  it("prints a line a step while the run goes on, and one verdict line", () => {
    expect(summaryOf(GOOD_RUN, false) + formatVerdictLine(good, { colour: false }))
      .toMatchInlineSnapshot(`
      "[=] node-joins-and-leaves (vxlan dual, 2 segments) seed 42
        agent of n1: v0.1.0
        agent of n2: </script><script>alert("1")</script>\\u{1b}[2J\\u{0} ]]> & 'x' \\u{202e} �
        ✓ expect pods-reach-each-other  0.8 s  6 pairs answered
        ✓ fault partition n2  0.1 s
        ✓ expect kernel-equals-leases  2.6 s  18 entries
      ✓ pass node-joins-and-leaves (vxlan dual, 2 segments) 5.0 s · max gap n1→n2 420 ms
      "
    `);
    expect(formatTotals([good, bad, broken, none])).toBe("4 runs: 1 pass, 1 fail, 2 unknown\n");
  });

  it("says what went wrong", () => {
    const text = summaryOf(BAD_RUN, false) + formatVerdictLine(bad, { colour: false });
    expect(text.replaceAll(/(long ){20,}/g, "long … ")).toMatchInlineSnapshot(`
      "[=] node-joins-and-leaves (vxlan dual, 2 segments) seed 42
        agent of n1: v0.1.0
        agent of n2: </script><script>alert("1")</script>\\u{1b}[2J\\u{0} ]]> & 'x' \\u{202e} �
        ✓ expect pods-reach-each-other  0.8 s  6 pairs answered
        ✓ fault partition n2  0.1 s
        ✗ A4 t=+2.390 s n2 /coreos.com/network/subnets/10.244.7.0-24: owner changed without a delete, </script><script>alert("1")</script>\\u{1b}[2J\\u{0} ]]> & 'x' \\u{202e} �
            evidence/1-A4/store.json
            evidence/1-A4/packets.pcapng
        ? nobody saw the heal of f1
        ✗ expect kernel-equals-leases  2.6 s
            n1: stale </script><script>alert("1")</script>\\u{1b}[2J\\u{0} ]]> & 'x' \\u{202e} �
            long … 
        ? no </script><script>alert("1")</script>\\u{1b}[2J\\u{0} ]]> & 'x' \\u{202e} �
            </script><script>alert("1")</script>\\u{1b}[2J\\u{0} ]]> & 'x' \\u{202e} �
      ✗ fail node-joins-and-leaves (vxlan dual, 2 segments) 5.0 s · A4 violated · max gap n1→n2 2000 ms
          A4 on n2: /coreos.com/network/subnets/10.244.7.0-24: owner changed without a delete, </script><script>alert("1")</script>\\u{1b}[2J\\u{0} ]]> & 'x' \\u{202e} �
          kernel-equals-leases not within 2500 ms
          step 3 failed
          nobody saw the heal of fault f1: n2 stays silent
          the lab broke: no </script><script>alert("1")</script>\\u{1b}[2J\\u{0} ]]> & 'x' \\u{202e} �
          D5 was not checked
          D1 could not be looked at: it was never quiet
      "
    `);
    expect(text).not.toMatch(UNWRITABLE);
    expect(summaryOf(BROKEN_SET_UP, false)).toMatchInlineSnapshot(`
      "[=] node-joins-and-leaves (vxlan dual, 2 segments) seed 42
        agent of n1: v0.1.0
        agent of n2: </script><script>alert("1")</script>\\u{1b}[2J\\u{0} ]]> & 'x' \\u{202e} �
        ? etcd ended with code 1
            no space left on device
      "
    `);
  });

  it("has colour only where it is asked for", () => {
    expect(summaryOf(GOOD_RUN, true)).toContain("\u001b[32m✓\u001b[0m expect pods-reach");
    expect(formatVerdictLine(bad, { colour: true })).toContain("\u001b[31m✗\u001b[0m fail");
  });
});

describe("JUnit XML", () => {
  it("has a suite a scenario, a case a variant and a case an invariant", () => {
    expect(formatJUnit([good])).toMatchInlineSnapshot(`
      "<?xml version="1.0" encoding="UTF-8"?>
      <testsuites name="lab">
      <testsuite name="node-joins-and-leaves" tests="4" failures="0" errors="0" skipped="0" time="5.000">
      <testcase name="vxlan dual, 2 segments" classname="lab" time="5.000"/>
      <testcase name="vxlan dual, 2 segments: A1" classname="lab" time="0.000"/>
      <testcase name="vxlan dual, 2 segments: D1" classname="lab" time="0.000"/>
      <testcase name="vxlan dual, 2 segments: D5" classname="lab" time="0.000"/>
      </testsuite>
      </testsuites>
      "
    `);
  });

  it("tells failures, unknowns and a set-up that failed, and is well-formed whatever they say", () => {
    const text = formatJUnit([bad, broken, none]);
    expect(text.replaceAll(/(long ){20,}/g, "long … ")).toMatchInlineSnapshot(`
      "<?xml version="1.0" encoding="UTF-8"?>
      <testsuites name="lab">
      <testsuite name="node-joins-and-leaves" tests="9" failures="2" errors="6" skipped="0" time="5.910">
      <testcase name="vxlan dual, 2 segments" classname="lab" time="5.000">
      <failure message="A4 on n2: /coreos.com/network/subnets/10.244.7.0-24: owner changed without a delete, &lt;/script&gt;&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;\\u{1b}[2J\\u{0} ]]&gt; &amp; &#39;x&#39; \\u{202e} �" type="fail">A4 on n2: /coreos.com/network/subnets/10.244.7.0-24: owner changed without a delete, &lt;/script&gt;&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;\\u{1b}[2J\\u{0} ]]&gt; &amp; &#39;x&#39; \\u{202e} �
      kernel-equals-leases not within 2500 ms
      step 3 failed
      nobody saw the heal of fault f1: n2 stays silent
      the lab broke: no &lt;/script&gt;&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;\\u{1b}[2J\\u{0} ]]&gt; &amp; &#39;x&#39; \\u{202e} �
      D5 was not checked
      D1 could not be looked at: it was never quiet
      &lt;/script&gt;&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;\\u{1b}[2J\\u{0} ]]&gt; &amp; &#39;x&#39; \\u{202e} �
      </failure>
      </testcase>
      <testcase name="vxlan dual, 2 segments: A1" classname="lab" time="0.000"/>
      <testcase name="vxlan dual, 2 segments: D1" classname="lab" time="0.000">
      <error message="it was never quiet" type="unknown"></error>
      </testcase>
      <testcase name="vxlan dual, 2 segments: D5" classname="lab" time="0.000">
      <error message="was not checked" type="unknown"></error>
      </testcase>
      <testcase name="vxlan dual, 2 segments: A4" classname="lab" time="0.000">
      <failure message="/coreos.com/network/subnets/10.244.7.0-24: owner changed without a delete, &lt;/script&gt;&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;\\u{1b}[2J\\u{0} ]]&gt; &amp; &#39;x&#39; \\u{202e} �" type="fail">2.390 s n2 /coreos.com/network/subnets/10.244.7.0-24: owner changed without a delete, &lt;/script&gt;&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;\\u{1b}[2J\\u{0} ]]&gt; &amp; &#39;x&#39; \\u{202e} � evidence/1-A4/store.json evidence/1-A4/packets.pcapng
      </failure>
      </testcase>
      <testcase name="vxlan dual, 2 segments" classname="lab" time="0.910">
      <error message="the lab broke: etcd ended with code 1" type="unknown">the lab broke: etcd ended with code 1
      step 1 was not played: expect pods-reach-each-other
      step 2 was not played: fault partition n2
      step 3 was not played: expect kernel-equals-leases
      A1 was not checked
      D1 was not checked
      D5 was not checked
      no space left on device
      </error>
      </testcase>
      <testcase name="vxlan dual, 2 segments: A1" classname="lab" time="0.000">
      <error message="was not checked" type="unknown"></error>
      </testcase>
      <testcase name="vxlan dual, 2 segments: D1" classname="lab" time="0.000">
      <error message="was not checked" type="unknown"></error>
      </testcase>
      <testcase name="vxlan dual, 2 segments: D5" classname="lab" time="0.000">
      <error message="was not checked" type="unknown"></error>
      </testcase>
      <system-out>
      flaky: node-joins-and-leaves (vxlan dual, 2 segments): 1 fail, 1 unknown
      </system-out>
      </testsuite>
      <testsuite name="(runs that did not start)" tests="1" failures="0" errors="1" skipped="0" time="0.000">
      <testcase name="unknown variant" classname="lab" time="0.000">
      <error message="the run did not start" type="unknown">the run did not start
      </error>
      </testcase>
      </testsuite>
      </testsuites>
      "
    `);
    expect(text).not.toMatch(UNWRITABLE);
    expectWellFormed(text);
  });

  it("has no case for a check that was not declared and had nothing to look at", () => {
    const check = {
      type: "invariant-checked",
      at: 5000,
      id: "D3",
      verdict: "unknown",
      looked: 0,
    } as const;
    const quiet = storyOf([...GOOD_RUN, { ...check, blind: false, detail: "nothing" }]);
    const blind = storyOf([...GOOD_RUN, { ...check, blind: true, detail: "events were lost" }]);
    expect(formatJUnit([quiet])).not.toContain("D3");
    expect(formatJUnit([blind])).toContain('<error message="events were lost" type="unknown">');
  });

  it("is written when nothing was run", () => {
    const text = formatJUnit([]);
    expect(text).toContain('tests="1" failures="0" errors="1"');
    expectWellFormed(text);
  });
});

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

describe("replay", () => {
  async function replayed(speed: number | undefined, fromMs: number): Promise<[string, number]> {
    let [text, sleptMs] = ["", 0];
    await replay(
      BAD_RUN,
      { fromMs, ...(speed === undefined ? {} : { speed }) },
      {
        print: (more) => {
          text += more;
        },
        sleep: (ms) => {
          sleptMs += ms;
          return Promise.resolve();
        },
        signal: new AbortController().signal,
      },
    );
    return [text, sleptMs];
  }

  it("prints every event in order, a line each", async () => {
    const [text, sleptMs] = await replayed(undefined, 0);
    expect(text.split("\n")).toHaveLength(BAD_RUN.length + 1);
    expect(text).not.toMatch(UNWRITABLE);
    expect(text).toMatchInlineSnapshot(`
      "+   0.000 s  run run-2: node-joins-and-leaves (vxlan dual, 2 segments), seed 42, 2026-01-02T03:04:05.678Z
      +   0.005 s  topology: 3 hosts on 2 segments, store at http://172.31.1.2:2379
      +   0.020 s  n1: agent starts, process 11
      +   0.021 s  n2: agent starts, process 12
      +   0.200 s  store 3: put /coreos.com/network/subnets/10.244.7.0-24 of 172.31.1.11
      +   0.240 s  store 4: put /coreos.com/network/subnets/10.244.8.0-24 of 172.31.2.12
      +   0.260 s  n1: put route 10.244.8.0/24 via 10.244.8.0 dev flannel.1 onlink
      +   1.000 s  step 1 begins
      +   1.800 s  expect pods-reach-each-other: pass after 800 of 10000 ms
      +   1.800 s  step 1: pass; 6 pairs answered
      +   1.810 s  step 2 begins
      +   1.820 s  fault partition n2 / rest
      +   1.900 s  fault f1 seen: no answer from n2 for 60 ms
      +   1.900 s  step 2: pass
      +   1.910 s  step 3 begins
      +   2.400 s  A4 VIOLATED on n2: /coreos.com/network/subnets/10.244.7.0-24: owner changed without a delete, </script><script>alert("1")</script>\\u{1b}[2J\\u{0} ]]> & 'x' \\u{202e} �; packets in evidence/1-A4/packets.pcapng
      +   2.400 s  store 9: put /coreos.com/network/subnets/10.244.7.0-24 of 172.31.2.12
      +   2.500 s  store 10: delete /coreos.com/network/subnets/10.244.8.0-24
      +   2.600 s  n1: remove </script><script>alert("1")</script>\\u{1b}[2J\\u{0} ]]> & 'x' \\u{202e} �
      +   3.900 s  fault f1 healed
      +   4.000 s  fault f1: nobody saw its heal; n2 stays silent
      +   4.100 s  n2: agent ends, SIGKILL
      +   4.200 s  n1: agent ends, code 1
      +   4.500 s  expect kernel-equals-leases: fail after 2590 of 2500 ms
      +   4.500 s  step 3: fail; n1: stale </script><script>alert("1")</script>\\u{1b}[2J\\u{0} ]]> & 'x' \\u{202e} �; long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long long 
      +   4.800 s  probe n1 → n2 ipv4: 129 of 250, 2 gaps
      +   4.800 s  probe n1 → n3 ipv6: 250 of 250, 0 gaps
      +   4.900 s  A1: pass, looked 12 times; 12 looks
      +   4.900 s  D1: unknown, looked 0 times; it was never quiet
      +   4.950 s  n1: 3 lines of log
      +   4.950 s  n2: 1 lines of log
      +   4.960 s  steps broke (lab): no </script><script>alert("1")</script>\\u{1b}[2J\\u{0} ]]> & 'x' \\u{202e} �
      +   5.000 s  run ends: fail
      "
    `);
    expect(sleptMs).toBe(0);
  });

  it("takes as long as the run did, divided by the speed", async () => {
    expect((await replayed(1, 0))[1]).toBe(5000);
    expect((await replayed(10, 0))[1]).toBeCloseTo(500);
    expect((await replayed(2, 4000))[1]).toBeCloseTo(500);
  });

  it("begins where it is told, with the state of that moment", async () => {
    const [text] = await replayed(undefined, 4600);
    expect(text.slice(0, text.indexOf("probe"))).toMatchInlineSnapshot(`
      "+   4.600 s  state: step 3
        faults: none
        leases: /coreos.com/network/subnets/10.244.7.0-24 of 172.31.2.12
        agents: n1 ended, n2 ended
        violated: A4
      +   4.800 s  "
    `);
  });

  it("stops when it is told", async () => {
    const controller = new AbortController();
    let lines = 0;
    await replay(
      GOOD_RUN,
      { fromMs: 0 },
      {
        print: () => {
          lines += 1;
          controller.abort();
        },
        sleep: () => Promise.resolve(),
        signal: controller.signal,
      },
    );
    expect(lines).toBe(1);
  });
});

describe("two runs side by side", () => {
  it("are a table of agent by scenario by invariant", () => {
    expect(formatComparison(compareRuns([good, good], [bad]))).toMatchInlineSnapshot(`
      "A: v0.1.0 (n1) + </script><script>alert("1")</script>\\u{1b}[2J\\u{0} ]]> & 'x' \\u{202e} � (n2)
      B: v0.1.0 (n1) + </script><script>alert("1")</script>\\u{1b}[2J\\u{0} ]]> & 'x' \\u{202e} � (n2)

      SCENARIO               VARIANT                 INVARIANT  A     B
      node-joins-and-leaves  vxlan dual, 2 segments  (run)      pass  fail     ≠
      node-joins-and-leaves  vxlan dual, 2 segments  A1         pass  pass
      node-joins-and-leaves  vxlan dual, 2 segments  A4         -     fail     ≠
      node-joins-and-leaves  vxlan dual, 2 segments  D1         pass  unknown  ≠
      node-joins-and-leaves  vxlan dual, 2 segments  D5         pass  unknown  ≠

      4 of 5 differ
      "
    `);
    const page = formatComparisonPage(compareRuns([good], [bad]));
    expect(page).toContain('<td class="pass">pass</td><td class="fail">fail</td><td>differs</td>');
    expect(page).not.toContain("<script>alert");
  });

  it("keep the worst of repeated runs, and say what one side lacks", () => {
    for (const runs of [
      [good, bad],
      [bad, good],
    ]) {
      const { rows } = compareRuns(runs, []);
      const verdictOf = (id: string): unknown =>
        rows.find(({ subject }) => subject === id)?.verdicts;
      expect(verdictOf("D1")).toEqual(["unknown", undefined]);
      expect(verdictOf("(run)")).toEqual(["fail", undefined]);
    }
  });

  it("cannot be steered by a scenario's words", () => {
    const scenario = { ...STARTED.scenario, name: HOSTILE, invariants: [HOSTILE] };
    const variant = { ...STARTED.variant, text: HOSTILE };
    const hostile = storyOf([{ ...STARTED, scenario, variant }]);
    const page = formatComparisonPage(compareRuns([hostile], [hostile]));
    expect(page.match(/<script>/g)).toHaveLength(1);
    expect(page).not.toMatch(UNWRITABLE);
  });
});

/** Every tag is closed in its turn, every attribute quoted, every ampersand an entity. */
function expectWellFormed(text: string): void {
  const open: string[] = [];
  let rest = text.replace(/^<\?xml[^>]*\?>\s*/, "");
  while (rest !== "") {
    const found =
      /^(?:(?<text>(?:[^<>&]|&(?:amp|lt|gt|quot|#\d+);)+)|<\/(?<end>[\w-]+)>|<(?<start>[\w-]+)(?:\s+[\w:-]+="[^"<]*")*\s*(?<empty>\/?)>)/.exec(
        rest,
      );
    expect(found, `cannot read ${rest.slice(0, 80)}`).not.toBeNull();
    const { start, end, empty } = found?.groups ?? {};
    const closed = end === undefined ? undefined : open.pop();
    expect(closed).toBe(end);
    if (start !== undefined && empty === "") {
      open.push(start);
    }
    rest = rest.slice(found?.[0].length ?? rest.length);
  }
  expect(open).toEqual([]);
}
