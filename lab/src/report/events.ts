import type { IpFamily } from "../addresses.ts";

/**
 * The event log of one run: what one scenario did in one variant, one JSON value a line, only ever appended to. Everything
 * that is said about a run (terminal, JUnit, page, replay, comparison, the verdict itself) is read from here and nowhere else.
 *
 * Times named `at` are milliseconds of the lab's monotonic clock since the run began; `wallClock` of the first event is the
 * only time of day. The first line is `run-started`; the last of a run that came to its end is `run-ended`.
 */
export const EVENT_LOG_VERSION = 1;

export type Verdict = "pass" | "fail" | "unknown";

export type RunEvent =
  | RunStarted
  | TopologySeen
  | StepBegan
  | StepEnded
  | ExpectationEvaluated
  | FaultInjected
  | FaultVerified
  | FaultHealed
  | FaultHealVerified
  | FaultNotSeen
  | InvariantViolated
  | InvariantChecked
  | ProbeFigures
  | LeaseChanged
  | KernelChanged
  | AgentStarted
  | AgentEnded
  | HostLog
  | MachineShort
  | RunBroke
  | RunEnded;

interface Timed {
  readonly at: number;
}

export interface RunStarted extends Timed {
  readonly type: "run-started";
  readonly version: number;
  /** ISO 8601. */
  readonly wallClock: string;
  readonly run: string;
  /** Absent where the scenario was to be run only once. */
  readonly repetition?: Repetition;
  /** What `--driver` said that hosts are; absent where it was not given: namespaces. */
  readonly driver?: string;
  /** Of what the lab itself leaves to chance; absent in logs of before runs had one. */
  readonly seed?: number;
  /** The command line that makes the same run again; absent where none made this one. */
  readonly again?: string;
  /** Ids of the invariants that witnesses watch while the run goes on; empty: its expectations alone speak. */
  readonly watched: readonly string[];
  readonly scenario: ScenarioFacts;
  readonly variant: VariantFacts;
  readonly agents: readonly AgentFacts[];
  readonly machine: MachineFacts;
}

/** One of several runs of the same scenario and variant. */
export interface Repetition {
  /** From 1. */
  readonly number: number;
  readonly of: number;
}

export interface ScenarioFacts {
  readonly name: string;
  readonly why: string;
  /** Ids of the invariants it stands for: each that is watched must have been looked at (invariant F6). */
  readonly invariants: readonly string[];
  readonly steps: readonly StepFacts[];
}

export interface StepFacts {
  readonly kind: "expect" | "fault" | "act" | "probe";
  readonly text: string;
}

export interface VariantFacts {
  readonly backend: string;
  readonly family: string;
  /** The whole variant in words. */
  readonly text: string;
}

export interface AgentFacts {
  readonly host: string;
  readonly command: string;
  /** What it says of itself; absent when it says nothing. */
  readonly version?: string;
}

export interface MachineFacts {
  readonly kernel: string;
  readonly cores: number;
  readonly memoryMb: number;
  readonly node: string;
}

export interface TopologySeen extends Timed {
  readonly type: "topology";
  readonly segments: readonly { readonly name: string; readonly addresses: readonly string[] }[];
  readonly hosts: readonly {
    readonly name: string;
    readonly segment: string;
    readonly publicIps: readonly string[];
  }[];
  readonly store: {
    readonly name: string;
    readonly segment: string;
    /** One URL a member, with commas between. */
    readonly endpoint: string;
  };
}

/** Steps are numbered from 1, in the order of `ScenarioFacts.steps`. */
interface OfStep extends Timed {
  readonly step: number;
}

export interface StepBegan extends OfStep {
  readonly type: "step-began";
}

export interface StepEnded extends OfStep {
  readonly type: "step-ended";
  readonly verdict: Verdict;
  readonly ms: number;
  readonly details: readonly string[];
}

export interface ExpectationEvaluated extends OfStep {
  readonly type: "expectation-evaluated";
  readonly expectation: string;
  readonly verdict: Verdict;
  /** How long it took to become true, or how long it was waited for. */
  readonly ms: number;
  readonly withinMs: number;
}

