import { describe, expect, it } from "vitest";
import type { RunEvent } from "./events.ts";
import { tellStory } from "./story.ts";
import { formatTotals, formatVerdictLine, openSummary } from "./terminal-summary.ts";
import { BAD_RUN, BROKEN_SET_UP, GOOD_RUN, storyOf } from "./testing/sample-run.ts";
import { UNWRITABLE } from "./testing/well-formed.ts";

const [good, bad, broken] = [storyOf(GOOD_RUN), storyOf(BAD_RUN), storyOf(BROKEN_SET_UP)];
const none = tellStory({ events: [], torn: true });

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
          again: pnpm lab run node-joins-and-leaves --flanneld 'flanneld --a' --seed 42
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
