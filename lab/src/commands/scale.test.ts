import { expect, it } from "vitest";
import { nextStep } from "./scale.ts";

it.each([
  [["n1", "n2"], 3, { verb: "add", host: "n3" }],
  [["n1", "n3"], 3, { verb: "add", host: "n2" }],
  [["n2", "n10", "n9"], 2, { verb: "rm", host: "n10" }],
  [["n1", "n240"], 3, { verb: "add", host: "n2" }],
  [[], 1, { verb: "add", host: "n1" }],
  [["n4", "n7"], 2, undefined],
])("from %j to %d: %j", (names, wanted, step) => {
  expect(nextStep(names, wanted)).toEqual(step);
});
