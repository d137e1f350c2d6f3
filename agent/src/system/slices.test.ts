import { expect, test } from "vitest";
import { Slices, each, eachEntry, finish } from "./slices.ts";
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

function range(end: number): readonly number[] {
  return Array.from({ length: end }, (_, index) => index);
}

test.each([0, 1, 31, 32, 33, 100])("each of %d items is met once, in order", (items) => {
  const met: number[] = [];
  finish(each(range(items), (item) => met.push(item)));
  expect(met).toEqual(range(items));
});

test("many items are many steps", () => {
  expect([...each(range(3_200), () => undefined)].length).toBeGreaterThanOrEqual(99);
});

test("a map is met as it was, also where its entries go meanwhile", () => {
  const entries = new Map(range(100).map((key) => [key, key * 2]));
  const met: (readonly [number, number])[] = [];
  finish(
    eachEntry(entries, (key, value) => {
      met.push([key, value]);
      entries.delete(key + 1);
    }),
  );
  expect(met).toEqual(range(100).map((key) => [key, key * 2]));
});
