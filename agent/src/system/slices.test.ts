import { expect, test } from "vitest";
import { Slices, finish, isStep } from "./slices.ts";
import type { Steps } from "./slices.ts";

function* count(steps: number, onStep: () => void = () => undefined): Steps<number> {
  for (let step = 0; step < steps; step++) {
    onStep();
    yield;
  }
  return steps;
}

test("a long computation lets others run every other millisecond, and says the same", async () => {
  let nowMs = 0;
  const blocks: number[] = [];
  let beganMs = 0;
  const slices = new Slices({
    nowMs: () => nowMs,
    yield: async () => {
      blocks.push(nowMs - beganMs);
      beganMs = nowMs;
    },
  });
  expect(await slices.run(count(10_000, () => (nowMs += 0.01)))).toBe(10_000);
  expect(blocks.length).toBeGreaterThan(30);
  expect(Math.max(...blocks)).toBeLessThan(3);
});

test("a short one goes through in one go", async () => {
  let yields = 0;
  const slices = new Slices({
    nowMs: () => 0,
    yield: async () => {
      yields++;
    },
  });
  await slices.run(count(100));
  expect(yields).toBe(0);
  expect(finish(count(100))).toBe(100);
});

test("of many items every thirty-second ends a step, and none of a few", () => {
  const ends = Array.from({ length: 100 }, (_, index) => index).filter(isStep);
  expect(ends).toEqual([31, 63, 95]);
});
