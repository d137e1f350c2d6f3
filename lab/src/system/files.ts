import {
  accessSync,
  appendFileSync,
  closeSync,
  constants,
  cpSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  readSync,
  renameSync,
  rmdirSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { createHash } from "node:crypto";
import { dirname, join } from "node:path";
import { SEARCH_PATH } from "./machine.ts";

/** The only place of the lab that touches files. Absence is a value; every other failure is thrown. */

const ABSENT = new Set(["ENOENT", "ENOTDIR", "ESRCH"]);
const LINK_UNSEEN = new Set([...ABSENT, "EACCES", "EPERM", "EINVAL"]);
const UNUSABLE = new Set([...ABSENT, "EACCES"]);
const MAX_READ_BYTES = 1024 * 1024;
/** Of a SHA-256: 80 bits are enough to tell states of one tree apart. */
const DIGEST_DIGITS = 20;
const PRIVATE_DIRECTORY = 0o700;

export function readText(path: string): string | undefined {
  return unlessAbsent(() => readFileSync(path, "utf8"));
}

/** Whole or not at all: written beside and renamed. */
export function writeText(path: string, text: string): void {
  writeFileSync(`${path}.new`, text);
  renameSync(`${path}.new`, path);
}

/** Whole or not at all, its directories too; not at all where we may not. */
export function writeWhereAllowed(path: string, text: string): void {
  const draft = `${path}.${process.pid}`;
  try {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(draft, text);
    renameSync(draft, path);
  } catch (error) {
    rmSync(draft, { force: true });
    if (!isForbidden(error)) {
      throw error;
    }
  }
}

/** Whole or not at all. */
export function writeBytes(path: string, bytes: Uint8Array): void {
  writeFileSync(`${path}.new`, bytes);
  renameSync(`${path}.new`, path);
}

export function appendText(path: string, text: string): void {
  appendFileSync(path, text);
}

/** A value that changes whenever the file is written or replaced; undefined while there is none. */
export function fileVersion(path: string): string | undefined {
  const stat = unlessAbsent(() => statSync(path, { bigint: true }));
  return stat === undefined ? undefined : `${stat.ino}:${stat.mtimeNs}:${stat.size}`;
}

export function fileExists(path: string): boolean {
  return unlessAbsent(() => statSync(path)) !== undefined;
}

export function makeDirectory(path: string): void {
  mkdirSync(path, { recursive: true });
}

/** A new directory beside `path`, for its owner only, with a name of its own. */
export function makeSiblingDirectory(path: string): string {
  mkdirSync(dirname(path), { recursive: true, mode: PRIVATE_DIRECTORY });
  return mkdtempSync(`${path}.`);
}

/** Renames a directory; false when the target is there and not empty, or the source is gone. */
export function moveDirectory(from: string, to: string): boolean {
  try {
    renameSync(from, to);
    return true;
  } catch (error) {
    if (hasCode(error, new Set(["ENOTEMPTY", "EEXIST", "ENOENT"]))) {
      return false;
    }
    throw error;
  }
}

/** Everything below `from`, to a place where nothing is. */
export function copyTree(from: string, to: string): void {
  cpSync(from, to, { recursive: true });
}

export function removeTree(path: string): void {
  rmSync(path, { recursive: true, force: true, maxRetries: 3 });
}

/** Removes a directory that is empty; leaves any other. */
export function removeEmptyDirectory(path: string): void {
  try {
    rmdirSync(path);
  } catch (error) {
    if (!hasCode(error, new Set(["ENOTEMPTY", "EEXIST", "ENOENT", "EBUSY"]))) {
      throw error;
    }
  }
}

/** Names in a directory; empty when there is none. */
export function listDirectory(path: string): string[] {
  return unlessAbsent(() => readdirSync(path)) ?? [];
}

/** Hexadecimal digits that depend on every name and byte of files and trees, and on a text. Absence is a content of its own. */
export function digestTrees(root: string, paths: readonly string[], text: string): string {
  const hash = createHash("sha256").update(`${text}\0`);
  for (const path of paths.flatMap((one) => filesBelow(root, one))) {
    const bytes = unlessAbsent(() => readFileSync(join(root, path)));
    hash.update(`${path}\0${bytes?.length ?? "absent"}\0`).update(bytes ?? "");
  }
  return hash.digest("hex").slice(0, DIGEST_DIGITS);
}

/**
 * A text that depends on every name of trees and changes whenever one of their files is written or replaced, and when the last of them was, in
 * milliseconds of the file system's clock. Nobody can set a change time. Source: inode(7), ctime.
 */
export function surveyTrees(
  root: string,
  paths: readonly string[],
): { readonly signature: string; readonly changedAtMs: number } {
  const hash = createHash("sha256");
  let changedAtMs = 0;
  for (const path of paths.flatMap((one) => filesBelow(root, one))) {
    const stat = unlessAbsent(() => statSync(join(root, path)));
    hash.update(`${path}\0${stat?.ino}:${stat?.size}:${stat?.ctimeMs}\0`);
    changedAtMs = Math.max(changedAtMs, stat?.ctimeMs ?? 0);
  }
  return { signature: hash.digest("hex"), changedAtMs };
}

/** In an order of their own; what is no directory is itself. */
function filesBelow(root: string, path: string): readonly string[] {
  const entries = unlessAbsent(() => readdirSync(join(root, path), { withFileTypes: true }));
  if (entries === undefined) {
    return [path];
  }
  const below = entries.toSorted((one, other) => (one.name < other.name ? -1 : 1));
  return below.flatMap((entry) => {
    const at = `${path}/${entry.name}`;
    return entry.isFile() ? [at] : filesBelow(root, at);
  });
}

/** Gives a directory the time of now, where we may. */
export function markUsed(path: string): void {
  const now = new Date();
  try {
    utimesSync(path, now, now);
  } catch (error) {
    if (!isForbidden(error)) {
      throw error;
    }
  }
}

/** Whether something could not be written because it is another user's, or read-only. */
export function isForbidden(error: unknown): boolean {
  return hasCode(error, new Set(["EACCES", "EPERM", "EROFS"]));
}

/** Whether a directory was not marked as used for so long. */
export function usedBefore(path: string, ms: number): boolean {
  const stat = unlessAbsent(() => statSync(path));
  return stat !== undefined && Date.now() - stat.mtimeMs > ms;
}

/** Paths of the directories in a directory; empty when there is none. */
export function listDirectories(path: string): string[] {
  return (unlessAbsent(() => readdirSync(path, { withFileTypes: true })) ?? [])
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => join(path, name));
}

