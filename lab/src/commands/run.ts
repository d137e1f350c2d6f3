import { dirname, join, resolve } from "node:path";
import { type AgentCommands, checkAgentHosts, parseAgentCommands } from "../agent-commands.ts";
import { demandFaultNeed } from "../doctor.ts";
import { exitCodeOf, LabError, messageOf } from "../errors.ts";
import { requirementsOfDriver } from "../hosts/registry.ts";
import {
  chooseMutants,
  exitCodeOfOutcomes,
  formatMutations,
  formatOutcomes,
  type MutationOutcome,
} from "../mutations.ts";
import { type HostDriverName, RUNS_FOLDER } from "../options.ts";
import { formatFlaky } from "../report/flaky.ts";
import { formatJUnit } from "../report/junit.ts";
import { formatPage } from "../report/page/page.ts";
import type { Story } from "../report/story.ts";
import { formatTotals } from "../report/terminal-summary.ts";
import { exitCodeOfRuns } from "../report/verdict.ts";
import { COMPILER_REQUIREMENTS, ensureRequirements, LAB_REQUIREMENTS } from "../requirements.ts";
import type { RunRequest } from "../run-one.ts";
import { DEFAULT_SEED, MAX_SEED } from "../faults/seeds.ts";
import { requirementsOfNeeds } from "../faults/need-requirements.ts";
import { checkScenario, hostsOf, needsOf } from "../scenario-check.ts";
import { formatVariant } from "../scenario-text.ts";
import type { Scenario } from "../scenario.ts";
import { systemClock } from "../system/clock.ts";
import { writeText } from "../system/files.ts";
import { defaultFlanneld } from "../own-agent.ts";
import { describeMachine, labsDirectory, ownProcessId } from "../system/machine.ts";
import { isScenarioFile, loadScenarios, scenariosIn } from "../system/scenario-files.ts";
import type { Terminal } from "../system/terminal.ts";
import type { Command } from "./command.ts";
import {
  DRIVER_FLAG,
  driverOf,
  FLANNELD_FLAG,
  JSON_FLAG,
  type ParsedFlags,
  parseFlags,
} from "./flags.ts";
import { runMutants } from "./run-mutants.ts";
import { type Choice, formatLeftUp, runAll } from "./run-suite.ts";

const EXIT_FAIL = 1;
const MAX_NAMES = 100;
const MAX_REPEAT = 1000;
const MAX_JOBS = 32;

export const run: Command = {
  name: "run",
  usage: "[NAME | FILE.scenario.ts]… [FLAGS]",
  summary:
    "Runs scenarios (all by default), each variant in a lab of its own. Exits with 1 when one fails, 2 when one is unknown, 70 when the lab broke.",
  flags: {
    backend: { type: "string", value: "TYPE", help: "only variants with this backend" },
    family: { type: "string", value: "v4|dual", help: "only variants with these IP families" },
    flanneld: FLANNELD_FLAG,
    driver: DRIVER_FLAG,
    repeat: {
      type: "string",
      value: "N",
      help: "run each variant N times, each with the next seed, and say which did not come to the same verdict each time",
    },
    seed: {
      type: "string",
      value: "N",
      help: `of what faults leave to chance: the same seed does the same (default ${DEFAULT_SEED})`,
    },
    jobs: {
      type: "string",
      value: "N",
      help: "make N runs at a time (default: one for every two cores)",
    },
    mutation: {
      type: "string",
      value: "NAME",
      help: "run an agent with a known bug: exits with 0 when it is caught, 1 when it survives; all, or list",
    },
    "on-push": {
      type: "boolean",
      help: "only the variants that the tests of each push run: those that are not on request",
    },
    list: { type: "boolean", help: "print the scenarios and their variants, run none" },
    keep: { type: "boolean", help: "keep the run directories of runs that did not pass" },
    "pause-on-fail": {
      type: "boolean",
      help: "end at the first run that does not pass, and leave its lab up",
    },
    "no-install": { type: "boolean", help: "do not install missing system packages" },
    junit: { type: "string", value: "FILE", help: "also write JUnit XML, whatever happens" },
    html: {
      type: "string",
      value: "FILE",
      help: "also write a page that needs nothing but itself",
    },
    json: JSON_FLAG,
  },
  operands: Array.from({ length: MAX_NAMES }, () => "scenario" as const),
  run: async (argv, terminal) => {
    const flags = parseFlags(run, argv, { maxPositionals: MAX_NAMES });
    if (flags.text("mutation") === "list") {
      terminal.out(formatMutations());
      return 0;
    }
    const files = flags.positionals.filter(isScenarioFile);
    const scenarios = await loadScenarios(files);
    const ofFiles = (await Promise.all(files.map(scenariosIn))).flat();
    const chooseNamed: typeof choose = (all, named) => choose(all, named, ofFiles);
    const mutants = chooseMutants(scenarios, flags, chooseNamed);
    const chosen = mutants?.flatMap(({ runs }) => runs) ?? chooseNamed(scenarios, flags);
    const repeat = countOf(flags, "repeat", 1, MAX_REPEAT);
    const seed = seedOf(flags, repeat);
    const jobs = countOf(flags, "jobs", defaultJobs(), MAX_JOBS);
    const driver = driverOf(flags);
    checkChosen(chosen, parseAgentCommands(flags.texts("flanneld"), defaultFlanneld()));
    if (flags.isOn("list")) {
      terminal.out(formatList(chosen, flags.isOn("json")));
      return 0;
    }
    const folder = join(labsDirectory(), RUNS_FOLDER, folderName());
    beginReports(flags);
    const stories: Story[] = [];
    const outcomes: MutationOutcome[] = [];
    try {
      await prepare(chosen, flags, driver, terminal);
      const isQuiet = flags.isOn("json");
      const suite = {
        flanneld: flags.texts("flanneld"),
        ...(driver === undefined ? {} : { driver }),
        leave: leaveOf(flags),
        repeat,
        seed,
        again: wordsOfAgain(flags),
        jobs,
        terminal,
        isQuiet,
        folder,
        stories,
      };
      const done =
        mutants === undefined
          ? await runAll(chosen, suite)
          : await runMutants(mutants, suite, outcomes);
      if (isQuiet) {
        terminal.out(`${JSON.stringify(done.results, undefined, 2)}\n`);
        terminal.error(formatLeftUp(done));
      } else {
        terminal.out(outcomes.length > 1 ? formatOutcomes(outcomes) : "");
        terminal.out(`${formatTotals(stories)}event logs: ${folder}\n`);
        terminal.out(formatFlaky(stories) + formatLeftUp(done));
      }
    } catch (error) {
      // Exit code 1 says that a run failed.
      throw error instanceof LabError && exitCodeOf(error) === EXIT_FAIL
        ? new LabError("lab-broke", error.message, { evidence: error.evidence, cause: error })
        : error;
    } finally {
      writeReports(flags, stories);
    }
    return mutants === undefined
      ? exitCodeOfRuns(stories.map(({ judgement }) => judgement))
      : exitCodeOfOutcomes(outcomes);
  },
};

