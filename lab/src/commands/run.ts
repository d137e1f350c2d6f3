import { join } from "node:path";
import { examineFaultNeed } from "../doctor.ts";
import { exitCodeOf, LabError, messageOf } from "../errors.ts";
import type { FaultNeed } from "../faults/fault.ts";
import { launchLab } from "../launch.ts";
import { labOptions, RUNS_FOLDER } from "../options.ts";
import type { RunEvent } from "../report/events.ts";
import { formatJUnit } from "../report/junit.ts";
import { formatPage } from "../report/page/page.ts";
import { EventLogWriter, readStories } from "../report/run-store.ts";
import type { Story } from "../report/story.ts";
import { formatTotals, formatVerdictLine, openSummary } from "../report/terminal-summary.ts";
import { exitCodeOfRuns } from "../report/verdict.ts";
import {
  COMPILER_REQUIREMENTS,
  ensureRequirements,
  FAULT_REQUIREMENTS,
  LAB_REQUIREMENTS,
} from "../requirements.ts";
import { readAgentLogs } from "../run-directory.ts";
import { checkScenario, needsOf } from "../scenario-check.ts";
import type { ScenarioResult } from "../scenario-result.ts";
import { type OpenLab, runScenario } from "../scenario-run.ts";
import { formatVariant } from "../scenario-text.ts";
import type { Scenario, Variant } from "../scenario.ts";
import { systemClock } from "../system/clock.ts";
import { writeText } from "../system/files.ts";
import {
  defaultFlanneld,
  describeMachine,
  labsDirectory,
  ownProcessId,
  workingDirectory,
} from "../system/machine.ts";
import { isScenarioFile, loadScenarios } from "../system/scenario-files.ts";
import { interruptSignal, type Terminal } from "../system/terminal.ts";
import type { Command } from "./command.ts";
import { JSON_FLAG, type ParsedFlags, parseFlags } from "./flags.ts";

const EXIT_FAIL = 1;
const MAX_NAMES = 100;

export const run: Command = {
  name: "run",
  usage: "[NAME | FILE.scenario.ts]… [FLAGS]",
  summary:
    "Runs scenarios (all by default), each variant in a lab of its own. Exits with 1 when one fails, 2 when one is unknown, 70 when the lab broke.",
  flags: {
    backend: { type: "string", value: "TYPE", help: "only variants with this backend" },
    family: { type: "string", value: "v4|dual", help: "only variants with these IP families" },
    flanneld: {
      type: "string",
      value: "CMD",
      help: "the agent to run (default: this repository's)",
    },
    list: { type: "boolean", help: "print the scenarios and their variants, run none" },
    keep: { type: "boolean", help: "keep the run directories of runs that did not pass" },
    "no-install": { type: "boolean", help: "do not install missing system packages" },
    junit: { type: "string", value: "FILE", help: "also write JUnit XML, whatever happens" },
    html: {
      type: "string",
      value: "FILE",
      help: "also write a page that needs nothing but itself",
    },
    json: JSON_FLAG,
  },
  run: async (argv, terminal) => {
    const flags = parseFlags(run, argv, { maxPositionals: MAX_NAMES });
    const chosen = choose(await loadScenarios(flags.positionals.filter(isScenarioFile)), flags);
    for (const { scenario } of chosen) {
      checkScenario(scenario);
    }
    if (flags.isOn("list")) {
      terminal.out(formatList(chosen, flags.isOn("json")));
      return 0;
    }
    const folder = join(labsDirectory(), RUNS_FOLDER, folderName());
    beginReports(flags);
    const stories: Story[] = [];
    try {
      await prepare(chosen, flags, terminal);
      const results = await runAll(chosen, { flags, terminal, folder, stories });
      if (flags.isOn("json")) {
        terminal.out(`${JSON.stringify(results, undefined, 2)}\n`);
      } else {
        terminal.out(`${formatTotals(stories)}event logs: ${folder}\n`);
      }
    } catch (error) {
      // Exit code 1 says that a run failed.
      throw error instanceof LabError && exitCodeOf(error) === EXIT_FAIL
        ? new LabError("lab-broke", error.message, { evidence: error.evidence, cause: error })
        : error;
    } finally {
      writeReports(flags, stories);
    }
    return exitCodeOfRuns(stories.map(({ judgement }) => judgement));
  },
};

