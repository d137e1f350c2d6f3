import { constants } from "node:os";
import { join } from "node:path";
import { LabError } from "../../errors.ts";
import type { HostFiles } from "../../run-directory.ts";
import { runFiles } from "../../run-directory.ts";
import { systemClock } from "../../system/clock.ts";
import { COMPILE_CACHE } from "../../system/compile-cache.ts";
import { appendText, makeDirectory, removeTree } from "../../system/files.ts";
import { isRoot } from "../../system/machine.ts";
import {
  SERVICE_ENVIRONMENT,
  type ExitStatus,
  runChecked,
  type RunningProcess,
  signalProcess,
} from "../../system/processes.ts";
import type { HostPlan } from "../../topology.ts";
import { enterNamespaces } from "../anchor.ts";
import type { DriverDeps, HostDriver, HostDriverDefinition, HostPlace } from "../host-driver.ts";
import { endpointBatch, STATE_DIRECTORY, SYSCTL_SCRIPT } from "../link-scripts.ts";
import { cgroupOf, removeCgroups } from "./cgroups.ts";
import { startDaemon } from "./daemon.ts";
import type { Engine, StartedExec } from "./engine.ts";
import { writeImage } from "./image.ts";
import { examineContainers } from "./examine.ts";
import { HOST_IMAGE, hostContainer } from "./host-container.ts";
import { mountsOf, usesRepository } from "./mounts.ts";

/** Where a host's agent writes what its host's `agent.log` says. */
const LOG_IN_CONTAINER = "/var/log/flanneld.log";
const WITH_LOG = 'exec >>"$0" 2>&1; exec "$@"';
/** Docker takes IPv6 from a container without a network of Docker's. */
const WITH_IPV6 = `for file in /proc/sys/net/ipv6/conf/*/disable_ipv6; do
  [ ! -e "$file" ] || echo 0 > "$file"
done`;
const SIGNAL_EXIT_BASE = 128;

/**
 * Hosts that are Docker containers:
 *
 *     supervisor ─► dockerd ─► containerd ─► n1 (sleep), flanneld of n1
 *         └─ links, pods: as with namespaces, in the containers' network namespaces
 *
 * The daemon is the lab's own, below its supervisor: it ends with the lab, whatever ends it, and the machine's Docker, its
 * images and its firewall rules are not touched. A container shares the lab's PID namespace as every other host does.
 */
export const container: HostDriverDefinition = {
  requirements: [{ name: "dockerd", what: { program: "dockerd" }, packages: ["docker.io"] }],
  refusal: () => (isRoot() ? undefined : "hosts that are containers need root: so does dockerd"),
  create: (deps) => new ContainerDriver(deps),
  sweep: (labId) => removeCgroups(labId, systemClock),
  examine: () => examineContainers(),
};

class ContainerDriver implements HostDriver {
  readonly #deps: DriverDeps;
  #engine: Engine | undefined;

  constructor(deps: DriverDeps) {
    this.#deps = deps;
  }

  async open(waiting: Parameters<HostDriver["open"]>[0]): Promise<string> {
    const { labId, runDirectory, clock } = this.#deps;
    if (/^(\/var)?\/run\//u.test(runDirectory)) {
      const remedy = "put the labs elsewhere with TWILL_LAB_DIR";
      throw new LabError("requirement-missing", `Docker cannot see ${runDirectory}: ${remedy}`);
    }
    const { dockerDirectory } = runFiles(runDirectory);
    makeDirectory(dockerDirectory);
    makeDirectory(COMPILE_CACHE.NODE_COMPILE_CACHE);
    const tarFile = join(dockerDirectory, "image.tar");
    const [{ engine }] = await Promise.all([
      startDaemon({
        directory: dockerDirectory,
        shared: runDirectory,
        cgroup: cgroupOf(labId),
        clock,
        ...waiting,
      }),
      writeImage(tarFile),
    ]);
    if (usesRepository(this.#deps.options)) {
      // Compiled when it is first used, which it could not be in a container: the repository is mounted to be read.
      const { RouteSocket } = await import("linux");
      RouteSocket.open().close();
    }
    await engine.importImage(tarFile, HOST_IMAGE);
    removeTree(tarFile);
    await engine.listen();
    this.#engine = engine;
    return `containers of Docker ${await engine.version()}`;
  }

  async makePlace(plan: HostPlan, files: HostFiles): Promise<HostPlace> {
    const engine = this.#engine;
    if (engine === undefined) {
      throw new LabError("wrong-state", "the driver is not open");
    }
    appendText(files.agentLog, "");
    const { id, pid } = await engine.run(
      hostContainer(plan.name, [
        { Type: "bind", Source: files.run, Target: "/run" },
        { Type: "bind", Source: files.state, Target: STATE_DIRECTORY },
        { Type: "bind", Source: files.agentLog, Target: LOG_IN_CONTAINER },
        ...mountsOf(this.#deps.options),
      ]),
    );
    try {
      // Without the container's own programs: it may hold back capabilities that these need.
      const inNetwork = ["nsenter", "--target", String(pid), "--net", "--"];
      await runChecked([...inNetwork, "sh", "-ec", `${WITH_IPV6}${SYSCTL_SCRIPT}`]);
      await runChecked([...inNetwork, "ip", "-batch", "-"], { input: endpointBatch(plan) });
    } catch (error) {
      await engine.remove(id);
      throw error;
    }
    return {
      pid,
      enter: (argv) => enterNamespaces(pid, argv),
      start: async (argv, environment) =>
        processOf(
          await engine.exec(
            id,
            ["sh", "-c", WITH_LOG, LOG_IN_CONTAINER, ...argv],
            Object.entries({ ...SERVICE_ENVIRONMENT, ...environment }).map((pair) =>
              pair.join("="),
            ),
          ),
        ),
      close: () => engine.remove(id),
    };
  }
}

/** Docker makes a session, and so a process group, of what it runs. */
function processOf({ pid, exited }: StartedExec): RunningProcess {
  const kill = (signal: NodeJS.Signals): void => {
    signalProcess(-pid, signal);
  };
  return {
    pid,
    kill,
    exited: exited.then((exitCode): ExitStatus => {
      if (exitCode === undefined) {
        // Nobody would notice its end any more.
        kill("SIGKILL");
      }
      return statusOf(exitCode ?? SIGNAL_EXIT_BASE + constants.signals.SIGKILL);
    }),
  };
}

/** Docker has it as a shell has it: 128 and the signal's number. */
function statusOf(exitCode: number): ExitStatus {
  const [signal] =
    Object.entries(constants.signals).find(
      ([, number]) => SIGNAL_EXIT_BASE + number === exitCode,
    ) ?? [];
  return signal === undefined
    ? { code: exitCode, signal: undefined }
    : { code: undefined, signal: signal as NodeJS.Signals };
}
