import { join } from "node:path";
import { examineFaultNeed } from "../doctor.ts";
import { LabError } from "../errors.ts";
import type { FaultNeed } from "../faults/fault.ts";
import { launchLab } from "../launch.ts";
import { labOptions } from "../options.ts";
import {
  COMPILER_REQUIREMENTS,
  ensureRequirements,
  FAULT_REQUIREMENTS,
  LAB_REQUIREMENTS,
} from "../requirements.ts";
import { checkScenario, needsOf } from "../scenario-check.ts";
import { type OpenLab, runScenario, type ScenarioResult } from "../scenario-run.ts";
import { formatResult, formatVariant } from "../scenario-text.ts";
import type { Scenario, Variant } from "../scenario.ts";
import { systemClock } from "../system/clock.ts";
import {
  defaultFlanneld,
  labsDirectory,
  ownProcessId,
  workingDirectory,
} from "../system/machine.ts";
import { isScenarioFile, loadScenarios } from "../system/scenario-files.ts";
import { interruptSignal, type Terminal } from "../system/terminal.ts";
import type { Command } from "./command.ts";
import { JSON_FLAG, type ParsedFlags, parseFlags } from "./flags.ts";

const EXIT_FAIL = 1;
const EXIT_UNKNOWN = 2;
const MAX_NAMES = 100;

export const run: Command = {
  name: "run",
  usage: "[NAME | FILE.scenario.ts]… [FLAGS]",
  summary:
    "Runs scenarios (all by default), each variant in a lab of its own. Exits with 1 when one fails, 2 when one is unknown.",
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
    const results = await runAll(chosen, flags, terminal);
    if (flags.isOn("json")) {
      terminal.out(`${JSON.stringify(results, undefined, 2)}\n`);
    } else {
      terminal.out(`${formatSummary(results)}\n`);
    }
    return exitCodeFor(results);
  },
};

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

async function runAll(
  choices: readonly Choice[],
  flags: ParsedFlags,
  terminal: Terminal,
): Promise<readonly ScenarioResult[]> {
  const results: ScenarioResult[] = [];
  const interrupt = interruptSignal();
  try {
    for (const { scenario, variants } of choices) {
      for (const variant of variants) {
        const result = await runOne(scenario, variant, {
          number: results.length + 1,
          flanneld: flags.text("flanneld"),
          keep: flags.isOn("keep"),
          signal: interrupt.signal,
        });
        results.push(result);
        if (!flags.isOn("json")) {
          terminal.out(`${formatResult(result)}\n`);
        }
        interrupt.signal.throwIfAborted();
      }
    }
    return results;
  } finally {
    interrupt.release();
  }
}

interface RunRequest {
  /** Makes the lab's name different from that of other runs of this process. */
  readonly number: number;
  readonly flanneld: string | undefined;
  /** Whether to keep the run directory unless the run passes. */
  readonly keep: boolean;
  readonly signal: AbortSignal;
}

/** One variant in a lab of its own, which is down again when this returns. */
export function runOne(
  scenario: Scenario,
  variant: Variant,
  request: RunRequest,
): Promise<ScenarioResult> {
  let passed = true;
  return runScenario(scenario, variant, {
    clock: systemClock,
    onStep: ({ finding }) => {
      passed &&= finding.verdict === "pass";
    },
    openLab: async (wishes): Promise<OpenLab> => {
      const name = `run-${ownProcessId()}-${request.number}`;
      const launched = await launchLab(
        labOptions(
          {
            ...wishes,
            name,
            ...(request.flanneld === undefined ? {} : { flanneld: request.flanneld }),
          },
          { flanneld: defaultFlanneld(), workingDirectory: workingDirectory() },
        ),
        join(labsDirectory(), name),
        { signal: request.signal },
      );
      return {
        lab: launched.lab,
        [Symbol.asyncDispose]: () => launched.down({ keep: request.keep && !passed }),
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

function formatSummary(results: readonly ScenarioResult[]): string {
  const count = (verdict: ScenarioResult["verdict"]): number =>
    results.filter((result) => result.verdict === verdict).length;
  return `${results.length} runs: ${count("pass")} pass, ${count("fail")} fail, ${count("unknown")} unknown`;
}

function exitCodeFor(results: readonly ScenarioResult[]): number {
  if (results.some((result) => result.verdict === "fail")) {
    return EXIT_FAIL;
  }
  return results.every((result) => result.verdict === "pass") ? 0 : EXIT_UNKNOWN;
}
