import { expect, test } from "vitest";
import { Histogram } from "./histogram.ts";

test("a value counts in the first bucket whose bound it does not exceed, and above all in one more", () => {
  const histogram = new Histogram([1, 2]);
  for (const value of [0, 1, 1.5, 2, 3]) histogram.observe(value);
  expect(histogram.figures).toEqual({ bounds: [1, 2], counts: [2, 2, 1], sum: 7.5 });
});
