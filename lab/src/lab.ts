import type { IpFamily } from "./addresses.ts";
import type { ProbeRecord } from "./checks/no-packet-lost.ts";
import type {
  InvariantChecked,
  InvariantViolated,
  KernelChanged,
  LeaseChanged,
  ProbeFigures,
} from "./report/events.ts";

/**
 * A running lab: hosts in network namespaces, one flanneld and one pod in each, and a store. Every method takes and
 * returns plain data, so that the same interface is served in the supervisor and used over its socket.
 */
export interface Lab {
  /** Store, hosts, agents, pods, until the expected pod pairs reach each other. Once, and first. */
  up(request: Record<string, never>, call?: CallOptions): Promise<UpReport>;
  status(request: Record<string, never>, call?: CallOptions): Promise<LabStatus>;
  /** Adds a host and starts its agent; without a name the next free one. @throws LabError "wrong-state" if it exists */
  addHost(request: { readonly host?: string }, call?: CallOptions): Promise<HostStatus>;
  /**
   * Takes a host away at once, as if its power was cut. Its lease is ended in the store, as the store itself would do
   * a day later, unless `keepLease` is set.
   */
  removeHost(
    request: { readonly host: string; readonly keepLease?: boolean },
    call?: CallOptions,
  ): Promise<Done>;
  /** Starts the agent of a host where it is not running. @throws LabError "wrong-state" */
  startAgent(request: { readonly host: string }, call?: CallOptions): Promise<HostStatus>;
  /** Sends a signal and waits for the agent's end. @throws LabError "timed-out" when it lives on */
  killAgent(
    request: {
      readonly host: string;
      readonly signal: NodeJS.Signals;
      readonly timeoutMs?: number;
    },
    call?: CallOptions,
  ): Promise<HostStatus>;
  /** Sends a signal and waits for nothing: SIGSTOP, SIGCONT. @throws LabError "wrong-state" when it is not running */
  signalAgent(
    request: { readonly host: string; readonly signal: NodeJS.Signals },
    call?: CallOptions,
  ): Promise<Done>;
  /** Waits until the hosts (all of them by default) are ready. @throws LabError "timed-out" with the logs' tails */
  waitReady(
    request: { readonly hosts?: readonly string[]; readonly timeoutMs: number },
    call?: CallOptions,
  ): Promise<Done>;
  /**
   * Runs a command to its end. Aborting `call.signal` sends it SIGINT and still returns its result: that is how to end
   * a ping that runs until told.
   */
  exec(request: ExecRequest, call?: CallOptions): Promise<ExecResult>;
  /** Pings from every pod to every other pod. */
  ping(request: PingRequest, call?: CallOptions): Promise<PingMatrix>;
  /** Pings until every expected pair answers. @throws LabError "unreachable" naming the pairs that do not */
  waitReachable(request: { readonly timeoutMs: number }, call?: CallOptions): Promise<PingMatrix>;
  /**
   * Sends numbered packets from the pod of a host to the addresses of another's, until `stopProbe`; one probe at a time.
   * @throws LabError "wrong-state" where there is no pod to send from, or a probe that runs
   */
  startProbe(
    request: { readonly from: string; readonly to: string },
    call?: CallOptions,
  ): Promise<Done>;
  /**
   * Ends the probe once so many packets were sent in all, and tells what became of them, by address; nothing where none runs.
   * @throws LabError "command-failed" when they are not sent in time
   */
  stopProbe(
    request: { readonly packets: number },
    call?: CallOptions,
  ): Promise<readonly ProbeRecord[]>;
  /** Every key that starts with the prefix, in key order. */
  readStore(request: { readonly prefix: string }, call?: CallOptions): Promise<StoreContent>;
  writeStore(
    request: { readonly key: string; readonly value: string },
    call?: CallOptions,
  ): Promise<Done>;
  removeFromStore(request: { readonly key: string }, call?: CallOptions): Promise<Done>;
  /** Revokes the etcd lease on a key, which removes the key as its running out would. @throws LabError "wrong-state" */
  expireLease(request: { readonly key: string }, call?: CallOptions): Promise<Done>;
  /**
   * Injects a fault and waits until its effect was seen; a report without `saw` is of one that nobody saw.
   * @throws LabError "usage" for a bad request, "wrong-state" where there is nothing to hit
   */
  injectFault(request: FaultRequest, call?: CallOptions): Promise<FaultReport>;
  /** The faults that are on; with `look` each is looked at anew. */
  listFaults(
    request: { readonly look?: boolean },
    call?: CallOptions,
  ): Promise<readonly FaultReport[]>;
  /** Ends one fault, or all. @throws LabError "usage" for an id that is not on */
  healFaults(request: { readonly id?: string }, call?: CallOptions): Promise<readonly HealReport[]>;
  /** What kernels did since the effect of the last fault was seen. @throws LabError "wrong-state" when there was none */
  readRepairs(request: Record<string, never>, call?: CallOptions): Promise<RepairReport>;
  /** Waits until more than `after` things have happened, and tells those; aborting `call.signal` ends the waiting. */
  readNews(request: { readonly after: number }, call?: CallOptions): Promise<LabNews>;
  /**
   * Ends the watch that the lab was brought up with (LabOptions.watch), once what it waits for is decided, at most a few
   * seconds later: its last words are news. Without a watch nothing happens.
   */
  finishWatch(request: Record<string, never>, call?: CallOptions): Promise<Done>;
}

