import { join } from "node:path";
import { LabError } from "../../errors.ts";
import { type Clock, deadlineIn, poll } from "../../system/clock.ts";
import { listDirectories, removeEmptyDirectory } from "../../system/files.ts";

/** Where Linux has its control groups: all at once, or a hierarchy of each controller. Source: cgroups(7). */
const CGROUPS = "/sys/fs/cgroup";
const GONE_TIMEOUT_MS = 10_000;
const GONE_POLL_MS = 5;

/** The control group above those of a lab's containers: nothing else that a lab makes outlives its namespaces. */
export function cgroupOf(labId: string): string {
  return `/twill-lab-${labId}`;
}

/**
 * Removes the control groups of a lab that ended.
 * @throws LabError "lab-broke" when a process is still in one
 */
export async function removeCgroups(labId: string, clock: Clock): Promise<void> {
  const name = cgroupOf(labId).slice(1);
  const found = (): string[] =>
    [CGROUPS, ...listDirectories(CGROUPS)].flatMap((hierarchy) =>
      listDirectories(hierarchy).filter((path) => path === join(hierarchy, name)),
    );
  const deadline = deadlineIn(clock, GONE_TIMEOUT_MS);
  const gone = await poll(clock, { everyMs: GONE_POLL_MS, deadline }, () => {
    found().forEach(removeDirectories);
    return found().length === 0 ? true : undefined;
  });
  if (gone !== true) {
    throw new LabError("lab-broke", `cannot remove ${found().join(", ")}: a process is in it`);
  }
}

/** A control group's files go with it, and cannot be removed before. */
function removeDirectories(path: string): void {
  listDirectories(path).forEach(removeDirectories);
  removeEmptyDirectory(path);
}
