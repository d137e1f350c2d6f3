import { listDirectory, readLink, readText } from "./files.ts";

/** A process that cannot be mistaken for a later one with the same id. */
export interface ProcessIdentity {
  readonly pid: number;
  /** Clock ticks after boot. Source: proc_pid_stat(5) field 22. */
  readonly startTime: string;
  readonly bootId: string;
}

interface ProcessStat {
  readonly state: string;
  readonly parent: number;
  readonly startTime: string;
}

const ZOMBIE_STATES = ["Z", "X"];

/** Undefined when there is no such process. */
export function identifyProcess(pid: number): ProcessIdentity | undefined {
  const stat = readStat(pid);
  return stat === undefined ? undefined : { pid, startTime: stat.startTime, bootId: bootId() };
}

/** Whether the process still runs; one that ended and waits to be collected does not. */
export function isSameProcess({ pid, startTime, bootId: boot }: ProcessIdentity): boolean {
  const stat = readStat(pid);
  return (
    stat !== undefined &&
    stat.startTime === startTime &&
    !ZOMBIE_STATES.includes(stat.state) &&
    boot === bootId()
  );
}

/** The letter of a process's state, undefined when there is no such process. Source: proc_pid_stat(5) field 3. */
export function processState(pid: number): string | undefined {
  return readStat(pid)?.state;
}

export function childrenOf(parent: number): number[] {
  return processIds().filter((pid) => readStat(pid)?.parent === parent);
}

/**
 * The ids that we see for processes of a PID namespace, by the ids they have inside.
 * Source: proc_pid_status(5) NSpid.
 */
export function outerProcessIds(namespaceInit: number): Map<number, number> {
  const namespace = readLink(`/proc/${namespaceInit}/ns/pid`);
  const outer = new Map<number, number>();
  for (const pid of processIds()) {
    if (namespace === undefined || readLink(`/proc/${pid}/ns/pid`) !== namespace) {
      continue;
    }
    const ids = /^NSpid:\s+(.*)$/m.exec(readText(`/proc/${pid}/status`) ?? "")?.[1]?.split(/\s+/);
    const inner = Number(ids?.at(-1));
    if (Number.isInteger(inner)) {
      outer.set(inner, pid);
    }
  }
  return outer;
}

function processIds(): number[] {
  return listDirectory("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number);
}

function readStat(pid: number): ProcessStat | undefined {
  const text = readText(`/proc/${pid}/stat`);
  // The command, in parentheses, may hold anything: the fields start after the last one.
  const fields = text?.slice(text.lastIndexOf(")") + 2).split(" ");
  const [state, parent] = fields ?? [];
  const startTime = fields?.[19];
  return state === undefined || startTime === undefined
    ? undefined
    : { state, parent: Number(parent), startTime };
}

function bootId(): string {
  return (readText("/proc/sys/kernel/random/boot_id") ?? "").trim();
}
