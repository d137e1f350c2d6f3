import { chmodSync, mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { filesContract } from "./files.contract.ts";
import { MemoryFiles } from "./memory-files.ts";
import { NodeFiles } from "./node-files.ts";

const directory = mkdtempSync(join(tmpdir(), "twill-files-"));
let places = 0;
const freshPath = (): ((name: string) => string) => {
  const place = join(directory, String(places++));
  return (name) => join(place, name);
};
afterAll(() => rmSync(directory, { recursive: true }));

filesContract("MemoryFiles", () => ({ files: new MemoryFiles(), path: freshPath() }));
filesContract("NodeFiles", () => ({ files: new NodeFiles(), path: freshPath() }));

test("a new file gets its mode whatever the umask, and an existing one keeps its own", async () => {
  const path = freshPath()("subnet.env");
  const before = process.umask(0o077);
  try {
    await new NodeFiles().writeAtomically(path, "a", 0o644);
  } finally {
    process.umask(before);
  }
  expect(statSync(path).mode & 0o777).toBe(0o644);
  chmodSync(path, 0o600);
  await new NodeFiles().writeAtomically(path, "b", 0o644);
  expect(statSync(path).mode & 0o777).toBe(0o600);
});

test("a write that cannot be finished says what and why, and leaves no temporary file", async () => {
  const path = freshPath();
  await new NodeFiles().writeAtomically(path("target/inside"), "x", 0o644);
  await expect(new NodeFiles().writeAtomically(path("target"), "y", 0o644)).rejects.toThrow(
    /cannot write .*target: EISDIR/,
  );
  expect(readdirSync(path("."))).toEqual(["target"]);
});
