import { join } from "node:path";
import { LabError } from "../errors.ts";
import type { Repetition } from "../report/events.ts";
import { EventLogWriter, readStories } from "../report/run-store.ts";
import type { Story } from "../report/story.ts";
import { formatVerdictLine, openSummary } from "../report/terminal-summary.ts";
import { type RunRequest, type RunResult, runOne } from "../run-one.ts";
import type { Scenario, Variant } from "../scenario.ts";
import { interruptSignal, type Terminal } from "../system/terminal.ts";

/** A scenario and those of its variants that are to be run. */
export interface Choice {
  readonly scenario: Scenario;
  readonly variants: readonly Variant[];
}

/** How the runs are to be made, and who is told of them. */
export interface Suite extends Pick<RunRequest, "flanneld" | "leave" | "timeoutSeconds"> {
  /** Runs of this process before these. */
  readonly runsBefore?: number;
  /** How often each variant is run. */
  readonly repeat: number;
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
}

/**
 * One run after the other; a lab that is left up is the last.
 * @throws LabError "interrupted"
 */
export async function runAll(choices: readonly Choice[], suite: Suite): Promise<SuiteResult> {
  const jobs = jobsOf(choices, suite.repeat);
  const results: LoggedResult[] = [];
  const interrupt = interruptSignal();
  try {
    for (const job of jobs) {
      const number = (suite.runsBefore ?? 0) + results.length + 1;
      const result = await runLogged(job, suite, number, interrupt.signal);
      results.push(result);
      if (interrupt.signal.aborted) {
        throw new LabError("interrupted", `interrupted after ${number} runs`);
      }
      if (result.leftUp !== undefined) {
        break;
      }
    }
    return { results, notBegun: jobs.length - results.length };
  } finally {
    interrupt.release();
  }
}

function jobsOf(choices: readonly Choice[], repeat: number): readonly Job[] {
  return choices.flatMap(({ scenario, variants }) =>
    variants.flatMap((variant) =>
      Array.from({ length: repeat }, (_, index) => ({
        scenario,
        variant,
        ...(repeat === 1 ? {} : { repetition: { number: index + 1, of: repeat } }),
      })),
    ),
  );
}

async function runLogged(
  { scenario, variant, repetition }: Job,
  { flanneld, timeoutSeconds, leave, terminal, isQuiet, folder, stories }: Suite,
  number: number,
  signal: AbortSignal,
): Promise<LoggedResult> {
  const style = { colour: terminal.isInteractive };
  const print = isQuiet ? String : terminal.out;
  const runFolder = [number, scenario.name, variant.backend, variant.family].join("-");
  const watchFolder = join(folder, runFolder);
  const log = new EventLogWriter(watchFolder, [openSummary(style, print)]);
  const ofMany = repetition === undefined ? {} : { repetition };
  try {
    const result = await runOne(scenario, variant, {
      number,
      flanneld,
      timeoutSeconds,
      ...ofMany,
      leave,
      signal,
      watchFolder,
      append: (event) => {
        log.append(event);
      },
    });
    return { ...result, ...ofMany, log: log.file };
  } finally {
    const told = readStories(log.file);
    stories.push(...told);
    print(told.map((story) => formatVerdictLine(story, style)).join(""));
  }
}

/** How to look at a lab that was left up, and how to end it. */
export function formatLeftUp({ results, notBegun }: SuiteResult): string {
  const name = results.at(-1)?.leftUp;
  if (name === undefined) {
    return "";
  }
  const rest = notBegun === 0 ? "" : `; not begun: ${notBegun} more`;
  return [
    `lab "${name}" is left up, since its run did not pass${rest}`,
    `  lab ps --name ${name}    its hosts; exec, logs, events, graph and fault ls take the same --name`,
    `  lab down --name ${name}  ends it`,
    "",
  ].join("\n");
}
