/**
 * Tests that need something of the machine say so: `requires("netns", "vxlan")("title", () => { … })`.
 * A need that is missing skips the tests with the reason in the title; when the environment variable
 * `REQUIRE` (a comma list of needs, or `all`) names it, they fail with the reason and the remedy.
 */
import { describe, test } from "vitest";
import { type Capability, capability, type Need, NEEDS } from "../capability.ts";

export { type Capability, capability, type Need, NEEDS };

/** Has the shape of vitest's `describe`. */
export type SuiteRunner = (title: string, body: () => void) => void;

/**
 * The needs that `REQUIRE` names: a missing one of these is a failure, not a skip.
 * @throws Error for a word that is no need, since a misspelt one would let everything be skipped
 */
export function requiredNeeds(variable: string | undefined): ReadonlySet<Need> {
  const named = new Set<Need>();
  for (const word of (variable ?? "").split(",").map((part) => part.trim())) {
    const need = NEEDS.find((candidate) => candidate === word);
    if (need !== undefined) named.add(need);
    else if (word === "all") NEEDS.forEach((candidate) => named.add(candidate));
    else if (word !== "") {
      throw new Error(`REQUIRE names "${word}", known are ${NEEDS.join(", ")} and all`);
    }
  }
  return named;
}

/**
 * What becomes of tests with these needs. The first missing need that `REQUIRE` names decides, then
 * the first missing one.
 */
export function decide(
  needs: readonly Need[],
  required: ReadonlySet<Need>,
  probe: (need: Need) => Capability,
): { readonly run: "tests" } | { readonly run: "failure" | "skip"; readonly message: string } {
  const missing = needs.filter((need) => !probe(need).available);
  const decisive = missing.find((need) => required.has(need)) ?? missing[0];
  if (decisive === undefined) return { run: "tests" };
  const { reason = "not available", remedy = "" } = probe(decisive);
  return required.has(decisive)
    ? { run: "failure", message: `needs ${decisive}: ${reason}; remedy: ${remedy}` }
    : { run: "skip", message: `needs ${decisive}: ${reason}` };
}

/** vitest's own runners, as plain functions: their titles are only known at run time. */
const RUN: SuiteRunner = describe;
const SKIP: SuiteRunner = describe.skip;
const TEST: SuiteRunner = test;

/** A runner for tests that need all of `needs`: `requires("netns", "vxlan")("title", () => { … })`. */
export function requires(...needs: readonly Need[]): SuiteRunner {
  const decision = decide(needs, requiredNeeds(process.env["REQUIRE"]), capability);
  if (decision.run === "tests") return RUN;
  const { message } = decision;
  if (decision.run === "skip") return (title, body) => SKIP(`${title} (${message})`, body);
  const failing = (): void => {
    TEST("can run here", () => {
      throw new Error(message);
    });
  };
  return (title) => RUN(title, failing);
}