/** Every method of `Lab`, for the two ends of the socket. */
export const LAB_METHODS: readonly (keyof Lab)[] = [
  "up",
  "status",
  "addHost",
  "removeHost",
  "startAgent",
  "killAgent",
  "signalAgent",
  "waitReady",
  "exec",
  "ping",
  "waitReachable",
  "startProbe",
  "stopProbe",
  "readStore",
  "writeStore",
  "removeFromStore",
  "expireLease",
  "injectFault",
  "listFaults",
  "healFaults",
  "readRepairs",
  "readNews",
  "finishWatch",
];

export interface CallOptions {
  /** Ends the call early; see the method for what that means. */
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: Progress) => void;
}

/** A step of `up` that is done. */
export interface Progress {
  readonly step: string;
  readonly detail: string;
  readonly ms: number;
}

export type Done = Record<string, never>;

/** Where things are in the lab. */
export type HostState = "starting" | "ready" | "exited" | "stopped";

export interface HostStatus {
  readonly name: string;
  readonly segment: number;
  /** Addresses of the external interface, one per family. */
  readonly publicIps: readonly string[];
  /** From subnet.env; empty before the agent has written it. */
  readonly subnets: readonly string[];
  /**
   * starting: the agent runs and has not written subnet.env since it was started. ready: it has, and the pod is there.
   * exited: the agent ended by itself. stopped: the lab ended it.
   */
  readonly state: HostState;
  /** Why the state is exited or stopped, e.g. `code 1` or `SIGKILL`. */
  readonly exit?: string;
  /** Why the host has no pod although its agent has said what the pod is to be. */
  readonly trouble?: string;
  /** All process ids are those of the lab's own PID namespace. */
  readonly agentPid?: number;
  /** Since the agent was started. */
  readonly uptimeMs?: number;
  readonly podIps: readonly string[];
  readonly mtu?: number;
  /** The process that keeps the host's namespaces. */
  readonly anchorPid: number;
  /** The process that keeps the pod's namespaces. */
  readonly podAnchorPid?: number;
  /** Subnets of other hosts, and for how many of them the host's kernel has a route. */
  readonly peers: { readonly routed: number; readonly known: number };
}

export interface LabStatus {
  readonly name: string;
  readonly hosts: readonly HostStatus[];
  readonly store: {
    /** One URL a member, with commas between. */
    readonly endpoint: string;
    readonly members: readonly { readonly name: string; readonly anchorPid: number }[];
    readonly version: string;
  };
}

export interface UpReport {
  readonly status: LabStatus;
  readonly steps: readonly Progress[];
  readonly ping: PingMatrix;
  readonly ms: number;
}

