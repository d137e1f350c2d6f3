import { availableParallelism, release, tmpdir, totalmem, type } from "node:os";
import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import type { MachineFacts } from "../report/events.ts";

const BYTES_PER_MB = 1024 * 1024;

/** What the process is told by its surroundings. */

export function isRoot(): boolean {
  return process.getuid?.() === 0;
}

export function ownProcessId(): number {
  return process.pid;
}

/** The Node that runs us, for programs that need one. */
export function nodeProgram(): string {
  return process.execPath;
}

/** For what is gone again when the command ends. */
export function temporaryDirectory(): string {
  return tmpdir();
}

/** What a run was made on. */
export function describeMachine(): MachineFacts {
  return {
    kernel: `${type()} ${release()}`,
    cores: availableParallelism(),
    memoryMb: Math.round(totalmem() / BYTES_PER_MB),
    node: process.version,
  };
}

export function workingDirectory(): string {
  return process.cwd();
}

export function environmentVariable(name: string): string | undefined {
  const value = process.env[name];
  return value === "" ? undefined : value;
}

/** Where run directories are: TWILL_LAB_DIR, or `.lab` where the command is run. Absolute. */
export function labsDirectory(): string {
  return resolve(environmentVariable("TWILL_LAB_DIR") ?? ".lab");
}

/** The clone that this program is part of. */
export function repositoryDirectory(): string {
  return fileURLToPath(new URL("../../..", import.meta.url)).replace(/\/$/u, "");
}

/** What a bundle of JavaScript and native code is made for. */
export function nodeRelease(): string {
  return `${process.version} ${process.platform} ${process.arch}`;
}

/** Where programs are looked for. Ordinary users often lack the directories where ip(8) lives. */
export const SEARCH_PATH: string = `${environmentVariable("PATH") ?? "/usr/bin:/bin"}:/usr/sbin:/sbin`;
