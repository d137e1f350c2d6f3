import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { healthPages, openHealth, openStatus } from "./agent-view.ts";
import type { View } from "./agent-view.ts";
import { Vitals } from "./daemon-vitals.ts";
import { ManualClock } from "./system/manual-clock.ts";
import { MemoryFiles } from "./system/memory-files.ts";
import { MemoryLog } from "./system/memory-log.ts";
import { askStatusSocket } from "./system/status-socket.ts";

let directory = "";
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "twill-view-"));
});
afterEach(() => rmSync(directory, { recursive: true }));

function view(changes: Partial<View["options"]>, wasReady = false): View {
  const subnetFile = join(directory, "subnet.env");
  const options = { healthIp: "127.0.0.1", healthPort: 0, readyzOnce: false, statusSocket: "" };
  return {
    options: { ...options, subnetFile, ...changes },
    version: "0.1.0",
    vitals: new Vitals(),
    wasReady: () => wasReady,
    processFigures: () => ({ cpuSeconds: 0, residentBytes: 0, startSeconds: 0 }),
    files: new MemoryFiles(),
    clock: new ManualClock(),
  };
}

test("nothing is listened on where nothing is asked for", async () => {
  const log = new MemoryLog();
  expect(await openHealth(view({}))).toBeUndefined();
  expect(await openStatus(view({}), log)).toBeUndefined();
  expect(log.lines).toEqual([]);
});

test("a second agent on one socket goes on without, and says so once", async () => {
  const statusSocket = join(directory, "flanneld.sock");
  const log = new MemoryLog();
  await using first = await openStatus(view({ statusSocket }), log);
  expect(first).toBeDefined();
  expect(await openStatus(view({ statusSocket }), log)).toBeUndefined();
  expect(log.lines.map(({ level, message }) => `${level} ${message}`)).toEqual([
    `warn cannot listen on ${statusSocket}: another agent listens there: going on without flanneld status; -status-socket names another`,
  ]);
  expect(JSON.parse((await askStatusSocket(statusSocket, "/status")) ?? "")).toMatchObject({
    version: "0.1.0",
    state: { ready: false, hindrances: ["starting"] },
  });
  expect(existsSync(statusSocket)).toBe(true);
});

test("readiness stays once it was there only where that is asked for", async () => {
  const status = async (one: View): Promise<number | undefined> =>
    (await healthPages(one).get("/readyz")?.())?.status;
  expect(await status(view({}, true))).toBe(503);
  expect(await status(view({ readyzOnce: true }, true))).toBe(200);
  expect(await status(view({ readyzOnce: true }, false))).toBe(503);
});
