import { expect, test } from "vitest";
import { ManualClock } from "./manual-clock.ts";
import { SystemClock } from "./system-clock.ts";

const never = new AbortController().signal;

test("sleepers of a manual clock wake in the order of their time, and what they start runs first", async () => {
  const clock = new ManualClock();
  const woken: string[] = [];
  const sleeper = async (name: string, ms: number): Promise<void> => {
    await clock.sleep(ms, never);
    woken.push(`${name} ${clock.nowMs()}`);
  };
  const all = [sleeper("late", 30), sleeper("early", 10).then(() => sleeper("again", 10))];
  await clock.advance(25);
  expect(woken).toEqual(["early 10", "again 20"]);
  await clock.advance(5);
  await Promise.all(all);
  expect(woken).toEqual(["early 10", "again 20", "late 30"]);
});

test.each([new ManualClock(), new SystemClock()])(
  "a sleep ends with the signal's own reason",
  async (clock) => {
    const controller = new AbortController();
    const sleep = clock.sleep(60_000, controller.signal);
    controller.abort(new Error("asked to stop"));
    await expect(sleep).rejects.toThrow("asked to stop");
    await expect(clock.sleep(0, controller.signal)).rejects.toThrow("asked to stop");
  },
);

test("a sleep longer than Node's largest timer does not end at once", async () => {
  const controller = new AbortController();
  let ended = false;
  const sleep = new SystemClock().sleep(2 ** 40, controller.signal).finally(() => (ended = true));
  await new SystemClock().sleep(20, never);
  expect(ended).toBe(false);
  controller.abort(new Error("enough"));
  await expect(sleep).rejects.toThrow("enough");
});

test("whoever yields goes on after everything that is ready", async () => {
  const order: string[] = [];
  setImmediate(() => order.push("ready"));
  await new SystemClock().yield();
  order.push("yielded");
  expect(order).toEqual(["ready", "yielded"]);
});

test("on a manual clock, whoever yields goes on within the moment, behind those who wait for it", async () => {
  const clock = new ManualClock();
  const order: string[] = [];
  const all = [
    clock.sleep(0, never).then(() => order.push(`slept ${clock.nowMs()}`)),
    clock.yield().then(() => order.push(`yielded ${clock.nowMs()}`)),
  ];
  expect(order).toEqual([]);
  await clock.advance(0);
  await Promise.all(all);
  expect(order).toEqual(["slept 0", "yielded 0"]);
});
