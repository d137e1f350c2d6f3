import type { FrameFate } from "linux";
import { describe, expect, it } from "vitest";
import { corruptOf, corruptPings } from "./corrupt/index.ts";
import { jitterOf } from "./jitter/index.ts";
import { reorderOf } from "./reorder/index.ts";
import { type Decide, fatesOf, PERIOD_FRAMES } from "./wire-fates.ts";

const SEEDS = [0, 1, 65_536, 2 ** 32 - 1];
const PERCENTS = [1, 5, 40, 50, 95, 99];
/** Of the period, in six standard deviations of a share of half of it. */
const SHARE_TOLERANCE = (6 * Math.sqrt(0.25 * PERIOD_FRAMES)) / PERIOD_FRAMES;

function shareOf(fates: readonly FrameFate[], is: (fate: FrameFate) => boolean): number {
  return fates.filter(is).length / fates.length;
}

/** Whether the next decision is like this one more or less often than any is: numbers that hang together would show. */
function shareOfPairs(fates: readonly FrameFate[], is: (fate: FrameFate) => boolean): number {
  const pairs = fates.slice(1).filter((fate, at) => is(fate) && is(fates[at] ?? fate));
  return pairs.length / fates.length;
}

describe("what becomes of the frames of a wire", () => {
  it.each([
    ["jitter", jitterOf(30)],
    ["reorder", reorderOf(50)],
    ["corrupt", corruptOf(40)],
  ])(
    "is the same for the same seed, and something else for each other: %s",
    (_name, decide: Decide) => {
      const begin = (seed: number): string => JSON.stringify(fatesOf(decide, seed).slice(0, 1000));
      const texts = SEEDS.map(begin);
      expect(SEEDS.map(begin)).toEqual(texts);
      expect(new Set(texts).size).toBe(SEEDS.length);
    },
  );

  it("begins as it always began with this seed: what a run did can be done again", () => {
    const begin = (decide: Decide): string =>
      fatesOf(decide, 1)
        .slice(0, 6)
        .map(({ delayUs, bit }) => bit ?? delayUs)
        .join(" ");
    expect(begin(jitterOf(30))).toMatchInlineSnapshot(`"65304 34391 65419 58518 50886 78140"`);
    expect(begin(reorderOf(50))).toMatchInlineSnapshot(`"20000 0 20000 0 0 20000"`);
    expect(begin(corruptOf(50))).toMatchInlineSnapshot(`"0 0 3445983176 0 3129625126 344975415"`);
  });

  it.each(SEEDS)(
    "of jitter are times from one to three times its own, any as likely: %i",
    (seed) => {
      const times = fatesOf(jitterOf(30), seed).map(({ delayUs }) => delayUs);
      expect(Math.min(...times.slice(0, 10_000))).toBeGreaterThanOrEqual(30_000);
      expect(Math.max(...times.slice(0, 10_000))).toBeLessThanOrEqual(90_000);
      for (const quarter of [0, 1, 2, 3]) {
        const from = 30_000 + quarter * 15_000;
        const share = times.filter((time) => time >= from && time < from + 15_000).length;
        expect(Math.abs(share / PERIOD_FRAMES - 0.25)).toBeLessThan(SHARE_TOLERANCE);
      }
      expect(times.every((time) => Number.isInteger(time))).toBe(true);
    },
  );

  it.each(PERCENTS)(
    "of reorder are at once for a share of %i in a hundred, else later",
    (percent) => {
      for (const seed of SEEDS) {
        const fates = fatesOf(reorderOf(percent), seed);
        const isAtOnce = ({ delayUs }: FrameFate): boolean => delayUs === 0;
        expect(Math.abs(shareOf(fates, isAtOnce) - percent / 100)).toBeLessThan(SHARE_TOLERANCE);
        const pairs = shareOfPairs(fates, isAtOnce);
        expect(Math.abs(pairs - (percent / 100) ** 2)).toBeLessThan(2 * SHARE_TOLERANCE);
        expect(new Set(fates.map(({ delayUs }) => delayUs))).toEqual(new Set([0, 20_000]));
      }
    },
  );

  it.each(PERCENTS)(
    "of corrupt are one bit for a share of %i in a hundred, else none",
    (percent) => {
      for (const seed of SEEDS) {
        const fates = fatesOf(corruptOf(percent), seed);
        const isStruck = ({ bit }: FrameFate): boolean => bit !== undefined;
        expect(Math.abs(shareOf(fates, isStruck) - percent / 100)).toBeLessThan(SHARE_TOLERANCE);
        expect(fates.every(({ delayUs }) => delayUs === 0)).toBe(true);
        const bits = fates.flatMap(({ bit }) => bit ?? []);
        expect(bits.every((bit) => Number.isInteger(bit) && bit >= 0 && bit < 2 ** 32 - 1)).toBe(
          true,
        );
      }
    },
  );

  it("of corrupt are bits from all over the frame", () => {
    const frameBits = 8 * 88;
    const hits = new Set(
      fatesOf(corruptOf(99), 1).flatMap(({ bit }) => (bit === undefined ? [] : bit % frameBits)),
    );
    expect(hits.size).toBe(frameBits);
  });
});

it.each(PERCENTS)(
  "are looked for with pings that carry no time, which could be turned into another: corrupt by %i in a hundred",
  (percent) => {
    const bytesOfTime = 16;
    expect(corruptPings(percent).bytes).toBeLessThan(bytesOfTime);
  },
);
