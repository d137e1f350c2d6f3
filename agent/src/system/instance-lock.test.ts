import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import {
  constants,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { AgentError } from "../core/errors.ts";
import { lockForCleanup, lockInstance } from "./instance-lock.ts";

/** Source: fcntl.h O_ACCMODE. */
const ACCESS_MODE = 3;

let directory = "";
let subnetFile = "";
const children: ChildProcess[] = [];
const programs: number[] = [];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "instance-lock-"));
  subnetFile = join(directory, "flannel", "subnet.env");
});
afterEach(() => {
  for (const child of children.splice(0)) child.kill("SIGKILL");
  for (const program of programs.splice(0)) process.kill(program, "SIGKILL");
  rmSync(directory, { recursive: true });
});

const MODULE = JSON.stringify(new URL("./instance-lock.ts", import.meta.url).href);
/** Takes the lock, starts a program that outlives it, and waits for its own end. */
const HOLDER = `
  const { lockInstance } = await import(${MODULE});
  const { spawn } = await import("node:child_process");
  const lock = lockInstance(process.argv[1]);
  const program = spawn("sleep", ["600"], { stdio: "ignore", detached: true });
  process.stdout.write("holding " + program.pid + "\\n");
  setInterval(() => lock, 1_000);
`;

/** Another process that holds the lock, and a program that it started. */
async function hold(): Promise<ChildProcess> {
  const child = spawn(process.execPath, ["--input-type=module", "--eval", HOLDER, subnetFile], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  children.push(child);
  const said = new Promise<string>((resolve, reject) => {
    child.once("exit", () => reject(new Error("the holder ended")));
    child.stdout.setEncoding("utf8").once("data", resolve);
  });
  const [, program] = /^holding (\d+)\n$/.exec(await said) ?? [];
  programs.push(Number(program));
  return child;
}

function refusal(): string {
  try {
    lockInstance(subnetFile)[Symbol.dispose]();
  } catch (error) {
    if (!(error instanceof AgentError)) throw error;
    return `${error.code}: ${error.message.replaceAll(directory, "")}`;
  }
  return "locked";
}

test("the directory and the file are made, and say whose they are", () => {
  using _lock = lockInstance(subnetFile);
  expect(readdirSync(join(directory, "flannel"))).toEqual([".subnet.env.lock"]);
  expect(readFileSync(join(directory, "flannel/.subnet.env.lock"), "utf8")).toBe(
    `${process.pid}\n`,
  );
});

test("E3: a second one is refused by the name of the first, also of one that does not move", async () => {
  const child = await hold();
  const said = `already-running: another flanneld, process ${child.pid}, already serves /flannel/subnet.env: stop it first, or give this one its own -subnet-file and -etcd-prefix`;
  expect(refusal()).toBe(said);
  child.kill("SIGSTOP");
  expect(refusal()).toBe(said);
});

test("E3: the lock ends with its owner, also by kill -9, and does not go on in a program it started", async () => {
  const child = await hold();
  const ended = once(child, "exit");
  child.kill("SIGKILL");
  await ended;
  expect(programs).toHaveLength(1);
  for (const program of programs) process.kill(program, 0);
  expect(refusal()).toBe("locked");
}, 20_000);

test("one that ended before is no hindrance, whatever it left in the file", () => {
  for (const left of ["1\n", "", "x".repeat(100_000)]) {
    lockInstance(subnetFile)[Symbol.dispose]();
    writeFileSync(join(directory, "flannel/.subnet.env.lock"), left);
    using _lock = lockInstance(subnetFile);
    expect(readFileSync(join(directory, "flannel/.subnet.env.lock"), "utf8")).toBe(
      `${process.pid}\n`,
    );
  }
});

test("two agents with a subnet file each do not hinder one another", () => {
  using _one = lockInstance(subnetFile);
  using _two = lockInstance(join(directory, "flannel", "other.env"));
  expect(refusal()).toMatch(/^already-running/);
});

test("an owner that has not yet written its name is spoken of without one", async () => {
  await hold();
  for (const text of ["", "0x10\n", "12345678901\n"]) {
    writeFileSync(join(directory, "flannel/.subnet.env.lock"), text);
    expect(refusal()).toMatch(/^already-running: another flanneld already serves /);
  }
});

/** Again and again takes the lock, looks whether it is alone, and takes the file away; prints how often it was, and whether ever not. */
const RIVAL = `
  const { lockInstance } = await import(${MODULE});
  const { openSync, closeSync, rmSync } = await import("node:fs");
  const [subnetFile, mark] = process.argv.slice(1);
  let held = 0;
  for (let round = 0; round < 500; round++) {
    let lock;
    try { lock = lockInstance(subnetFile); } catch { continue; }
    closeSync(openSync(mark, "wx"));
    held++;
    rmSync(mark);
    lock.removeFile();
    lock[Symbol.dispose]();
  }
  process.stdout.write(held + " times alone\\n");
`;

test("E3: while its file is taken away again and again, there is never more than one", async () => {
  const said = await Promise.all(
    [1, 2, 3].map(async () => {
      const words = ["--input-type=module", "--eval", RIVAL, subnetFile, join(directory, "mark")];
      const child = spawn(process.execPath, words, { stdio: ["ignore", "pipe", "pipe"] });
      children.push(child);
      let text = "";
      for (const stream of [child.stdout, child.stderr])
        stream.setEncoding("utf8").on("data", (part: string) => (text += part));
      await once(child, "close");
      return text;
    }),
  );
  for (const text of said) expect(text).toMatch(/^[1-9]\d* times alone\n$/);
  expect(existsSync(join(directory, "flannel/.subnet.env.lock"))).toBe(false);
}, 60_000);

test("a cleanup makes no directory, and is refused while an agent has the lock", async () => {
  expect(lockForCleanup(subnetFile)).toBeUndefined();
  expect(readdirSync(directory)).toEqual([]);
  const child = await hold();
  expect(() => lockForCleanup(subnetFile)).toThrow(`another flanneld, process ${child.pid}, `);
});

test("where no file can be made the remedy is named", () => {
  writeFileSync(join(directory, "flannel"), "a file");
  expect(refusal()).toMatch(
    /^file-unusable: cannot lock \/flannel\/\.subnet\.env\.lock: ENOTDIR.*; make its directory writable for the agent, or choose another one with -subnet-file$/,
  );
  rmSync(join(directory, "flannel"));
  mkdirSync(join(directory, "flannel/.subnet.env.lock"), { recursive: true });
  expect(refusal()).toMatch(/^file-unusable: cannot lock .*EISDIR/);
  // Where directories are the kernel's to make.
  expect(() => lockInstance("/proc/flannel/subnet.env")).toThrow(/cannot lock .*ENOENT/);
});

test("the lock keeps no file open for writing, so that its file system can be made read-only", () => {
  using _ = lockInstance(subnetFile);
  const path = join(directory, "flannel", ".subnet.env.lock");
  const [descriptor] = readdirSync("/proc/self/fd").filter((fd) => linkOf(fd) === path);
  const [, flags = ""] =
    /^flags:\s+(\d+)$/m.exec(readFileSync(`/proc/self/fdinfo/${descriptor}`, "utf8")) ?? [];
  expect(Number.parseInt(flags, 8) & ACCESS_MODE).toBe(constants.O_RDONLY);
});

/** Undefined for the descriptor of the listing itself, which is closed by now. */
function linkOf(descriptor: string): string | undefined {
  const path = `/proc/self/fd/${descriptor}`;
  return existsSync(path) ? readlinkSync(path) : undefined;
}