/** @throws LabError "requirement-missing" before anything is started */
async function prepare(
  chosen: readonly Choice[],
  flags: ParsedFlags,
  terminal: Terminal,
): Promise<void> {
  const needs = new Set(chosen.flatMap(({ scenario }) => [...needsOf(scenario)]));
  await ensureRequirements({
    install: !flags.isOn("no-install"),
    requirements: [
      ...LAB_REQUIREMENTS,
      ...COMPILER_REQUIREMENTS,
      ...(needs.size > 0 ? FAULT_REQUIREMENTS : []),
    ],
    say: (text) => {
      terminal.error(text);
    },
  });
  await demandFaults(needs);
}

/**
 * An unwritable file is to be known before the first run, and a run that is killed must not leave an older report behind.
 * @throws LabError "usage"
 */
function beginReports(flags: ParsedFlags): void {
  try {
    writeReports(flags, []);
  } catch (error) {
    throw new LabError("usage", `lab run: cannot write the report: ${messageOf(error)}`);
  }
}

function writeReports(flags: ParsedFlags, stories: readonly Story[]): void {
  const writers = { html: formatPage, junit: formatJUnit };
  for (const [flag, format] of Object.entries(writers)) {
    const file = flags.text(flag);
    if (file !== undefined) {
      writeText(file, format(stories));
    }
  }
}

/** Sorts by time; two that begin in the same millisecond differ by their process. */
function folderName(): string {
  return `${systemClock.isoTime().replaceAll(":", "-")}-${ownProcessId()}`;
}

/** @throws LabError "requirement-missing" before anything is started */
async function demandFaults(needs: ReadonlySet<FaultNeed>): Promise<void> {
  for (const need of needs) {
    const { ok, detail, remedy } = await examineFaultNeed(need);
    if (!ok) {
      throw new LabError("requirement-missing", `no ${need} here: ${detail}; remedy: ${remedy}`);
    }
  }
}

interface Choice {
  readonly scenario: Scenario;
  readonly variants: readonly Variant[];
}

function choose(all: readonly Scenario[], flags: ParsedFlags): readonly Choice[] {
  const names = flags.positionals.filter((word) => !isScenarioFile(word));
  const unknown = names.find((name) => !all.some((scenario) => scenario.name === name));
  if (unknown !== undefined) {
    const known = all.map((scenario) => scenario.name).join(", ");
    throw new LabError("usage", `there is no scenario "${unknown}"; there are ${known}`);
  }
  const backend = flags.text("backend");
  const family = flags.text("family");
  const chosen = all
    .filter((scenario) => names.length === 0 || names.includes(scenario.name))
    .map((scenario) => ({
      scenario,
      variants: scenario.variants.filter(
        (variant) =>
          (backend === undefined || variant.backend === backend) &&
          (family === undefined || variant.family === family),
      ),
    }))
    .filter(({ variants }) => variants.length > 0);
  if (chosen.length === 0) {
    throw new LabError(
      "usage",
      "no variant of any scenario has that backend and family: see lab run --list",
    );
  }
  return chosen;
}

interface Suite {
  readonly flags: ParsedFlags;
  readonly terminal: Terminal;
  /** Of the event logs. */
  readonly folder: string;
  /** Each run is added, also one that broke. */
  readonly stories: Story[];
}

/** A run's result, and where its event log is. */
interface LoggedResult extends ScenarioResult {
  readonly log: string;
}

