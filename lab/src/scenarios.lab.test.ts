import { requires } from "linux/testing";
import { expect, test } from "vitest";
import { runOne } from "./commands/run.ts";
import { formatResult, formatVariant } from "./scenario-text.ts";
import { loadScenarios } from "./system/scenario-files.ts";

const scenarios = await loadScenarios();
let number = 0;

requires("lab", "vxlan")("scenarios against this repository's agent", () => {
  for (const scenario of scenarios) {
    for (const variant of scenario.variants.filter(({ runs }) => runs === undefined)) {
      test(`${scenario.invariants.join(", ")}: ${scenario.name} (${formatVariant(variant)})`, async ({
        signal,
      }) => {
        const result = await runOne(scenario, variant, {
          number: ++number,
          flanneld: undefined,
          keep: false,
          signal,
        });
        expect(result.verdict, formatResult(result)).toBe("pass");
      });
    }
  }
});
