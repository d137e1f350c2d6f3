import { basename, join } from "node:path";
import { deadlineIn, systemClock } from "../../system/clock.ts";
import { makeSiblingDirectory, removeTree } from "../../system/files.ts";
import { temporaryDirectory } from "../../system/machine.ts";
import { cgroupOf, removeCgroups } from "./cgroups.ts";
import { startDaemon } from "./daemon.ts";
import { HOST_IMAGE, hostContainer } from "./host-container.ts";
import { writeImage } from "./image.ts";

const TIMEOUT_MS = 30_000;

/**
 * Starts a daemon as a lab does, makes the image and runs one container of it; nothing is left of it. Says what Docker it is.
 * @throws LabError with what does not work
 */
export async function examineContainers(): Promise<string> {
  const directory = makeSiblingDirectory(join(temporaryDirectory(), "twill-doctor"));
  const id = basename(directory).slice(-6);
  try {
    const { engine, end } = await startDaemon({
      directory,
      shared: directory,
      cgroup: cgroupOf(id),
      ownPidNamespace: true,
      clock: systemClock,
      deadline: deadlineIn(systemClock, TIMEOUT_MS),
    });
    try {
      const tarFile = join(directory, "image.tar");
      await writeImage(tarFile);
      await engine.importImage(tarFile, HOST_IMAGE);
      await engine.run(hostContainer("probe", []));
      return `${await engine.version()}, ${await engine.storageDriver()}, for --driver container`;
    } finally {
      await end();
    }
  } finally {
    await removeCgroups(id, systemClock);
    removeTree(directory);
  }
}
