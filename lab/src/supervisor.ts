import { NetnsLab } from "./netns-lab.ts";
import { runFiles } from "./run-directory.ts";
import { serveLab } from "./serve.ts";
import { readState } from "./state.ts";
import { systemClock } from "./system/clock.ts";
import { keepCompiled } from "./system/compile-cache.ts";
import { appendText } from "./system/files.ts";
import { ownProcessId } from "./system/machine.ts";
import { runFirst } from "./system/priority.ts";
import { keepHeapSmall } from "./system/small-heap.ts";
import { listen } from "./system/socket.ts";
import { announceReady, endWithCaller } from "./system/supervised.ts";
import { LabError } from "./errors.ts";

/**
 * The process that holds a lab. It runs inside the lab's own namespaces, and everything of the lab is below it: when it
 * ends, for whatever reason, the kernel ends the PID namespace and with it every process, link and mount.
 *
 *     lab up ─► unshare ─► sh (PID 1: collects orphans) ─► this ─► etcd, hosts, agents, pods
 */
async function main(runDirectory: string): Promise<void> {
  keepHeapSmall();
  // It watches what it loads the machine with: it must be there in time to see it.
  runFirst(ownProcessId());
  const files = runFiles(runDirectory);
  const state = readState(runDirectory);
  if (state === undefined) {
    throw new LabError("lab-broke", `no ${files.state}`);
  }
  const lab = new NetnsLab({
    id: state.id,
    options: state.options,
    runDirectory,
    clock: systemClock,
    record: (event, data) => {
      appendText(
        files.events,
        `${JSON.stringify({ at: systemClock.isoTime(), event, ...data })}\n`,
      );
    },
  });
  await listen(runDirectory, files.socketName, (connection) => {
    serveLab(lab, connection);
  });
  // `lab up` holds our stdin open until the lab is up: should it die before, a half-made lab must not live on.
  endWithCaller();
  announceReady();
  keepCompiled();
}

// Not awaited here: a bundle of CommonJS cannot.
void main(process.argv[2] ?? "");
