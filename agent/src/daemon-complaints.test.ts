import { expect, test } from "vitest";
import { Complaints } from "./daemon-complaints.ts";
import { MemoryLog } from "./system/memory-log.ts";

function said(log: MemoryLog): readonly string[] {
  return log.lines.map(({ level, data, message }) =>
    level === "info" ? `${message}: ${JSON.stringify(data)}` : `${level} ${message}`,
  );
}

test("a complaint is said when it begins and when the last of its reasons is gone", () => {
  const log = new MemoryLog();
  const complaints = new Complaints(log);
  complaints.change(["a"], []);
  complaints.change(["a"], []);
  complaints.change([], ["a"]);
  expect(said(log)).toEqual(["warn a"]);
  complaints.change([], ["a"]);
  expect(said(log)).toEqual(["warn a", 'no longer so: {"was":"a"}']);
});

test("what ends and begins in one go is not said again", () => {
  const log = new MemoryLog();
  const complaints = new Complaints(log);
  complaints.change(["a"], []);
  complaints.change(["a", "b"], ["a"]);
  expect(said(log)).toEqual(["warn a", "warn b"]);
});
