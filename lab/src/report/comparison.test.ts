import { describe, expect, it } from "vitest";
import { compareRuns, formatComparison } from "./comparison.ts";
import { formatComparisonPage } from "./page/page.ts";
import { BAD_RUN, GOOD_RUN, HOSTILE, STARTED, storyOf } from "./testing/sample-run.ts";
import { UNWRITABLE } from "./testing/well-formed.ts";

const [good, bad] = [storyOf(GOOD_RUN), storyOf(BAD_RUN)];

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
