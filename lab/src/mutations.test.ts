import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { parseFlags } from "./commands/flags.ts";
import { run } from "./commands/run.ts";
import {
  chooseMutants,
  exitCodeOfOutcomes,
  formatMutations,
  formatOutcome,
  formatOutcomes,
  LAB_MUTATIONS,
  type LabMutation,
  type MutationOutcome,
  outcomeOf,
  SIMULATED_ONLY,
} from "./mutations.ts";
import type { PingPair } from "./lab.ts";
import { unreachable } from "./observe/unreachable.ts";
import type { RunEvent } from "./report/events.ts";
import { type Story, tellStory } from "./report/story.ts";
import { BAD_RUN, BROKEN_SET_UP, GOOD_RUN, STARTED } from "./report/testing/sample-run.ts";
import { factsOfVariant } from "./run-facts.ts";
import type { Scenario, Variant } from "./scenario.ts";
import { loadScenarios } from "./system/scenario-files.ts";
import { checksFor } from "./watch/checks/registry.ts";
import { splitWords } from "./words.ts";

const scenarios = await loadScenarios();

type Choice = { readonly scenario: Scenario; readonly variants: readonly Variant[] };

function chosen(argv: readonly string[], program?: string): ReturnType<typeof chooseMutants> {
  const flags = parseFlags(run, argv, { maxPositionals: 9 });
  const named = (all: readonly Scenario[]): readonly Choice[] =>
    all.filter(({ name }) => flags.positionals.includes(name)).map(whole);
  return chooseMutants(scenarios, flags, named, program);
}

const whole = (scenario: Scenario): Choice => ({ scenario, variants: scenario.variants });

describe("which scenario is to catch a mutation", () => {
  it.each(LAB_MUTATIONS.map((mutation) => [mutation.name, mutation] as const))(
    "%s: one that is there, and looks at what it is to be caught by",
    (name, { caughtBy }) => {
      const [mutant, ...others] = chosen(["--mutation", name]) ?? [];
      const [choice, ...more] = mutant?.runs ?? [];
      expect([...others, ...more]).toEqual([]);
      expect(choice?.variants).toHaveLength(1);
      const looks: readonly string[] = [
        ...(choice?.scenario.steps ?? []).flatMap((step) =>
          "expect" in step ? [step.expect] : [],
        ),
        ...(choice?.variants ?? []).flatMap((variant) =>
          checksFor(factsOfVariant(variant)).map(({ id }) => id),
        ),
      ];
      expect(caughtBy.length).toBeGreaterThan(0);
      expect(caughtBy.filter((one) => !looks.includes(one))).toEqual([]);
    },
  );

  it("names each once, and prints the table", () => {
    const names = [...LAB_MUTATIONS.map(({ name }) => name), ...Object.keys(SIMULATED_ONLY)];
    expect(new Set(names).size).toBe(names.length);
    const lines = formatMutations().split("\n");
    expect(lines.find((line) => line.startsWith("keeps-an-old-mac "))).toMatch(
      /foreign-owner-takes-lease \(vxlan dual\) +kernel-equals-leases, D1$/,
    );
    expect(names.filter((name) => !lines.some((line) => line.startsWith(`${name} `)))).toEqual([]);
  });

  it("is a program with the mutation's name, whatever its path looks like", () => {
    const command = (program?: string): readonly string[] =>
      splitWords(chosen(["--mutation", "programs-late"], program)?.[0]?.flanneld ?? "");
    const own = expect.stringMatching(/\/property-tests\/src\/mutations\/mutant-flanneld\.ts$/);
    expect(command()).toEqual([process.execPath, own, "programs-late"]);
    const directory = mkdtempSync(join(tmpdir(), "it's a lab "));
    try {
      const program = join(directory, "mutant");
      writeFileSync(program, "");
      expect(command(program)).toEqual([process.execPath, program, "programs-late"]);
    } finally {
      rmSync(directory, { recursive: true });
    }
  });

  it("is all of them, or the scenarios that are named, or none without the flag", () => {
    const [named, ...others] =
      chosen(["pods-reach-each-other", "--mutation", "programs-late"]) ?? [];
    expect(others).toEqual([]);
    expect(named?.runs.map(({ scenario }) => scenario.name)).toEqual(["pods-reach-each-other"]);
    expect(named?.runs[0]?.variants.length).toBeGreaterThan(1);
    expect(chosen(["--mutation", "all"])?.map(({ mutation }) => mutation.name)).toEqual(
      LAB_MUTATIONS.map(({ name }) => name),
    );
    expect(chosen(["pods-reach-each-other"])).toBeUndefined();
  });

  it.each([
    [["--mutation", "nonsense"], /there is no mutation "nonsense"; --mutation list prints them$/],
    [["--mutation", "trusts-the-last-dump"], /caught in the simulated world only$/],
    [["--mutation", "all", "--flanneld", "x"], /--mutation all does not go with --flanneld$/],
    [["--mutation", "programs-late", "--family", "v4"], /does not go with --family$/],
    [["--mutation", "all", "link-flaps"], /--mutation all does not go with link-flaps$/],
  ])("%j is one clear line", (argv, line) => {
    expect(() => chosen(argv)).toThrow(line);
  });

  it("says in one line that the program is not there", () => {
    expect(() => chosen(["--mutation", "all"], "/nowhere/mutant-flanneld.ts")).toThrow(
      "lab run: --mutation needs /nowhere/mutant-flanneld.ts, which is not there",
    );
  });
});