async function runAll(choices: readonly Choice[], suite: Suite): Promise<readonly LoggedResult[]> {
  const results: LoggedResult[] = [];
  const interrupt = interruptSignal();
  try {
    for (const { scenario, variants } of choices) {
      for (const variant of variants) {
        const number = results.length + 1;
        results.push(await runLogged(scenario, variant, suite, number, interrupt.signal));
        if (interrupt.signal.aborted) {
          throw new LabError("interrupted", `interrupted after ${number} runs`);
        }
      }
    }
    return results;
  } finally {
    interrupt.release();
  }
}

async function runLogged(
  scenario: Scenario,
  variant: Variant,
  { flags, terminal, folder, stories }: Suite,
  number: number,
  signal: AbortSignal,
): Promise<LoggedResult> {
  const style = { colour: terminal.isInteractive };
  const print = flags.isOn("json") ? String : terminal.out;
  const runFolder = [number, scenario.name, variant.backend, variant.family].join("-");
  const watchFolder = join(folder, runFolder);
  const log = new EventLogWriter(watchFolder, [openSummary(style, print)]);
  try {
    const result = await runOne(scenario, variant, {
      number,
      flanneld: flags.text("flanneld"),
      keep: flags.isOn("keep"),
      signal,
      watchFolder,
      append: (event) => {
        log.append(event);
      },
    });
    return { ...result, log: log.file };
  } finally {
    const told = readStories(log.file);
    stories.push(...told);
    print(told.map((story) => formatVerdictLine(story, style)).join(""));
  }
}

interface RunRequest {
  /** Makes the lab's name different from that of other runs of this process. */
  readonly number: number;
  readonly flanneld: string | undefined;
  /** Whether to keep the run directory unless the run passes. */
  readonly keep: boolean;
  readonly signal: AbortSignal;
  /** For the evidence of violations: the folder of its event log. */
  readonly watchFolder: string;
  readonly append?: (event: RunEvent) => void;
}

/** One variant in a lab of its own, which is down again when this returns. */
export function runOne(
  scenario: Scenario,
  variant: Variant,
  request: RunRequest,
): Promise<ScenarioResult> {
  const name = `run-${ownProcessId()}-${request.number}`;
  const defaults = { flanneld: defaultFlanneld(), workingDirectory: workingDirectory() };
  const { flanneld } = request;
  let passed = 0;
  return runScenario(scenario, variant, {
    clock: systemClock,
    facts: {
      run: name,
      agent: flanneld ?? defaults.flanneld.join(" "),
      machine: describeMachine(),
    },
    watchFolder: request.watchFolder,
    append: (event) => {
      passed += event.type === "step-ended" && event.verdict === "pass" ? 1 : 0;
      request.append?.(event);
    },
    openLab: async (wishes): Promise<OpenLab> => {
      const launched = await launchLab(
        labOptions({ ...wishes, name, ...(flanneld === undefined ? {} : { flanneld }) }, defaults),
        join(labsDirectory(), name),
        { signal: request.signal },
      );
      return {
        lab: launched.lab,
        readLogs: () => readAgentLogs(launched.runDirectory),
        [Symbol.asyncDispose]: () =>
          launched.down({ keep: request.keep && passed < scenario.steps.length }),
      };
    },
  });
}

function formatList(choices: readonly Choice[], asJson: boolean): string {
  if (asJson) {
    return `${JSON.stringify(
      choices.map(({ scenario, variants }) => ({ ...scenario, variants })),
      undefined,
      2,
    )}\n`;
  }
  return choices
    .map(({ scenario, variants }) =>
      [
        `${scenario.name}  ${scenario.invariants.join(" ")}`,
        `  ${scenario.why}`,
        ...variants.map(
          (variant) =>
            `  - ${formatVariant(variant)}${variant.runs === undefined ? "" : ` (${variant.runs})`}`,
        ),
        "",
      ].join("\n"),
    )
    .join("\n");
}
