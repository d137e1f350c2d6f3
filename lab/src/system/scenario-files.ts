import { globSync } from "node:fs";
import { resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { LabError } from "../errors.ts";
import type { Scenario } from "../scenario.ts";

const SUFFIX = ".scenario.ts";
const OWN_SCENARIOS = fileURLToPath(new URL("../../../scenarios/src", import.meta.url));

/**
 * Reads every scenario of this repository, and of the files named besides, by path: nothing imports them, so they can come
 * from anywhere. Sorted by name.
 * @throws LabError "usage" for a file that holds no scenario, and for two of one name
 */
export async function loadScenarios(files: readonly string[] = []): Promise<readonly Scenario[]> {
  const paths = [
    ...globSync(`**/*${SUFFIX}`, { cwd: OWN_SCENARIOS }).map((path) =>
      resolve(OWN_SCENARIOS, path),
    ),
    ...files.map((path) => resolve(path)),
  ];
  const found = new Map<string, Scenario>();
  for (const path of new Set(paths)) {
    for (const scenario of await scenariosIn(path)) {
      if (found.has(scenario.name)) {
        throw new LabError("usage", `two scenarios are called ${scenario.name}; one is in ${path}`);
      }
      found.set(scenario.name, scenario);
    }
  }
  return [...found.values()].toSorted((a, b) => a.name.localeCompare(b.name));
}

export function isScenarioFile(word: string): boolean {
  return word.endsWith(SUFFIX);
}

/** @throws LabError "usage" for a file that holds no scenario */
export async function scenariosIn(path: string): Promise<readonly Scenario[]> {
  const module = await importFile(path);
  const scenarios = Object.values(module).filter(isScenario);
  if (scenarios.length === 0) {
    throw new LabError(
      "usage",
      `${path} exports no scenario: an object with name, why, nodes, variants and steps`,
    );
  }
  return scenarios;
}

async function importFile(path: string): Promise<Readonly<Record<string, unknown>>> {
  try {
    return (await import(pathToFileURL(path).href)) as Record<string, unknown>;
  } catch (error) {
    throw new LabError("usage", `cannot read the scenario ${path}: ${String(error)}`, {
      cause: error,
    });
  }
}

function isScenario(value: unknown): value is Scenario {
  return (
    typeof value === "object" &&
    value !== null &&
    "name" in value &&
    typeof value.name === "string" &&
    "nodes" in value &&
    Number.isInteger(value.nodes) &&
    "variants" in value &&
    Array.isArray(value.variants) &&
    "steps" in value &&
    Array.isArray(value.steps)
  );
}
