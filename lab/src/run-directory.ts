import { join } from "node:path";
import { listDirectory, readText } from "./system/files.ts";

/**
 * Everything a lab writes is here:
 *
 *     lab.json  supervisor.sock  supervisor.log  events.jsonl  etcd/etcd/{data,log}  hosts/n1/{run/,state/,agent.log}
 *     docker/{api/,data/,log}  where hosts are containers
 */
export interface RunFiles {
  readonly state: string;
  readonly socketName: string;
  readonly supervisorLog: string;
  readonly events: string;
  readonly dockerDirectory: string;
}

export interface MemberFiles {
  /** The member's /run. */
  readonly run: string;
  readonly data: string;
  /** A copy of `data`, where a fault keeps one. */
  readonly backup: string;
  readonly log: string;
}

export interface HostFiles {
  /** The host's /run. */
  readonly run: string;
  /** The host's /var/lib/flannel, which outlives its reboots. */
  readonly state: string;
  readonly subnetFile: string;
  readonly agentLog: string;
}

/** The names of all of it: a directory with anything else in it is not only a lab's. */
export const RUN_DIRECTORY_ENTRIES: readonly string[] = [
  "lab.json",
  "lab.json.new",
  "supervisor.sock",
  "supervisor.log",
  "events.jsonl",
  "etcd",
  "hosts",
  "docker",
];

export function runFiles(runDirectory: string): RunFiles {
  return {
    state: join(runDirectory, "lab.json"),
    socketName: "supervisor.sock",
    supervisorLog: join(runDirectory, "supervisor.log"),
    events: join(runDirectory, "events.jsonl"),
    dockerDirectory: join(runDirectory, "docker"),
  };
}

/** Of a member of the store, by its name. */
export function memberFiles(runDirectory: string, name: string): MemberFiles {
  const directory = join(runDirectory, "etcd", name);
  return {
    run: join(directory, "run"),
    data: join(directory, "data"),
    backup: join(directory, "backup"),
    log: join(directory, "log"),
  };
}

/** The names of the members of the store that ever were. */
export function memberNames(runDirectory: string): readonly string[] {
  return listDirectory(join(runDirectory, "etcd"));
}

/** What the agents of all hosts wrote, also of hosts that are gone. */
export function readAgentLogs(
  runDirectory: string,
): readonly { readonly host: string; readonly text: string }[] {
  return listDirectory(join(runDirectory, "hosts"))
    .toSorted((a, b) => a.localeCompare(b, "en", { numeric: true }))
    .map((host) => ({ host, text: readText(hostFiles(runDirectory, host).agentLog) ?? "" }));
}

export function hostFiles(runDirectory: string, host: string): HostFiles {
  const directory = join(runDirectory, "hosts", host);
  return {
    run: join(directory, "run"),
    state: join(directory, "state"),
    subnetFile: join(directory, "run", "flannel", "subnet.env"),
    agentLog: join(directory, "agent.log"),
  };
}
