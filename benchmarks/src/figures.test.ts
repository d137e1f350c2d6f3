import { expect, test } from "vitest";
import { judge, median, print } from "./figures.ts";

const COMPARISON = {
  title: "programming 5 peers",
  unit: "ms",
  ways: [
    { name: "ours", figures: [3, 1, 2] },
    { name: "C, batches", figures: [1, 2, 100] },
  ],
  also: [{ name: "longest block", figures: [7] }],
  bars: [
    { text: "ours to C", limit: 1.5, of: "C, batches" },
    { text: "ours", limit: 1 },
  ],
} as const;

test("the median of an even number of runs lies between the middle two", () => {
  expect([median([4, 1, 3]), median([4, 1, 3, 2])]).toEqual([3, 2.5]);
});

test("a bar is judged by medians, against another way or by itself", () => {
  expect(judge(COMPARISON).map(({ value, isMet }) => [value, isMet])).toEqual([
    [1, true],
    [2, false],
  ]);
});

test("where the time goes is said of what misses a bar, and only of that", () => {
  const profile = [{ name: "planning", figures: [3, 2, 1] }];
  expect(
    print({ ...COMPARISON, profile })
      .split("\n")
      .slice(-3),
  ).toEqual([
    "  MISSED: ours: 2.00, at most 1",
    "  where the time goes, in runs under a profiler:",
    "  planning            2.00 ms  (1.00..3.00)",
  ]);
  const met = { ...COMPARISON, bars: [{ text: "ours", limit: 2 }], profile };
  expect(print(met)).not.toContain("planning");
});

test("the table says medians, ranges and ratios", () => {
  expect(print(COMPARISON)).toMatchInlineSnapshot(`
    "programming 5 peers
      ours                2.00 ms  (1.00..3.00)
      C, batches          2.00 ms  (1.00..100)  ours is 1.00 of it
      longest block       7.00 ms  (7.00..7.00)
      met: ours to C: 1.00, at most 1.5
      MISSED: ours: 2.00, at most 1"
  `);
});