/** @throws LabError "usage" */
function countOf(flags: ParsedFlags, flag: string, fallback: number, max: number): number {
  const count = flags.number(flag) ?? fallback;
  if (count < 1 || count > max) {
    throw new LabError("usage", `--${flag} wants a whole number from 1 to ${max}`);
  }
  return count;
}

/** Of the first of so many runs. @throws LabError "usage" where one of them would have none */
function seedOf(flags: ParsedFlags, repeat: number): number {
  const text = flags.text("seed") ?? String(DEFAULT_SEED);
  const most = MAX_SEED - repeat + 1;
  if (!/^\d{1,10}$/.test(text) || Number(text) > most) {
    const why = repeat === 1 ? "" : `: each of ${repeat} runs has the next`;
    throw new LabError(
      "usage",
      `--seed wants a whole number from 0 to ${most}, not "${text}"${why}`,
    );
  }
  return Number(text);
}

/** What makes a run what it is, beside its scenario, variant and seed. */
function wordsOfAgain(flags: ParsedFlags): readonly string[] {
  return [
    ...flags.positionals.filter(isScenarioFile),
    ...["driver", "flanneld"].flatMap((flag) =>
      flags.texts(flag).flatMap((text) => [`--${flag}`, text]),
    ),
  ];
}

/** Two labs that share a core delay each other's packets and repairs, which the scenarios measure. */
function defaultJobs(): number {
  return Math.min(Math.max(1, Math.floor(describeMachine().cores / 2)), MAX_JOBS);
}

function leaveOf(flags: ParsedFlags): RunRequest["leave"] {
  if (flags.isOn("pause-on-fail")) {
    return "lab";
  }
  return flags.isOn("keep") ? "files" : "nothing";
}

/**
 * Every scenario must have each host that is named: one that quietly did without the agent asked for would be taken for a
 * test of it.
 * @throws LabError "usage", one line
 */
function checkChosen(chosen: readonly Choice[], agents: AgentCommands): void {
  for (const { scenario } of chosen) {
    checkScenario(scenario);
    checkAgentHosts(agents, hostsOf(scenario), `scenario ${scenario.name}`);
  }
}

/** @throws LabError "requirement-missing" before anything is started */
async function prepare(
  chosen: readonly Choice[],
  flags: ParsedFlags,
  driver: HostDriverName | undefined,
  terminal: Terminal,
): Promise<void> {
  const needs = new Set(chosen.flatMap(({ scenario }) => [...needsOf(scenario)]));
  await ensureRequirements({
    install: !flags.isOn("no-install"),
    requirements: [
      ...LAB_REQUIREMENTS,
      ...COMPILER_REQUIREMENTS,
      ...requirementsOfNeeds(needs),
      ...requirementsOfDriver(driver ?? "netns"),
    ],
    say: (text) => {
      terminal.error(text);
    },
  });
  for (const need of needs) {
    await demandFaultNeed(need);
  }
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
      writeText(file, format(stories, dirname(resolve(file))));
    }
  }
}

/** Sorts by time; two that begin in the same millisecond differ by their process. */
function folderName(): string {
  return `${systemClock.isoTime().replaceAll(":", "-")}-${ownProcessId()}`;
}

/** Those that are named; without a name those of the files that are named, and without any all. */
function choose(
  all: readonly Scenario[],
  flags: ParsedFlags,
  ofFiles: readonly Scenario[] = [],
): readonly Choice[] {
  const words = flags.positionals.filter((word) => !isScenarioFile(word));
  const names = words.length > 0 ? words : ofFiles.map(({ name }) => name);
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
          (family === undefined || variant.family === family) &&
          (variant.runs === undefined || !flags.isOn("on-push")),
      ),
    }))
    .filter(({ variants }) => variants.length > 0);
  if (chosen.length === 0) {
    throw new LabError("usage", "no variant of any scenario is like that: see lab run --list");
  }
  return chosen;
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