/** `fault` tells one injection from another of the same name. */
interface OfFault extends Timed {
  readonly fault: string;
}

export interface FaultInjected extends OfFault {
  readonly type: "fault-injected";
  readonly name: string;
  /** What it hits, in words. */
  readonly target: string;
}

export interface FaultVerified extends OfFault {
  readonly type: "fault-verified";
  readonly saw: string;
}

export interface FaultHealed extends OfFault {
  readonly type: "fault-healed";
}

export interface FaultHealVerified extends OfFault {
  readonly type: "fault-heal-verified";
  readonly saw: string;
}

/** Nobody saw the fault, or its end, in its time: the run says nothing (invariant F2). */
export interface FaultNotSeen extends OfFault {
  readonly type: "fault-not-seen";
  readonly part: "injection" | "heal";
  readonly detail: string;
}

export interface InvariantViolated extends Timed {
  readonly type: "invariant-violated";
  /** When it was violated, which may be before it was certain and the evidence was frozen. */
  readonly violatedAt: number;
  readonly id: string;
  readonly host?: string;
  readonly detail: string;
  /** Files below the run's folder. */
  readonly evidence: readonly string[];
}

/** What a check says at the end of the run. */
export interface InvariantChecked extends Timed {
  readonly type: "invariant-checked";
  readonly id: string;
  readonly verdict: Verdict;
  /** How many times it could look. */
  readonly looked: number;
  /** Its witness missed something: not even an invariant that the scenario does not declare may pass then. */
  readonly blind: boolean;
  readonly detail: string;
}

export interface ProbeFigures extends Timed {
  readonly type: "probe-figures";
  readonly from: string;
  readonly to: string;
  readonly family: IpFamily;
  readonly sent: number;
  readonly received: number;
  /** Fewer sent packets than this say nothing (invariant F3). */
  readonly floor: number;
  readonly duplicates: number;
  readonly reordered: number;
  readonly misdelivered: number;
  readonly gaps: readonly Gap[];
}

export interface Gap {
  readonly beginMs: number;
  readonly lengthMs: number;
  readonly lost: number;
}

export interface LeaseChanged extends Timed {
  readonly type: "lease-changed";
  readonly kind: "put" | "delete";
  readonly key: string;
  readonly revision: number;
  /** Absent for a deletion, and for a value that is no lease. */
  readonly owner?: string;
  /** The etcd lease's id; absent for a reservation. */
  readonly leaseId?: string;
}

export interface KernelChanged extends Timed {
  readonly type: "kernel-changed";
  readonly host: string;
  readonly kind: "put" | "remove";
  /** In the words of ip(8) and bridge(8). */
  readonly object: string;
}

export interface AgentStarted extends Timed {
  readonly type: "agent-started";
  readonly host: string;
  readonly pid: number;
}

export interface AgentEnded extends Timed {
  readonly type: "agent-ended";
  readonly host: string;
  /** Absent when a signal ended it. */
  readonly code?: number;
  readonly signal?: string;
}

/** Lines of a host's agent (or of the store) as they are known at this moment. */
export interface HostLog extends Timed {
  readonly type: "host-log";
  readonly host: string;
  readonly lines: readonly string[];
  /** Lines before these that were left out. */
  readonly omitted: number;
}

/**
 * The machine had not got what it takes, whoever used it up: what got lost meanwhile, or came too late, is nobody's failure, and
 * nobody's success.
 */
export interface MachineShort extends Timed {
  readonly type: "machine-short";
  readonly detail: string;
}

/** The run could not begin, or not go on. */
export interface RunBroke extends Timed {
  readonly type: "run-broke";
  readonly phase: "set-up" | "steps";
  /** An agent that does not get ready failed; a lab that broke says nothing of the agent. */
  readonly blame: "agent" | "lab";
  readonly message: string;
  readonly details: readonly string[];
}

export interface RunEnded extends Timed {
  readonly type: "run-ended";
  readonly verdict: Verdict;
}
