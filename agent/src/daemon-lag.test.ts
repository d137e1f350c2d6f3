import { expect, test } from "vitest";
import { Lag } from "./daemon-lag.ts";
import { ManualClock } from "./system/manual-clock.ts";

test("behind after half a minute of failed passes, and no longer with the first good one", async () => {
  const clock = new ManualClock();
  let behind = false;
  const lag = new Lag(clock, (now) => (behind = now));
  const after = async (ms: number, failed: boolean): Promise<boolean> => {
    await clock.advance(ms);
    lag.passed(failed);
    return behind;
  };
  expect(await after(0, true)).toBe(false);
  expect(await after(29_999, true)).toBe(false);
  expect(await after(1, true)).toBe(true);
  expect(await after(10_000, true)).toBe(true);
  expect(await after(1, false)).toBe(false);
  // What was before the good one counts no more.
  expect(await after(1, true)).toBe(false);
  expect(await after(29_999, true)).toBe(false);
});