/** A path that is there, without links in it. */
export function realPath(path: string): string {
  return realpathSync(path);
}

/** Where a link points; undefined when it is none, there is none, or one that we may not see (a stranger's in /proc). */
export function readLink(path: string): string | undefined {
  return unlessAbsent(() => readlinkSync(path), LINK_UNSEEN);
}

/** Where a program of the search path is; undefined when it is not installed. */
export function findProgram(name: string): string | undefined {
  return SEARCH_PATH.split(":")
    .map((directory) => join(directory, name))
    .find(
      (path) =>
        unlessAbsent(() => {
          accessSync(path, constants.X_OK);
          return true;
        }, UNUSABLE) === true,
    );
}

/** The text of a file from a byte on, at most `MAX_READ_BYTES` of it; undefined when there is no file. */
export function readTextFrom(
  path: string,
  offset: number,
): { readonly text: string; readonly end: number } | undefined {
  return unlessAbsent(() => {
    const descriptor = openSync(path, "r");
    try {
      const buffer = Buffer.alloc(MAX_READ_BYTES);
      const bytes = readSync(descriptor, buffer, 0, MAX_READ_BYTES, offset);
      return { text: buffer.toString("utf8", 0, bytes), end: offset + bytes };
    } finally {
      closeSync(descriptor);
    }
  });
}

function unlessAbsent<T>(read: () => T, absent: ReadonlySet<string> = ABSENT): T | undefined {
  try {
    return read();
  } catch (error) {
    if (hasCode(error, absent)) {
      return undefined;
    }
    throw error;
  }
}

function hasCode(error: unknown, codes: ReadonlySet<string>): boolean {
  return error instanceof Error && "code" in error && codes.has(String(error.code));
}
