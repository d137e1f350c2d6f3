import type { EventLog } from "./event-log.ts";
import type {
  AgentEnded,
  AgentFacts,
  AgentStarted,
  HostLog,
  InvariantChecked,
  InvariantViolated,
  ProbeFigures,
  RunBroke,
  RunEvent,
  RunStarted,
  StepFacts,
  TopologySeen,
  Verdict,
} from "./events.ts";
import { judge, type Judgement, standsWhenShort, watchedOf } from "./verdict.ts";

/** A run as its writers tell it: the log, gathered by subject. */
export interface Story {
  readonly started: RunStarted | undefined;
  readonly topology: TopologySeen | undefined;
  readonly steps: readonly StepStory[];
  readonly faults: readonly FaultStory[];
  readonly violations: readonly InvariantViolated[];
  readonly checked: readonly InvariantChecked[];
  readonly probes: readonly ProbeFigures[];
  readonly leases: readonly LeaseStory[];
  readonly agentChanges: readonly (AgentStarted | AgentEnded)[];
  readonly logs: readonly HostLog[];
  readonly broke: RunBroke | undefined;
  /** What the machine had not got meanwhile. */
  readonly shortages: readonly string[];
  /** The time of the last event. */
  readonly endMs: number;
  readonly torn: boolean;
  readonly judgement: Judgement;
  /** Of its event log, whole path; files of evidence are named from there. Absent for a log that is in no file. */
  readonly folder?: string;
}

export interface StepStory {
  readonly number: number;
  readonly facts: StepFacts;
  /** Absent while it has not begun. */
  readonly beginMs?: number;
  /** Absent while it has not ended. */
  readonly end?: {
    readonly ms: number;
    readonly verdict: Verdict;
    readonly details: readonly string[];
  };
}

export interface FaultStory {
  readonly fault: string;
  readonly name: string;
  readonly target: string;
  readonly beginMs: number;
  /** Absent when it was never healed. */
  readonly endMs?: number;
  /** What was seen of it; absent when nobody saw it. */
  readonly saw?: string;
}

/** One owner's time with one key. */
export interface LeaseStory {
  readonly key: string;
  readonly owner: string;
  readonly beginMs: number;
  /** Absent while it lasts. */
  readonly endMs?: number;
}

export function tellStory({ events, torn }: EventLog, folder?: string): Story {
  const one = <T extends RunEvent["type"]>(type: T): Extract<RunEvent, { type: T }> | undefined =>
    all(events, type)[0];
  const started = one("run-started");
  return {
    started,
    topology: one("topology"),
    steps: (started?.scenario.steps ?? []).map((facts, index) =>
      stepStory(facts, index + 1, events),
    ),
    faults: all(events, "fault-injected").map((injected) => ({
      fault: injected.fault,
      name: injected.name,
      target: injected.target,
      beginMs: injected.at,
      ...faultEnd(injected.fault, events),
    })),
    violations: all(events, "invariant-violated"),
    checked: all(events, "invariant-checked"),
    probes: all(events, "probe-figures"),
    leases: leaseStories(events),
    agentChanges: events.filter(
      (event) => event.type === "agent-started" || event.type === "agent-ended",
    ),
    logs: all(events, "host-log"),
    broke: one("run-broke"),
    shortages: all(events, "machine-short").map(({ detail }) => detail),
    endMs: events.at(-1)?.at ?? 0,
    torn,
    judgement: judge(events),
    ...(folder === undefined ? {} : { folder }),
  };
}

/** `node-joins (vxlan v4, 1 segment)`, and for one of several `node-joins (vxlan v4, 1 segment) 2/3` */
export function titleOf({ started }: Story): string {
  return started === undefined
    ? "(a run that did not start)"
    : `${subjectOf(started)}${repetitionText(started)}`;
}

/** What all repetitions have in common: `node-joins (vxlan v4, 1 segment)` */
export function subjectOf({ scenario, variant }: RunStarted): string {
  return `${scenario.name} (${variant.text})`;
}

