import { writeFileSync } from "node:fs";
import { setPriority } from "node:os";

/** A niceness: -20 comes first, 19 last. Source: sched(7). */
const FIRST = -15;
const ORDINARY = 0;

/**
 * Has the kernel run a process, and what it starts in its own session, before others that want the same core. On a kernel that shares its
 * cores among sessions the session's niceness counts, otherwise that of each thread. Nothing happens where we may not. Source: sched(7),
 * The autogroup feature.
 */
export function runFirst(pid: number): void {
  whereAllowed(() => {
    setPriority(pid, FIRST);
  });
  setSessionNiceness(pid, FIRST);
}

/** Sets what the session of a process has among sessions. Nothing happens where we may not, or where there is nothing to set. */
export function setSessionNiceness(pid: number, niceness: number): void {
  whereAllowed(() => {
    writeFileSync(`/proc/${pid}/autogroup`, String(niceness));
  });
}

/** Undoes for a process that was started as the leader of a new session what it has from the one that started it. */
export function runAsOthers(pid: number): void {
  whereAllowed(() => {
    setPriority(pid, ORDINARY);
  });
}

/** EINVAL is said of a process that nobody made the member of a new session since the machine started, such as the first one. */
const NOT_ALLOWED = new Set(["EACCES", "EPERM", "ENOENT", "ESRCH", "EAGAIN", "EINVAL"]);

function whereAllowed(act: () => void): void {
  try {
    act();
  } catch (error) {
    const { code = "", info } = error as { code?: string; info?: { code?: string } };
    if (!NOT_ALLOWED.has(info?.code ?? code)) {
      throw error;
    }
  }
}
