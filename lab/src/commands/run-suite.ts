import { join } from "node:path";
import { LabError } from "../errors.ts";
import type { Repetition } from "../report/events.ts";
import { EventLogWriter, readStories } from "../report/run-store.ts";
import type { Story } from "../report/story.ts";
import { formatVerdictLine, openSummary } from "../report/terminal-summary.ts";
import { type RunRequest, type RunResult, runOne } from "../run-one.ts";
import type { Scenario, Variant } from "../scenario.ts";
import { interruptSignal, type Terminal } from "../system/terminal.ts";
import { Turns } from "../turns.ts";
import { joinWords } from "../words.ts";
import { orderOfRuns } from "./run-order.ts";

/** A scenario and those of its variants that are to be run. */
export interface Choice {
  readonly scenario: Scenario;
  readonly variants: readonly Variant[];
}

/** How the runs are to be made, and who is told of them. */
export interface Suite extends Pick<
  RunRequest,
  "flanneld" | "driver" | "leave" | "timeoutSeconds"
> {
  /** Runs of this process before these. */
  readonly runsBefore?: number;
  /** How often each variant is run; each time with the next seed, so that each can be had again alone. */
  readonly repeat: number;
  /** Of each variant's first run. */
  readonly seed: number;
  /** What the command line that makes one of the runs again says beside scenario, variant and seed. */
  readonly again: readonly string[];
  /** How many runs are made at a time. */
  readonly jobs: number;
  readonly terminal: Terminal;
  /** Whether the terminal is told nothing of single runs. */
  readonly isQuiet: boolean;
  /** Of the event logs. */
  readonly folder: string;
  /** Each run is added, also one that broke. */
  readonly stories: Story[];
}

/** A run's result, and where its event log is. */
export interface LoggedResult extends RunResult {
  readonly repetition?: Repetition;
  readonly seed: number;
  readonly log: string;
}

export interface SuiteResult {
  readonly results: readonly LoggedResult[];
  /** Runs that were not begun, since the lab of the last one was left up. */
  readonly notBegun: number;
}

interface Job {
  readonly scenario: Scenario;
  readonly variant: Variant;
  readonly repetition?: Repetition;
  readonly seed: number;
}

/**
 * As many runs at a time as the suite says, in the order of `orderOfRuns`; after one whose lab is left up none is begun. Each is a lab of
 * its own, so they share the machine's cores and nothing else.
 * @throws LabError "interrupted"
 */
export async function runAll(choices: readonly Choice[], wanted: Suite): Promise<SuiteResult> {
  const jobs = jobsOf(choices, wanted);
  const suite = { ...wanted, jobs: Math.min(wanted.jobs, jobs.length) };
  const { alone, together } = orderOfRuns(jobs, suite.jobs);
  const interrupt = interruptSignal();
  const runs = new Map<Job, BegunRun>();
  // Reports keep the order of the scenarios, whichever is begun first.
  const begun = (): readonly BegunRun[] => jobs.flatMap((job) => runs.get(job) ?? []);
  const turns = new Turns();
  let isOver = false;
  const work = async (waiting: Job[]): Promise<void> => {
    while (!isOver && !interrupt.signal.aborted) {
      const job = waiting.shift();
      if (job === undefined) {
        return;
      }
      const run: BegunRun = { stories: [] };
      runs.set(job, run);
      const number = (suite.runsBefore ?? 0) + jobs.indexOf(job) + 1;
      try {
        const own = { number, signal: interrupt.signal, turns };
        run.result = await runLogged(job, suite, own, run.stories);
      } finally {
        isOver ||= run.result === undefined || run.result.leftUp !== undefined;
      }
    }
  };
  const inTurn = (waiting: Job[], atOnce: number): Promise<PromiseSettledResult<void>[]> =>
    Promise.allSettled(Array.from({ length: atOnce }, () => work(waiting)));
  try {
    const workers = [
      ...(await inTurn([...alone], 1)),
      ...(await inTurn([...together], suite.jobs)),
    ];
    for (const worker of workers) {
      if (worker.status === "rejected") {
        throw worker.reason;
      }
    }
    if (interrupt.signal.aborted) {
      throw new LabError("interrupted", `interrupted after ${runs.size} runs`);
    }
    return {
      results: begun().flatMap(({ result }) => result ?? []),
      notBegun: jobs.length - runs.size,
    };
  } finally {
    suite.stories.push(...begun().flatMap(({ stories }) => stories));
    interrupt.release();
  }
}

interface BegunRun {
  /** As its event log tells, also of one that broke. */
  readonly stories: Story[];
  result?: LoggedResult;
}

function jobsOf(choices: readonly Choice[], { repeat, seed }: Suite): Job[] {
  return choices.flatMap(({ scenario, variants }) =>
    variants.flatMap((variant) =>
      Array.from({ length: repeat }, (_, index) => ({
        scenario,
        variant,
        seed: seed + index,
        ...(repeat === 1 ? {} : { repetition: { number: index + 1, of: repeat } }),
      })),
    ),
  );
}

async function runLogged(
  job: Job,
  { flanneld, driver, timeoutSeconds, leave, jobs, terminal, isQuiet, folder, again }: Suite,
  own: Pick<RunRequest, "number" | "signal" | "turns">,
  stories: Story[],
): Promise<LoggedResult> {
  const { scenario, variant, repetition, seed } = job;
  const style = { colour: terminal.isInteractive };
  const lines: string[] = [];
  // What several runs say while they go on would not be told apart: each is told of at its end.
  const tell = jobs === 1 ? terminal.out : (text: string): number => lines.push(text);
  const print = isQuiet ? String : tell;
  const runFolder = [own.number, scenario.name, variant.backend, variant.family].join("-");
  const watchFolder = join(folder, runFolder);
  const log = new EventLogWriter(watchFolder, [openSummary(style, print)]);
  const ofMany = repetition === undefined ? {} : { repetition };
  try {
    const result = await runOne(scenario, variant, {
      ...own,
      flanneld,
      ...(driver === undefined ? {} : { driver }),
      timeoutSeconds,
      ...ofMany,
      seed,
      again: commandOf(job, again),
      leave,
      watchFolder,
      append: (event) => {
        log.append(event);
      },
    });
    return { ...result, ...ofMany, seed, log: log.file };
  } finally {
    const told = readStories(log.file);
    stories.push(...told);
    print(told.map((story) => formatVerdictLine(story, style)).join(""));
    if (lines.length > 0) {
      terminal.out(lines.join(""));
    }
  }
}

/** Makes the run again alone, as far as backend and families tell its variant from the others of its scenario. */
function commandOf({ scenario, variant, seed }: Job, more: readonly string[]): string {
  const which = [scenario.name, "--backend", variant.backend, "--family", variant.family];
  return joinWords(["pnpm", "lab", "run", ...which, ...more, "--seed", String(seed)]);
}

/** How to look at a lab that was left up, and how to end it. */
export function formatLeftUp({ results, notBegun }: SuiteResult): string {
  const rest = notBegun === 0 ? "" : `; not begun: ${notBegun} more`;
  return results
    .flatMap(({ leftUp }) => leftUp ?? [])
    .map((name) =>
      [
        `lab "${name}" is left up, since its run did not pass${rest}`,
        `  lab ps --name ${name}    its hosts; exec, logs, events, graph and fault ls take the same --name`,
        `  lab down --name ${name}  ends it`,
        "",
      ].join("\n"),
    )
    .join("");
}