/** ` 2/3` for the second of three; empty for the only one. */
export function repetitionText({ repetition }: RunStarted): string {
  return repetition === undefined ? "" : ` ${repetition.number}/${repetition.of}`;
}

/** The command line that makes a run again which did not pass; none where it passed, or its log has none. */
export function commandAgain({ started, judgement }: Story): readonly string[] {
  const { again } = started ?? {};
  return judgement.verdict === "pass" || again === undefined ? [] : [again];
}

/** The hosts of each agent; an agent is what it says of itself, as `words` puts it. */
export function hostsByAgent(
  agents: readonly AgentFacts[],
  words: (agent: AgentFacts) => string,
): ReadonlyMap<string, readonly string[]> {
  const groups = Map.groupBy(agents, words);
  return new Map(
    [...groups].map(([name, members]) => [name, [...new Set(members.map(({ host }) => host))]]),
  );
}

/** What became of each invariant that was declared and watched, or looked at. */
export function invariantVerdicts(story: Story): ReadonlyMap<string, Verdict> {
  const verdicts = new Map<string, Verdict>(
    (story.started === undefined ? [] : watchedOf(story.started)).map((id) => [id, "unknown"]),
  );
  for (const { id, verdict, looked, blind } of story.checked) {
    const told = verdict === "pass" && looked === 0 ? "unknown" : verdict;
    // What was not declared and did not come up is no subject of this run.
    if (told !== "unknown" || blind || verdicts.has(id)) {
      verdicts.set(id, told);
    }
  }
  for (const { id } of story.violations) {
    verdicts.set(id, "fail");
  }
  if (story.shortages.length > 0) {
    for (const [id, verdict] of verdicts) {
      verdicts.set(id, verdict === "fail" && !standsWhenShort(id) ? "unknown" : verdict);
    }
  }
  return verdicts;
}

/** The longest gap of all probes; undefined without any. */
export function longestGap(
  story: Story,
): { readonly from: string; readonly to: string; readonly lengthMs: number } | undefined {
  return story.probes
    .flatMap(({ from, to, gaps }) => gaps.map(({ lengthMs }) => ({ from, to, lengthMs })))
    .toSorted((a, b) => b.lengthMs - a.lengthMs)[0];
}

function all<T extends RunEvent["type"]>(
  events: readonly RunEvent[],
  type: T,
): Extract<RunEvent, { readonly type: T }>[] {
  return events.filter((event): event is Extract<RunEvent, { type: T }> => event.type === type);
}

function stepStory(facts: StepFacts, number: number, events: readonly RunEvent[]): StepStory {
  const began = all(events, "step-began").find(({ step }) => step === number);
  const ended = all(events, "step-ended").find(({ step }) => step === number);
  return {
    number,
    facts,
    ...(began === undefined ? {} : { beginMs: began.at }),
    ...(ended === undefined
      ? {}
      : { end: { ms: ended.ms, verdict: ended.verdict, details: ended.details } }),
  };
}

function faultEnd(fault: string, events: readonly RunEvent[]): Pick<FaultStory, "endMs" | "saw"> {
  const verified = all(events, "fault-verified").find((event) => event.fault === fault);
  const healed = all(events, "fault-healed").find((event) => event.fault === fault);
  return {
    ...(verified === undefined ? {} : { saw: verified.saw }),
    ...(healed === undefined ? {} : { endMs: healed.at }),
  };
}

function leaseStories(events: readonly RunEvent[]): readonly LeaseStory[] {
  const done: LeaseStory[] = [];
  const open = new Map<string, LeaseStory>();
  const close = (key: string, endMs: number): void => {
    const story = open.get(key);
    if (story !== undefined) {
      done.push({ ...story, endMs });
      open.delete(key);
    }
  };
  for (const { kind, key, at, owner = "(no lease)" } of all(events, "lease-changed")) {
    if (kind === "delete") {
      close(key, at);
    } else if (open.get(key)?.owner !== owner) {
      close(key, at);
      open.set(key, { key, owner, beginMs: at });
    }
  }
  return [...done, ...open.values()].toSorted((a, b) => a.beginMs - b.beginMs);
}
