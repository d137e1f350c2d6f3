import type { HostStatus, LabStatus } from "../lab.ts";
import { formatTable } from "../table.ts";

/** A node as `--json` prints it. */
export interface NodeDocument {
  readonly name: string;
  readonly segment: number;
  readonly publicIp: string;
  readonly publicIps: readonly string[];
  readonly subnet: string | null;
  readonly subnets: readonly string[];
  readonly podIps: readonly string[];
  readonly mtu: number | null;
  readonly state: string;
  readonly exit: string | null;
  readonly trouble: string | null;
  /** Of the agent, as the caller sees it. */
  readonly pid: number | null;
  readonly uptimeSeconds: number | null;
  readonly peers: { readonly routed: number; readonly known: number };
}

/** `outer` gives the ids that the caller sees for the lab's process ids. */
export function nodeDocument(host: HostStatus, outer: ReadonlyMap<number, number>): NodeDocument {
  return {
    name: host.name,
    segment: host.segment,
    publicIp: host.publicIps[0] ?? "",
    publicIps: host.publicIps,
    subnet: host.subnets[0] ?? null,
    subnets: host.subnets,
    podIps: host.podIps,
    mtu: host.mtu ?? null,
    state: host.state,
    exit: host.exit ?? null,
    trouble: host.trouble ?? null,
    pid: host.agentPid === undefined ? null : (outer.get(host.agentPid) ?? null),
    uptimeSeconds: host.uptimeMs === undefined ? null : Math.round(host.uptimeMs / 100) / 10,
    peers: host.peers,
  };
}

/** The table at the end of `up` and of `ps`. */
export function formatNodes(status: LabStatus, outer: ReadonlyMap<number, number>): string {
  const rows = status.hosts.map((host) => {
    const node = nodeDocument(host, outer);
    return [
      node.name,
      String(node.segment),
      node.publicIps.join(" "),
      node.subnets.join(" ") || "-",
      `${node.peers.routed}/${node.peers.known}`,
      formatState(node),
      String(node.pid ?? "-"),
      node.uptimeSeconds === null ? "-" : formatDuration(node.uptimeSeconds),
    ];
  });
  const heading = ["NODE", "SEGMENT", "PUBLIC IP", "SUBNET", "ROUTES", "STATE", "PID", "UP"];
  return formatTable([heading, ...rows]);
}

function formatState({ state, exit, trouble }: NodeDocument): string {
  const why = exit ?? trouble;
  return why === null ? state : `${state} (${why})`;
}

/** e.g. `4.2 s`, `3m 07s`, `2h 05m` */
export function formatDuration(seconds: number): string {
  if (seconds < 60) {
    return `${seconds.toFixed(1)} s`;
  }
  const whole = Math.floor(seconds);
  const minutes = Math.floor(whole / 60);
  const padded = (value: number): string => String(value).padStart(2, "0");
  return minutes < 60
    ? `${minutes}m ${padded(whole % 60)}s`
    : `${Math.floor(minutes / 60)}h ${padded(minutes % 60)}m`;
}
