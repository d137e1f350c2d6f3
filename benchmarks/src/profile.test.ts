import { expect, test } from "vitest";
import { profiled, shares } from "./profile.ts";

const frame = (functionName: string, url: string) => ({
  functionName,
  url,
  scriptId: "1",
  lineNumber: 0,
  columnNumber: 0,
});
const NODES = [
  frame("(idle)", ""),
  frame("(garbage collector)", ""),
  frame("#enter", "file:///r/agent/src/backends/peer-plans.ts"),
  frame("#add", "file:///r/agent/src/kernel/wishes.ts"),
  frame("compare", "file:///r/agent/src/kernel/difference.ts"),
  frame("apply", "file:///r/agent/src/kernel/netlink-writer.ts"),
  frame("writeMac", "file:///r/linux/src/mac.ts"),
  frame("readFileSync", "node:fs"),
].map((callFrame, index) => ({ id: index + 1, callFrame }));

test("what the main thread does is counted by room, and nothing while it waits", () => {
  const samples = [1, 1, 2, 3, 4, 4, 5, 6, 7, 8];
  expect([...shares({ nodes: NODES, startTime: 0, endTime: 1, samples })]).toEqual([
    ["V8's collector", 1 / 8],
    ["planning", 3 / 8],
    ["comparing", 1 / 8],
    ["netlink messages", 2 / 8],
    ["anything else", 1 / 8],
  ]);
});

test("an act's processor time is that of all threads together", async () => {
  const start = process.cpuUsage();
  const sinceMs = (from: NodeJS.CpuUsage): number => {
    const { user, system } = process.cpuUsage(from);
    return (user + system) / 1000;
  };
  const spent = await profiled(async () => {
    const begin = process.cpuUsage();
    while (sinceMs(begin) < 50);
  });
  const totalMs = Object.values(spent).reduce((sum, ms) => sum + ms, 0);
  expect(totalMs).toBeGreaterThan(25);
  expect(totalMs).toBeLessThan(sinceMs(start) + 10);
});
