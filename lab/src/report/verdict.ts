import type { FaultInjected, RunEvent, RunStarted, Verdict } from "./events.ts";

/** What a run comes to, and why it is no pass. */
export interface Judgement {
  readonly verdict: Verdict;
  /** What makes it worse than pass; empty for a pass. */
  readonly reasons: readonly string[];
  /** The lab itself did not work: nothing was learned of the agent. */
  readonly labBroke: boolean;
}

const ORDER: Readonly<Record<Verdict, number>> = { pass: 0, unknown: 1, fail: 2 };

/** The worst of several; nothing at all is unknown. */
export function worstOf(verdicts: readonly Verdict[]): Verdict {
  const [first, ...rest] = verdicts;
  return rest.reduce((worst, one) => (ORDER[one] > ORDER[worst] ? one : worst), first ?? "unknown");
}

const EXIT_FAIL = 1;
const EXIT_UNKNOWN = 2;
const EXIT_LAB_BROKE = 70;

/** 0 all pass, 1 something failed, 70 nothing failed but the lab broke, 2 something is unknown. */
export function exitCodeOfRuns(judgements: readonly Judgement[]): number {
  const worst = worstOf(judgements.map(({ verdict }) => verdict));
  if (worst === "fail") {
    return EXIT_FAIL;
  }
  if (judgements.some(({ labBroke }) => labBroke)) {
    return EXIT_LAB_BROKE;
  }
  return worst === "pass" ? 0 : EXIT_UNKNOWN;
}

/**
 * The verdict of a run, from its log alone; what the log's own `run-ended` says is not asked. Pass only if every step was
 * played, every declared invariant was looked at, every fault and its end were seen, and enough traffic flowed.
 */
export function judge(events: readonly RunEvent[]): Judgement {
  const shortages = events.flatMap((one) => (one.type === "machine-short" ? [one.detail] : []));
  const failures = events.flatMap(failureIn);
  const doubts = [...events.flatMap(doubtIn), ...doubtsAboutWhole(events)];
  const labBroke = events.some((event) => event.type === "run-broke" && event.blame === "lab");
  const reasons = [...new Set([...failures, ...doubts])];
  if (shortages.length > 0 && failures.length > 0 && !events.some(isUnexcused)) {
    return { verdict: "unknown", reasons: [...shortages, ...reasons], labBroke };
  }
  if (failures.length > 0) {
    return { verdict: "fail", reasons, labBroke };
  }
  return { verdict: doubts.length > 0 ? "unknown" : "pass", reasons, labBroke };
}

/** No lost packet, and no lost time, makes an agent do these. Source: what the checks of `lab/src/watch/checks` look at. */
const UNEXCUSED: ReadonlySet<string> = new Set([
  "A1",
  "A2",
  "A3",
  "A4",
  "A9",
  "B3'",
  "D3",
  "D6",
  "D9",
  "E1",
]);

/** Whether a violation of this invariant stands even where the machine was short of something. */
export function standsWhenShort(id: string): boolean {
  return UNEXCUSED.has(id);
}

function isUnexcused(event: RunEvent): boolean {
  return event.type === "invariant-violated" && standsWhenShort(event.id);
}

function failureIn(event: RunEvent): readonly string[] {
  switch (event.type) {
    case "invariant-violated":
      return [`${event.id}${event.host === undefined ? "" : ` on ${event.host}`}: ${event.detail}`];
    case "invariant-checked":
      return event.verdict === "fail" ? [`${event.id}: ${event.detail}`] : [];
    case "step-ended":
      return event.verdict === "fail" ? [`step ${event.step} failed`] : [];
    case "expectation-evaluated":
      return event.verdict === "fail"
        ? [`${event.expectation} not within ${event.withinMs} ms`]
        : [];
    case "run-broke":
      return event.blame === "agent" ? [event.message] : [];
    default:
      return [];
  }
}

