import { configureGlobal } from "fast-check";

/** One seed for every push, so that the same commit gives the same answer; the nightly run asks for a fresh one and prints it on failure. */
const PUSH_SEED = 20_261_121;

const runs = wholeNumber("PROPERTY_RUNS");
const fresh = process.env["PROPERTY_SEED"] === "fresh";
configureGlobal({
  ...(runs === undefined ? {} : { numRuns: runs }),
  ...(fresh ? {} : { seed: wholeNumber("PROPERTY_SEED") ?? PUSH_SEED }),
});

function wholeNumber(variable: string): number | undefined {
  const text = process.env[variable] ?? "";
  return /^-?\d{1,10}$/.test(text) ? Number(text) : undefined;
}
