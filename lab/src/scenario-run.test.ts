import { describe, expect, it } from "vitest";
import { LabError } from "./errors.ts";
import type { RunEvent } from "./report/events.ts";
import type { ScenarioResult } from "./scenario-result.ts";
import { runScenario } from "./scenario-run.ts";
import type { Scenario, Step, Variant } from "./scenario.ts";
import { systemClock } from "./system/clock.ts";
import { describeMachine } from "./system/machine.ts";

const JITTER: Step = { fault: "jitter", node: 1, ms: 30 };
const SCENARIO: Scenario = {
  name: "never-up",
  why: "its lab does not come up",
  invariants: ["A1"],
  nodes: 1,
  variants: [],
  steps: [{ act: "remember-subnets" }, JITTER, JITTER],
};
const VARIANT: Variant = { backend: "host-gw", family: "v4", segments: 1 };

/** A run whose agent is never ready. */
async function play(
  shortage: () => string | undefined,
): Promise<{ readonly result: ScenarioResult; readonly events: readonly RunEvent[] }> {
  const events: RunEvent[] = [];
  const result = await runScenario(SCENARIO, VARIANT, {
    clock: systemClock,
    facts: { run: "x", agent: "ours", seed: 42, machine: describeMachine() },
    shortage,
    append: (event) => {
      events.push(event);
    },
    openLab: () => Promise.reject(new LabError("timed-out", "n1 is not ready")),
  });
  return { result, events };
}

describe("the log of a run", () => {
  it("has its seed, and in the words of its steps those of the faults that draw", async () => {
    const { events } = await play(() => undefined);
    expect(events[0]).toMatchObject({ type: "run-started", seed: 42 });
    const [started] = events;
    const texts = started?.type === "run-started" ? started.scenario.steps : [];
    expect(texts.map(({ text }) => text.replace(/seed=\d+/, "seed=…"))).toEqual([
      "act remember-subnets",
      "fault jitter n1 ms=30 direction=both seed=…",
      "fault jitter n1 ms=30 direction=both seed=…",
    ]);
    expect(texts[1]?.text).not.toBe(texts[2]?.text);
  });
});

describe("a run that failed", () => {
  it("is a failure of the agent, as long as the machine had what it takes", async () => {
    const { result, events } = await play(() => undefined);
    expect(result).toMatchObject({ verdict: "fail", labBroke: false });
    expect(events.map(({ type }) => type)).not.toContain("machine-short");
  });

  it("is unknown where the machine was short of something while it went on", async () => {
    const { result, events } = await play(() => "no room for ARP entries");
    expect(result.verdict).toBe("unknown");
    expect(result.reasons[0]).toBe("no room for ARP entries");
    expect(events.at(-2)).toMatchObject({
      type: "machine-short",
      detail: "no room for ARP entries",
    });
    expect(events.at(-1)).toMatchObject({ type: "run-ended", verdict: "unknown" });
  });
});