const MUTATION: LabMutation = {
  name: "m",
  scenario: "s",
  backend: "vxlan",
  family: "v4",
  caughtBy: ["kernel-equals-leases", "D1"],
};

function story(events: readonly RunEvent[]): Story {
  return tellStory({ events, torn: false });
}

describe("what came of a mutation", () => {
  it("is caught by an expectation that it is to be caught by, and not by another", () => {
    const caught = outcomeOf(MUTATION, [story(BAD_RUN)]);
    expect(caught).toMatchObject({ fate: "caught", by: ["kernel-equals-leases"] });
    const other = outcomeOf({ ...MUTATION, caughtBy: ["repaired", "D1"] }, [story(BAD_RUN)]);
    expect(other).toMatchObject({ fate: "survived", by: ["fail", "kernel-equals-leases", "A4"] });
  });

  it("is caught by an invariant that a witness saw violated", () => {
    const violated: RunEvent = {
      type: "invariant-violated",
      at: 4950,
      violatedAt: 4950,
      id: "D1",
      detail: "n1: stale route",
      evidence: [],
    };
    const events = [...GOOD_RUN.slice(0, -1), violated, ...GOOD_RUN.slice(-1)];
    expect(outcomeOf(MUTATION, [story(events)])).toMatchObject({ fate: "caught", by: ["D1"] });
  });

  it("is caught by pods that do not reach each other already when the lab comes up", () => {
    const ends = { from: "n1", to: "n2", family: "ipv4" } as const;
    const pair: PingPair = { ...ends, sent: 1, received: 0, expected: true };
    const { message } = unreachable({ hosts: ["n1", "n2"], pairs: [pair] }, []);
    const broke: RunEvent = {
      type: "run-broke",
      at: 900,
      phase: "set-up",
      blame: "agent",
      message,
      details: [],
    };
    const apart = story([STARTED, broke, { type: "run-ended", at: 901, verdict: "fail" }]);
    const by = "pods-reach-each-other";
    expect(outcomeOf({ ...MUTATION, caughtBy: [by] }, [apart])).toMatchObject({
      fate: "caught",
      by: [by],
    });
    expect(outcomeOf(MUTATION, [apart]).fate).toBe("survived");
  });

  it("survives a run that passes, and is unknown where nothing was learned", () => {
    expect(outcomeOf(MUTATION, [story(GOOD_RUN)])).toMatchObject({
      fate: "survived",
      by: ["pass"],
    });
    expect(outcomeOf(MUTATION, [story(BROKEN_SET_UP)]).fate).toBe("unknown");
    expect(outcomeOf(MUTATION, []).fate).toBe("unknown");
  });

  it("is caught when one run of several caught it, and survives only when no run is unknown", () => {
    const [good, bad, broken] = [story(GOOD_RUN), story(BAD_RUN), story(BROKEN_SET_UP)];
    expect(outcomeOf(MUTATION, [good, bad, broken]).fate).toBe("caught");
    expect(outcomeOf(MUTATION, [good, broken]).fate).toBe("unknown");
    expect(outcomeOf(MUTATION, [good, good]).fate).toBe("survived");
  });

  const outcome = (mutation: string, fate: MutationOutcome["fate"]): MutationOutcome => ({
    mutation,
    fate,
    run: "s (v) 1.0 s",
    by: ["D1"],
  });

  it.each([
    [["a caught", "b caught"], 0],
    [["a caught", "b survived"], 1],
    [["a unknown", "b survived"], 1],
    [["a caught", "b unknown"], 2],
    [[], 2],
  ])("%j ends with %i", (all, exitCode) => {
    const outcomes = all.map((one) => {
      const [name = "", fate = ""] = one.split(" ");
      return outcome(name, fate as MutationOutcome["fate"]);
    });
    expect(exitCodeOfOutcomes(outcomes)).toBe(exitCode);
  });

  it("is said in one line, and of many in a table", () => {
    expect(formatOutcome(outcome("a", "caught"))).toBe("mutation a caught by D1 in s (v) 1.0 s\n");
    expect(formatOutcome(outcome("a", "survived"))).toBe(
      "mutation a survived: D1 in s (v) 1.0 s\n",
    );
    expect(formatOutcomes([outcome("a", "caught"), outcome("b", "survived")]))
      .toMatchInlineSnapshot(`
      "MUTATION  FATE      BY  IN
      a         caught    D1  s (v) 1.0 s
      b         survived  D1  s (v) 1.0 s
      1 caught, 1 survived, 0 unknown
      "
    `);
  });
});
