/**
 * Plays scenarios of the lab in simulated worlds: `pnpm sim --scenario all`, or the names or files of some (`--scenario` again for each),
 * with `--backend`, `--family` and `--seed`; a line for each variant.
 * Ends with 0 when all that can be played passed, 1 when one failed, 3 when none could be played, 64 for a wrong word.
 */
import { parseArgs } from "node:util";
import type { Scenario, Variant } from "lab/scenario";
import { isScenarioFile, loadScenarios, scenariosIn } from "lab/scenario-files";
import { INVARIANTS } from "../invariants.ts";
import { absentNode } from "./cast.ts";
import { type Played, playScenario } from "./play-scenario.ts";
import { whyNotPlayable } from "./words.ts";

const EXIT_FAILED = 1;
const EXIT_NOTHING_PLAYED = 3;
const EXIT_USAGE = 64;

interface Output {
  write(text: string): unknown;
}

interface Choice {
  /** The word of the command line that named it. */
  readonly word: string;
  readonly scenario: Scenario;
  readonly variant: Variant;
}

interface Settings {
  readonly chosen: readonly Choice[];
  readonly seed: number;
}

/** Whether these words of a command line are for `playScenarios`. */
export function isOfScenarios(words: readonly string[]): boolean {
  return words.some((word) => word === "--scenario" || word.startsWith("--scenario="));
}

/** The exit code. */
export async function playScenarios(
  words: readonly string[],
  output: Output,
  errors: Output = process.stderr,
): Promise<number> {
  const settings = await readSettings(words).catch((error: unknown) => {
    errors.write(`${error instanceof Error ? error.message : String(error)}\n`);
    return undefined;
  });
  return settings === undefined ? EXIT_USAGE : playAll(settings, output);
}

async function playAll({ chosen, seed }: Settings, output: Output): Promise<number> {
  let [passed, failed, notPlayable] = [0, 0, 0];
  for (const { word, scenario, variant } of chosen) {
    const name = `${scenario.name} (${formatVariant(variant)})`;
    const why = whyNotPlayable(scenario, variant);
    if (why !== undefined) {
      notPlayable++;
      output.write(`– ${name} not playable: ${why}\n`);
      continue;
    }
    const startedMs = performance.now();
    const played = await playScenario(scenario, variant, { seed });
    const times = `${(played.virtualMs / 1000).toFixed(1)} s virtual, ${(performance.now() - startedMs).toFixed(0)} ms`;
    const isGood = played.failure === undefined && played.violations.length === 0;
    if (isGood) passed++;
    else failed++;
    output.write(`${isGood ? "✓" : "✗"} ${name} ${times}\n`);
    if (!isGood)
      output.write(`${formatWrongs(played)}\nreplay: ${replayOf(word, variant, seed)}\n`);
  }
  output.write(`\n${passed} passed, ${failed} failed, ${notPlayable} not playable\n`);
  if (failed > 0) return EXIT_FAILED;
  return passed === 0 ? EXIT_NOTHING_PLAYED : 0;
}

/** @throws Error for what is no command, and for a scenario that cannot be acted out anywhere */
async function readSettings(words: readonly string[]): Promise<Settings> {
  const { values } = parseArgs({
    args: [...words],
    options: {
      scenario: { type: "string", multiple: true, default: [] },
      backend: { type: "string" },
      family: { type: "string" },
      seed: { type: "string", default: "1" },
    },
  });
  const seed = Number(values.seed);
  if (!Number.isSafeInteger(seed) || seed < 0)
    throw new TypeError(`--seed is ${values.seed}: expected a whole number from 0 on`);
  const scenarios = await scenariosNamed(values.scenario);
  for (const { scenario } of scenarios) {
    const absent = absentNode(scenario);
    if (absent !== undefined)
      throw new Error(`scenario ${scenario.name}, step ${absent.index + 1}: ${absent.message}`);
  }
  const { backend, family } = values;
  const chosen = scenarios.flatMap(({ word, scenario }) =>
    scenario.variants
      .filter((variant) => backend === undefined || variant.backend === backend)
      .filter((variant) => family === undefined || variant.family === family)
      .map((variant) => ({ word, scenario, variant })),
  );
  if (chosen.length === 0) throw new Error("no variant has that backend and family");
  return { chosen, seed };
}

/** @throws Error for an unknown name */
async function scenariosNamed(
  words: readonly string[],
): Promise<readonly Omit<Choice, "variant">[]> {
  const known = await loadScenarios();
  if (words.includes("all")) return known.map((scenario) => ({ word: scenario.name, scenario }));
  const found: Omit<Choice, "variant">[] = [];
  for (const word of words) {
    const scenarios = isScenarioFile(word)
      ? await scenariosIn(word)
      : known.filter(({ name }) => name === word);
    if (scenarios.length === 0)
      throw new Error(
        `there is no scenario "${word}"; there are ${known.map(({ name }) => name).join(", ")}`,
      );
    found.push(...scenarios.map((scenario) => ({ word, scenario })));
  }
  return found;
}

/** As `lab run` writes it. */
function formatVariant({ backend, family, segments, backendOptions = {} }: Variant): string {
  const options = Object.entries(backendOptions).map(
    ([name, value]) => `${name}=${JSON.stringify(value)}`,
  );
  return [
    `${backend} ${family}`,
    segments === 1 ? "1 segment" : `${segments} segments`,
    ...options,
  ].join(", ");
}

function formatWrongs({ failure, violations }: Played): string {
  const lines: string[] = [];
  if (failure !== undefined) {
    const { step, text, invariant, atMs, details, trace } = failure;
    const id = invariant === undefined ? "" : `${invariant}: `;
    lines.push(`  ${id}step ${step}, ${text}, at ${(atMs / 1000).toFixed(3)} s:`);
    lines.push(...details.map((line) => `    ${line}`), ...trace.map((line) => `      ${line}`));
  }
  for (const { id, atMs, detail, trace } of violations) {
    lines.push(`  ${id} at ${(atMs / 1000).toFixed(3)} s: ${detail}`, `    ${INVARIANTS[id]}`);
    lines.push(...trace.map((line) => `      ${line}`));
  }
  return lines.join("\n");
}

function replayOf(word: string, { backend, family }: Variant, seed: number): string {
  return `pnpm sim --scenario ${word} --backend ${backend} --family ${family} --seed ${seed}`;
}
