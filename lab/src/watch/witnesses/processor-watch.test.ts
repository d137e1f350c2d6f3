import { expect, it } from "vitest";
import { parseWaitedMs } from "./processor-watch.ts";

it("a process's time without a processor is read from what the kernel counts", () => {
  expect(parseWaitedMs("276541237 1834500000 2241\n")).toBe(1834.5);
  expect(parseWaitedMs("")).toBeUndefined();
  expect(parseWaitedMs("276541237\n")).toBeUndefined();
});
