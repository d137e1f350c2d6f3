import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { Pages } from "./health-server.ts";
import { askStatusSocket, openStatusSocket } from "./status-socket.ts";

const PAGES: Pages = new Map([
  ["/status", () => ({ status: 200, type: "application/json", body: '{"ready":true}' })],
]);
/** Listens, says so by the file's being there, and is killed: the file stays. */
const KILLED = `require("node:net").createServer().listen(process.argv[1], () => process.kill(process.pid, "SIGKILL"))`;

let directory = "";
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "twill-socket-"));
});
afterEach(() => rmSync(directory, { recursive: true }));

test("pages are answered, other pages are an error, and the file goes with the server", async () => {
  const path = join(directory, "run/flannel/flanneld.sock");
  {
    await using _ = await openStatusSocket(path, PAGES);
    expect(await askStatusSocket(path, "/status")).toBe('{"ready":true}');
    await expect(askStatusSocket(path, "/x")).rejects.toThrow(
      `the agent behind ${path} does not answer: 404 404 page not found`,
    );
  }
  expect(existsSync(path)).toBe(false);
});

test("only the owner may connect, whatever the umask", async () => {
  const path = join(directory, "flanneld.sock");
  const before = process.umask(0);
  try {
    await using _ = await openStatusSocket(path, PAGES);
    expect((statSync(path).mode & 0o777).toString(8)).toBe("600");
    expect(process.umask()).toBe(0);
  } finally {
    process.umask(before);
  }
});

test("nobody there is undefined: no file, no directory, a socket whose process was killed", async () => {
  const path = join(directory, "flanneld.sock");
  expect(await askStatusSocket(path, "/status")).toBeUndefined();
  expect(
    await askStatusSocket(join(directory, "no/such/flanneld.sock"), "/status"),
  ).toBeUndefined();
  spawnSync(process.execPath, ["-e", KILLED, path]);
  expect(statSync(path).isSocket()).toBe(true);
  expect(await askStatusSocket(path, "/status")).toBeUndefined();
});

test("the socket of a killed predecessor is replaced", async () => {
  const path = join(directory, "flanneld.sock");
  spawnSync(process.execPath, ["-e", KILLED, path]);
  await using _ = await openStatusSocket(path, PAGES);
  expect(await askStatusSocket(path, "/status")).toBe('{"ready":true}');
});

test("the socket of a living agent is not taken over", async () => {
  const path = join(directory, "flanneld.sock");
  await using _ = await openStatusSocket(path, PAGES);
  await expect(openStatusSocket(path, new Map())).rejects.toThrow(
    `cannot listen on ${path}: another agent listens there`,
  );
  expect(await askStatusSocket(path, "/status")).toBe('{"ready":true}');
});

test("a file that is no socket is left alone", async () => {
  const path = join(directory, "flanneld.sock");
  writeFileSync(path, "mine");
  await expect(openStatusSocket(path, PAGES)).rejects.toThrow(`cannot listen on ${path}`);
  expect(readFileSync(path, "utf8")).toBe("mine");
});
