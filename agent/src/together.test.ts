import { expect, test } from "vitest";
import { together } from "./together.ts";

function untilAborted(signal: AbortSignal, ended: string[], name: string): Promise<never> {
  return new Promise((_, reject) => {
    signal.addEventListener("abort", () => {
      ended.push(name);
      reject(signal.reason);
    });
  });
}

test("the first task to fail stops the others, and its error is the one thrown", async () => {
  const ended: string[] = [];
  const running = together(new AbortController().signal, [
    (signal) => untilAborted(signal, ended, "watch"),
    async () => {
      throw new Error("lease lost");
    },
    (signal) => untilAborted(signal, ended, "loop"),
  ]);
  await expect(running).rejects.toThrow("lease lost");
  expect(ended).toEqual(["watch", "loop"]);
});

test("the signal stops every task, and its reason is thrown", async () => {
  const ended: string[] = [];
  const controller = new AbortController();
  const running = together(controller.signal, [
    (signal) => untilAborted(signal, ended, "one"),
    (signal) => untilAborted(signal, ended, "two"),
  ]);
  controller.abort(new Error("asked to stop"));
  await expect(running).rejects.toThrow("asked to stop");
  expect(ended).toEqual(["one", "two"]);
});

test("tasks that end by themselves end it", async () => {
  const { signal } = new AbortController();
  await expect(together(signal, [async () => 1, async () => 2])).resolves.toBeUndefined();
});