export interface ExecRequest {
  /** A host's name, or a member's of the store: `etcd`, `etcd2`, … */
  readonly host: string;
  readonly place?: "host" | "pod";
  readonly argv: readonly string[];
  readonly input?: string;
  readonly timeoutMs?: number;
}

export interface ExecResult {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface PingRequest {
  /** Packets per pair, default 1. */
  readonly count?: number;
  /** Default: all families of the lab. */
  readonly families?: readonly IpFamily[];
}

export interface PingPair {
  readonly from: string;
  readonly to: string;
  readonly family: IpFamily;
  readonly sent: number;
  readonly received: number;
  /** Average round trip; undefined when nothing came back. */
  readonly averageMs?: number;
  /** Whether the lab's topology lets this pair reach each other (LabOptions.expect). */
  readonly expected: boolean;
}

export interface PingMatrix {
  readonly hosts: readonly string[];
  readonly pairs: readonly PingPair[];
  /** Set when not every pair was asked. */
  readonly isSample?: boolean;
}

export interface StoreEntry {
  readonly key: string;
  readonly value: string;
  readonly modRevision: number;
  readonly createRevision: number;
  /** The id of the attached etcd lease; absent when the key never runs out. */
  readonly leaseId?: string;
}

/** A fault that is asked for. */
export interface FaultRequest {
  readonly fault: string;
  readonly host?: string;
  readonly parameters: Readonly<Record<string, string>>;
  /**
   * Everything but the harm: what is to be hit is found, nothing is done to it, and the report has a `saw` only if the
   * fault's verification sees an effect where there is none.
   */
  readonly pretend?: boolean;
  /** After this long it is healed without being told. */
  readonly forMs?: number;
}

/** A fault that is on. */
export interface FaultReport {
  readonly id: string;
  /** `delete-route n1 peer=n2` */
  readonly text: string;
  readonly fault: string;
  readonly host?: string;
  /** Who saw its effect, in words; absent when nobody did. */
  readonly saw?: string;
  /** Until it is healed by itself. */
  readonly remainingMs?: number;
}

export interface HealReport {
  readonly id: string;
  readonly text: string;
  /** Who saw that it is over; absent when it is still on, for the reason in `trouble`. */
  readonly saw?: string;
  readonly trouble?: string;
}

export interface RepairReport {
  /** The last fault whose effect was seen. */
  readonly fault: string;
  /** Since its effect. */
  readonly elapsedMs: number;
  /** When kernels changed an object that lasts, since the effect, as their own events say; read within a few milliseconds. */
  readonly changesMs: readonly number[];
  /** Whether no event was missed. */
  readonly complete: boolean;
}

/** What happens in a lab without being asked for, or later than the call that began it. */
export type LabEvent =
  | { readonly type: "agent-started"; readonly host: string; readonly pid: number }
  | {
      readonly type: "agent-ended";
      readonly host: string;
      readonly code?: number;
      readonly signal?: string;
    }
  | {
      readonly type: "fault-injected";
      readonly fault: string;
      readonly name: string;
      /** What it hits, in words. */
      readonly target: string;
    }
  /** A fault whose time was over: `saw` is absent when nobody saw its end. */
  | { readonly type: "fault-expired"; readonly fault: string; readonly saw?: string }
  | WatchEvent;

/** What the witnesses of a watched run see and say. */
export type WatchEvent =
  | InvariantViolated
  | InvariantChecked
  | ProbeFigures
  | LeaseChanged
  | KernelChanged;

export interface LabNews {
  readonly events: readonly { readonly agoMs: number; readonly event: LabEvent }[];
  /** How many things have happened so far, these included: `after` of the next call. */
  readonly count: number;
}

export interface StoreContent {
  readonly revision: number;
  readonly entries: readonly StoreEntry[];
}

/** The pairs that were to answer and lost a packet or more. */
export function failedPairs(matrix: PingMatrix): PingPair[] {
  return matrix.pairs.filter((pair) => pair.expected && pair.received < pair.sent);
}
