import { requires } from "linux/testing";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { DEFAULT_SEED } from "./faults/seeds.ts";
import { runOne } from "./run-one.ts";
import { formatResult, formatVariant } from "./scenario-text.ts";
import { loadScenarios } from "./system/scenario-files.ts";

const scenarios = await loadScenarios();
/** For evidence; what a run that does not pass says of itself is in the test's message. */
const folder = mkdtempSync(join(tmpdir(), "lab-scenarios-"));
let number = 0;

afterAll(() => {
  rmSync(folder, { recursive: true });
});

requires("lab", "vxlan")("scenarios against this repository's agent", () => {
  for (const scenario of scenarios) {
    for (const variant of scenario.variants.filter(({ runs }) => runs === undefined)) {
      test(`${scenario.invariants.join(", ")}: ${scenario.name} (${formatVariant(variant)})`, async ({
        signal,
      }) => {
        number += 1;
        const result = await runOne(scenario, variant, {
          number,
          flanneld: [],
          seed: DEFAULT_SEED,
          leave: "nothing",
          signal,
          watchFolder: join(folder, String(number)),
        });
        expect(result.verdict, formatResult(result)).toBe("pass");
      });
    }
  }
});
