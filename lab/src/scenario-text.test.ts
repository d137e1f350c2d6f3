import { expect, test } from "vitest";
import { checkScenario } from "./scenario-check.ts";
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
    reasons: ["step 1 failed"],
    labBroke: false,
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
      "  step 1 failed",
      "  ✗ expect pods-reach-each-other",
      "    n1 → n2 (ipv4): 0 of 1 answers",
    ].join("\n"),
  );
});

test("what was measured is shown of a run that passed", () => {
  const text = formatResult({
    scenario: "vxlan-objects-come-back",
    variant: { backend: "vxlan", family: "v4", segments: 1 },
    verdict: "pass",
    reasons: [],
    labBroke: false,
    ms: 4210,
    steps: [
      { step: { act: "heal" }, finding: { verdict: "pass", details: ["not this"] }, ms: 1 },
      {
        step: { expect: "repaired", withinMs: 1000 },
        finding: {
          verdict: "pass",
          details: ["repaired after 4.1 ms"],
          measured: { repairMs: 4.1 },
        },
        ms: 30,
      },
    ],
  });
  expect(text).toBe(
    "✓ vxlan-objects-come-back (vxlan v4, 1 segment) 4.2 s\n    repaired after 4.1 ms",
  );
});

test("steps and variants read as a sentence", () => {
  expect(formatStep({ fault: "kill-agent", node: 2 })).toBe("fault kill-agent n2");
  expect(formatStep({ fault: "delete-fdb", node: 1, peer: 3, forMs: 500 })).toBe(
    "fault delete-fdb n1 peer=n3 for 500 ms",
  );
  expect(formatStep({ act: "add-node" })).toBe("act add-node");
  expect(formatStep({ probe: "start", from: 1, to: 2 })).toBe("probe n1 → n2");
  expect(formatVariant({ backend: "host-gw", family: "v4", segments: 1 })).toBe(
    "host-gw v4, 1 segment",
  );
});

test("every scenario of the repository says why, and names its invariants", async () => {
  const scenarios = await loadScenarios();
  expect(scenarios.map((scenario) => scenario.name)).toEqual([
    "address-changes",
    "addresses-are-swapped",
    "agent-is-throttled",
    "agent-restart-keeps-subnet",
    "agents-are-paused",
    "all-hosts-reboot",
    "clock-jumps",
    "clock-strobes",
    "cluster-is-upgraded",
    "config-changes-under-agents",
    "connections-are-reset",
    "direct-routing-follows-routes",
    "fifty-join-at-once",
    "foreign-objects-stay",
    "foreign-owner-takes-lease",
    "frames-are-damaged",
    "host-gw-routes-come-back",
    "host-reboots",
    "host-reboots-without-store",
    "hosts-are-up-for-long",
    "largest-packet",
    "lease-expires-in-partition",
    "lease-is-reassigned-in-partition",
    "lease-is-removed",
    "leftovers-go-at-start",
    "link-flaps",
    "mtu-changes",
    "network-is-lossy",
    "network-is-renumbered",
    "network-is-slow",
    "network-is-slow-and-lossy",
    "node-joins-and-leaves",
    "nodes-storm",
    "partition-from-all",
    "partition-from-store",
    "pause-outlasts-lease",
    "peer-changes-unheard",
    "peer-mac-changes",
    "peer-returns-as-new",
    "peers-hear-one-way",
    "pods-reach-each-other",
    "poison-keys-change-nothing",
    "rolling-restart",
    "run-is-read-only",
    "store-compacts-often",
    "store-is-full",
    "store-loses-quorum",
    "store-member-dies",
    "store-member-is-isolated",
    "store-rolls-back",
    "subnet-is-reserved",
    "tokens-expire",
    "tunnel-is-black-holed",
    "vxlan-device-comes-back",
    "vxlan-objects-come-back",
  ]);
  for (const scenario of scenarios) {
    expect(scenario.why).not.toBe("");
    expect(() => {
      checkScenario(scenario);
    }).not.toThrow();
    expect(scenario.invariants.every((id) => /^[A-F]\d+'?$/.test(id))).toBe(true);
  }
});

test("a scenario file that cannot be read is one clear error", async () => {
  expect(isScenarioFile("x.scenario.ts")).toBe(true);
  await expect(loadScenarios(["/nowhere/x.scenario.ts"])).rejects.toThrow(
    "cannot read the scenario /nowhere/x.scenario.ts",
  );
});
