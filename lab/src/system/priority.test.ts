import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { setSessionNiceness } from "./priority.ts";

const ORDINARY = 0;

/** Nobody made a session for the machine's first process, nor for the kernel's threads. The kernel says so by saying nothing. */
function isOutsideOfSessions(pid: number): boolean {
  try {
    return readFileSync(`/proc/${pid}/autogroup`, "latin1") === "";
  } catch {
    return false;
  }
}

const outside = [1, 2].find(isOutsideOfSessions);

test.skipIf(outside === undefined)(
  "a process that is in no session's group has no niceness to set",
  () => {
    expect(() => {
      setSessionNiceness(outside ?? 0, ORDINARY);
    }).not.toThrow();
  },
);
