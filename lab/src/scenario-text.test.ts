import { expect, test } from "vitest";
import { formatResult, formatStep, formatVariant } from "./scenario-text.ts";
import { isScenarioFile, loadScenarios } from "./system/scenario-files.ts";

test("a result that did not pass shows the step and what was seen", () => {
  const variant = {
    backend: "vxlan",
    family: "dual",
    segments: 2,
    backendOptions: { DirectRouting: true },
  } as const;
  const text = formatResult({
    scenario: "pods-reach-each-other",
    variant,
    verdict: "fail",
    ms: 4210,
    steps: [
      { step: { act: "add-node" }, finding: { verdict: "pass", details: [] }, ms: 900 },
      {
        step: { expect: "pods-reach-each-other", withinMs: 1000 },
        finding: { verdict: "fail", details: ["n1 → n2 (ipv4): 0 of 1 answers"] },
        ms: 1000,
      },
    ],
  });
  expect(text).toBe(
    [
      "✗ pods-reach-each-other (vxlan dual, 2 segments, DirectRouting=true) 4.2 s",
      "  ✗ expect pods-reach-each-other",
      "    n1 → n2 (ipv4): 0 of 1 answers",
    ].join("\n"),
  );
});

test("steps and variants read as a sentence", () => {
  expect(formatStep({ fault: "kill-agent", node: 2 })).toBe("fault kill-agent n2");
  expect(formatStep({ act: "add-node" })).toBe("act add-node");
  expect(formatStep({ probe: "start", from: 1, to: 2 })).toBe("probe n1 → n2");
  expect(formatVariant({ backend: "host-gw", family: "v4", segments: 1 })).toBe(
    "host-gw v4, 1 segment",
  );
});

test("every scenario of the repository says why, and names its invariants", async () => {
  const scenarios = await loadScenarios();
  expect(scenarios.map((scenario) => scenario.name)).toEqual([
    "agent-restart-keeps-subnet",
    "node-joins-and-leaves",
    "pods-reach-each-other",
  ]);
  for (const scenario of scenarios) {
    expect(scenario.why).not.toBe("");
    expect(scenario.invariants.every((id) => /^[A-F]\d+'?$/.test(id))).toBe(true);
  }
});

test("a scenario file that cannot be read is one clear error", async () => {
  expect(isScenarioFile("x.scenario.ts")).toBe(true);
  await expect(loadScenarios(["/nowhere/x.scenario.ts"])).rejects.toThrow(
    "cannot read the scenario /nowhere/x.scenario.ts",
  );
});
