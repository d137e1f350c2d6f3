import { expect, test } from "vitest";
import { CryptoRandom } from "./crypto-random.ts";
import { jitteredMs } from "./random.ts";
import { SeededRandom } from "./seeded-random.ts";

test("one seed gives one sequence, another seed another", () => {
  const draw = (seed: number): number[] => {
    const random = new SeededRandom(seed);
    return Array.from({ length: 8 }, () => random.integer(1_000_000));
  };
  expect(draw(7)).toEqual(draw(7));
  expect(draw(7)).not.toEqual(draw(8));
});

test.each([new SeededRandom(1), new CryptoRandom()])(
  "numbers stay below the limit and reach all of it",
  (random) => {
    const seen = new Set(Array.from({ length: 400 }, () => random.integer(5)));
    expect([...seen].toSorted((a, b) => a - b)).toEqual([0, 1, 2, 3, 4]);
    expect(random.bytes(6)).toHaveLength(6);
  },
);

test("a jittered wait is between half of it and all of it", () => {
  const random = new SeededRandom(3);
  const waits = Array.from({ length: 200 }, () => jitteredMs(random, 1000));
  expect(Math.min(...waits)).toBeGreaterThanOrEqual(500);
  expect(Math.max(...waits)).toBeLessThanOrEqual(1000);
  expect(new Set(waits).size).toBeGreaterThan(50);
  expect(jitteredMs(random, 1)).toBeGreaterThan(0);
});
