import { expect, test } from "vitest";
import { formatLogLine } from "./log-text.ts";
import { MemoryLog } from "./memory-log.ts";

test("a JSON line reads as one line of text: time, level, words, data, error", () => {
  const line = JSON.stringify({
    level: "warn",
    time: "2026-11-21T10:11:12.345Z",
    room: "kernel",
    subnet: "10.42.1.0/24",
    why: "two words",
    err: { type: "AgentError", message: "cannot put route", stack: "…" },
    msg: "peer skipped",
  });
  expect(formatLogLine(line)).toBe(
    '10:11:12.345 W peer skipped room=kernel subnet=10.42.1.0/24 why="two words" err="cannot put route"\n',
  );
});

test("a child's lines carry its data", () => {
  const log = new MemoryLog();
  log.child({ room: "kernel" }).info({ peers: 2 }, "reconciled");
  expect(log.lines).toEqual([
    { level: "info", data: { room: "kernel", peers: 2 }, message: "reconciled" },
  ]);
});
