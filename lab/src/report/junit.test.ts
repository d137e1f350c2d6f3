import { describe, expect, it } from "vitest";
import { formatJUnit } from "./junit.ts";
import { tellStory } from "./story.ts";
import { BAD_RUN, BROKEN_SET_UP, GOOD_RUN, storyOf } from "./testing/sample-run.ts";
import { expectWellFormed, UNWRITABLE } from "./testing/well-formed.ts";

const [good, bad, broken] = [storyOf(GOOD_RUN), storyOf(BAD_RUN), storyOf(BROKEN_SET_UP)];
const none = tellStory({ events: [], torn: true });

describe("JUnit XML", () => {
  it("has a suite a scenario, a case a variant and a case an invariant", () => {
    expect(formatJUnit([good])).toMatchInlineSnapshot(`
      "<?xml version="1.0" encoding="UTF-8"?>
      <testsuites name="lab">
      <testsuite name="node-joins-and-leaves" tests="4" failures="0" errors="0" skipped="0" time="5.000">
      <properties>
      <property name="seed of vxlan dual, 2 segments" value="42"/>
      </properties>
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
      <properties>
      <property name="seed of vxlan dual, 2 segments" value="42"/>
      <property name="seed of vxlan dual, 2 segments" value="42"/>
      </properties>
      <testcase name="vxlan dual, 2 segments" classname="lab" time="5.000">
      <failure message="A4 on n2: /coreos.com/network/subnets/10.244.7.0-24: owner changed without a delete, &lt;/script&gt;&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;\\u{1b}[2J\\u{0} ]]&gt; &amp; &#39;x&#39; \\u{202e} �" type="fail">A4 on n2: /coreos.com/network/subnets/10.244.7.0-24: owner changed without a delete, &lt;/script&gt;&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;\\u{1b}[2J\\u{0} ]]&gt; &amp; &#39;x&#39; \\u{202e} �
      kernel-equals-leases not within 2500 ms
      step 3 failed
      nobody saw the heal of fault f1: n2 stays silent
      the lab broke: no &lt;/script&gt;&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;\\u{1b}[2J\\u{0} ]]&gt; &amp; &#39;x&#39; \\u{202e} �
      D5 was not checked
      D1 could not be looked at: it was never quiet
      &lt;/script&gt;&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;\\u{1b}[2J\\u{0} ]]&gt; &amp; &#39;x&#39; \\u{202e} �
      again: pnpm lab run node-joins-and-leaves --flanneld &#39;flanneld --a&#39; --seed 42
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
      again: pnpm lab run node-joins-and-leaves --flanneld &#39;flanneld --a&#39; --seed 42
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