function doubtIn(event: RunEvent): readonly string[] {
  switch (event.type) {
    case "fault-not-seen":
      return [`nobody saw the ${event.part} of fault ${event.fault}: ${event.detail}`];
    case "step-ended":
      return event.verdict === "unknown" ? [`step ${event.step} is unknown`] : [];
    case "expectation-evaluated":
      return event.verdict === "unknown" ? [`${event.expectation} could not be looked at`] : [];
    case "probe-figures":
      return event.sent < event.floor
        ? [`${event.from} → ${event.to} ${event.family}: ${event.sent} of ${event.floor} packets`]
        : [];
    case "run-broke":
      return event.blame === "lab" ? [`the lab broke: ${event.message}`] : [];
    default:
      return [];
  }
}

function doubtsAboutWhole(events: readonly RunEvent[]): readonly string[] {
  const [started] = events;
  if (started?.type !== "run-started") {
    return ["the run did not start"];
  }
  const ended = events.some(({ type }) => type === "run-ended");
  return [
    ...(ended ? [] : ["the run did not come to its end"]),
    ...stepsNotPlayed(started, events),
    ...invariantsNotChecked(started, events),
    ...checksWithoutLook(started, events),
    ...faultsNotSeen(events),
  ];
}

/** Invariant F6, for steps. */
function stepsNotPlayed(started: RunStarted, events: readonly RunEvent[]): readonly string[] {
  const { steps } = started.scenario;
  if (steps.length === 0) {
    return ["the scenario has no steps"];
  }
  const ended = new Set(events.flatMap((one) => (one.type === "step-ended" ? [one.step] : [])));
  const evaluated = new Set(
    events.flatMap((one) => (one.type === "expectation-evaluated" ? [one.step] : [])),
  );
  return steps.flatMap(({ kind, text }, index) => {
    const step = index + 1;
    if (!ended.has(step)) {
      return [`step ${step} was not played: ${text}`];
    }
    return kind === "expect" && !evaluated.has(step)
      ? [`step ${step} was never evaluated: ${text}`]
      : [];
  });
}

/** The declared invariants that were watched: what no witness watches, the expectations of the scenario speak for. */
export function watchedOf({ scenario, watched }: RunStarted): readonly string[] {
  return scenario.invariants.filter((id) => watched.includes(id));
}

/**
 * Invariant F6, for invariants: each that was to be watched has said something at the end, or else what broke is why. A
 * violation has looked, too.
 */
function invariantsNotChecked(started: RunStarted, events: readonly RunEvent[]): readonly string[] {
  const looked = new Set(
    events.flatMap((one) =>
      one.type === "invariant-checked" || one.type === "invariant-violated" ? [one.id] : [],
    ),
  );
  const broke = events.some(({ type }) => type === "run-broke");
  return (broke ? watchedOf(started) : started.watched)
    .filter((id) => !looked.has(id))
    .map((id) => `${id} was not checked`);
}

/** What a scenario does not declare need not have come up in it; but no check may have been kept from looking. */
function checksWithoutLook(started: RunStarted, events: readonly RunEvent[]): readonly string[] {
  const invariants = watchedOf(started);
  return events.flatMap((event) =>
    event.type === "invariant-checked" &&
    event.verdict !== "fail" &&
    (event.verdict === "unknown" || event.looked === 0) &&
    (event.blind || invariants.includes(event.id))
      ? [`${event.id} could not be looked at: ${event.detail}`]
      : [],
  );
}

/** Invariant F2: an injection that nobody saw, and a heal that nobody saw. What says so itself is not told twice. */
function faultsNotSeen(events: readonly RunEvent[]): readonly string[] {
  const having = (type: RunEvent["type"]): Set<string> =>
    new Set(events.flatMap((one) => (one.type === type && "fault" in one ? [one.fault] : [])));
  const injected = events.filter((one): one is FaultInjected => one.type === "fault-injected");
  const told = having("fault-not-seen");
  const [verified, healed, healVerified] = [
    having("fault-verified"),
    having("fault-healed"),
    having("fault-heal-verified"),
  ];
  return injected
    .filter(({ fault }) => !told.has(fault))
    .flatMap(({ fault, name }) => [
      ...(verified.has(fault) ? [] : [`nobody saw fault ${name}`]),
      ...(healed.has(fault) && !healVerified.has(fault)
        ? [`nobody saw the end of fault ${name}`]
        : []),
    ]);
}
