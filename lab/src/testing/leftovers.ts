import { existsSync, readdirSync, readFileSync } from "node:fs";
import { deadlineIn, poll, systemClock } from "../system/clock.ts";
import type { Workplace } from "./command-line.ts";

/** The kernel takes dead namespaces apart in the background. */
const SETTLE_MS = 5000;

/** Where ip-netns(8) keeps names of namespaces. */
const NAMED_NAMESPACES = "/run/netns";

const STATE_DIRECTORIES = ["/var/lib", "/var/lib/flannel"];

/** What a machine has that a lab could have left behind, outside its run directory. */
export interface Machine {
  readonly mounts: ReadonlySet<string>;
  readonly links: ReadonlySet<string>;
  readonly namedNamespaces: ReadonlySet<string>;
  readonly run: ReadonlySet<string>;
  /** What keeps state, and what is in the directory that agents keep theirs in. */
  readonly state: ReadonlySet<string>;
}

export function lookAtMachine(): Machine {
  return {
    mounts: linesOf(readFileSync("/proc/self/mounts", "utf8")),
    links: new Set(readdirSync("/sys/class/net")),
    namedNamespaces: new Set(existsSync(NAMED_NAMESPACES) ? readdirSync(NAMED_NAMESPACES) : []),
    run: new Set(readdirSync("/run")),
    state: new Set(
      STATE_DIRECTORIES.flatMap((path) => (existsSync(path) ? readdirSync(path) : [])),
    ),
  };
}

/**
 * Everything a lab of this workplace has left on the machine, in words; waits a moment for it to go away.
 * Only what is new since `before` counts, and only processes that carry the workplace's mark.
 */
export async function leftovers(before: Machine, workplace: Workplace): Promise<readonly string[]> {
  const deadline = deadlineIn(systemClock, SETTLE_MS);
  await poll(systemClock, { everyMs: 20, deadline }, () =>
    findLeftovers(before, workplace).length === 0 ? true : undefined,
  );
  return findLeftovers(before, workplace);
}

/** Processes that a lab of this workplace started and that still run. */
export function markedProcesses(workplace: Workplace): readonly number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .filter((name) => environmentOf(name).includes(`TWILL_LAB_DIR=${workplace.labs}`))
    .map(Number);
}

function findLeftovers(before: Machine, workplace: Workplace): string[] {
  const after = lookAtMachine();
  const news = (kind: keyof Machine): string[] =>
    [...after[kind]].filter((item) => !before[kind].has(item)).map((item) => `${kind}: ${item}`);
  return [
    ...markedProcesses(workplace).map((pid) => `process: ${pid} ${commandOf(pid)}`),
    ...news("mounts"),
    ...news("links"),
    ...news("namedNamespaces"),
    ...news("run"),
    ...news("state"),
    ...readdirSync(workplace.scratch).map((name) => `file: ${name}`),
  ];
}

function environmentOf(pid: string): readonly string[] {
  return readProcessFile(pid, "environ").split("\0");
}

function commandOf(pid: number): string {
  return readProcessFile(String(pid), "cmdline").replaceAll("\0", " ").trim();
}

/** Empty for a process that ended meanwhile or is not ours to see. */
function readProcessFile(pid: string, name: string): string {
  try {
    return readFileSync(`/proc/${pid}/${name}`, "utf8");
  } catch (error) {
    if (
      error instanceof Error &&
      "code" in error &&
      ["ENOENT", "ESRCH", "EACCES"].includes(String(error.code))
    ) {
      return "";
    }
    throw error;
  }
}

function linesOf(text: string): ReadonlySet<string> {
  return new Set(text.split("\n").filter((line) => line !== ""));
}
