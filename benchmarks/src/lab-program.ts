/** The lab as a program. */
import { execFileSync } from "node:child_process";
import { join } from "node:path";

const LAB = join(import.meta.dirname, "../../lab/src/main.mjs");

export interface LabHost {
  readonly name: string;
  /** Of its agent, in the host's network namespace. */
  readonly pid: number;
}

/** @returns what it printed @throws Error with what it said */
export function lab(name: string, verb: string, ...words: readonly string[]): string {
  const end = words.includes("--") ? words.indexOf("--") : words.length;
  const flags = [...words.slice(0, end), "--name", name, ...words.slice(end)];
  return execFileSync(process.execPath, [LAB, verb, ...flags], { encoding: "utf8" });
}
