import { join } from "node:path";
import { LabError } from "../../errors.ts";
import { lastLines } from "../../log-text.ts";
import { type Clock, type Deadline, poll } from "../../system/clock.ts";
import { makeDirectory, readText } from "../../system/files.ts";
import { startLogged } from "../../system/processes.ts";
import { Engine } from "./engine.ts";

const SOCKET = "docker.sock";
const START_POLL_MS = 10;
const LOG_TAIL_LINES = 10;

/**
 * A Docker daemon that touches nothing but its directory: a network namespace of its own, without a bridge or a firewall rule, and
 * what it and its containerd write to /run, /etc and /opt, and to temporary files, is gone with its mount namespace. It listens on api/docker.sock.
 * Arguments: the daemon's directory, its control group, and the directory that containers may write to, which may be in /etc or /opt.
 */
const DAEMON_SCRIPT = `set -e
mount -t tmpfs tmpfs /run
mkdir /run/api /run/shared /run/tmp
export TMPDIR=/run/tmp
mount --bind "$1/api" /run/api
mount --bind "$3" /run/shared
for directory in /etc /opt; do
  [ -d "$directory" ] || continue
  mkdir -p "/run/over$directory/upper" "/run/over$directory/work"
  mount -t overlay -o "lowerdir=$directory,upperdir=/run/over$directory/upper,workdir=/run/over$directory/work" overlay "$directory"
done
mount --bind /run/shared "$3"
echo '{}' > /run/daemon.json
exec dockerd --config-file /run/daemon.json --host unix:///run/api/${SOCKET} \\
  --data-root "$1/data" --exec-root /run/docker --pidfile /run/docker.pid \\
  --exec-opt native.cgroupdriver=cgroupfs --cgroup-parent "$2" \\
  --bridge none --iptables=false --ip6tables=false --ip-forward=false --ip-masq=false --userland-proxy=false \\
  --log-level warn
`;

const NAMESPACES = ["--net", "--mount", "--propagation", "private"];
const PID_NAMESPACE = ["--pid", "--fork", "--kill-child", "--mount-proc"];

interface DaemonPlan {
  /** The daemon's own. */
  readonly directory: string;
  /** Of which containers see directories that they may write to. */
  readonly shared: string;
  readonly cgroup: string;
  /** For a daemon that is not in a lab, whose PID namespace would end it with all that it started. */
  readonly ownPidNamespace?: boolean;
  readonly clock: Clock;
  readonly deadline: Deadline;
  readonly signal?: AbortSignal;
}

/** A daemon that answers. */
export interface Daemon {
  readonly engine: Engine;
  /** Ends it at once; what it started goes on, unless it had a PID namespace of its own. */
  readonly end: () => Promise<void>;
}

/**
 * Starts a daemon, as a child of this process, and waits until it answers.
 * @throws LabError "lab-broke" with the end of its log
 */
export async function startDaemon({
  directory,
  shared,
  cgroup,
  ownPidNamespace,
  clock,
  ...waiting
}: DaemonPlan): Promise<Daemon> {
  makeDirectory(join(directory, "api"));
  makeDirectory(join(directory, "data"));
  const logFile = join(directory, "log");
  const namespaces = ["unshare", ...NAMESPACES, ...(ownPidNamespace === true ? PID_NAMESPACE : [])];
  const script = ["sh", "-c", DAEMON_SCRIPT, "docker", directory, cgroup, shared];
  const daemon = await startLogged([...namespaces, ...script], { logFile });
  let ended: string | undefined;
  void daemon.exited.then(({ code, signal: by }) => {
    ended = by ?? `code ${code}`;
  });
  const engine = new Engine(join(directory, "api"), SOCKET);
  const answered = await poll(clock, { everyMs: START_POLL_MS, ...waiting }, async () =>
    ended === undefined ? (await engine.answers()) || undefined : false,
  );
  const end = async (): Promise<void> => {
    engine.close();
    daemon.kill("SIGKILL");
    await daemon.exited;
  };
  if (answered === true) {
    return { engine, end };
  }
  await end();
  const evidence = lastLines(readText(logFile) ?? "", LOG_TAIL_LINES);
  const what = answered === undefined ? "does not answer in time" : `ended with ${ended}`;
  throw new LabError("lab-broke", `Docker's daemon ${what}`, { evidence });
}
