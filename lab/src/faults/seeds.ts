import type { Parameter } from "./fault.ts";

/** The greatest seed: twice as much and one is a number of 32 bits, so that both directions of a wire have one each. */
export const MAX_SEED = 2_147_483_647;
/** The seed of a run, and of a fault in a lab, that is told none: the same each time. */
export const DEFAULT_SEED = 1;

/** Of a fault that leaves something to chance. */
export const SEED: Parameter = {
  help: `of the userspace wire's choices, which are the same for the same seed; netem has its own (default ${DEFAULT_SEED}; in a scenario out of the run's)`,
  byDefault: String(DEFAULT_SEED),
  value: { kind: "number", min: 0, max: MAX_SEED },
};

/**
 * The seed of what is drawn in one place of a run: the same for the same run and place, and for two places of a run, or one place
 * of two runs, never the same.
 * @param place a number from 0 to `MAX_SEED`
 */
export function seedIn(runSeed: number, place: number): number {
  // Runs that are repeated have seeds that follow each other, as places do: what they add up to must not.
  return mixed((mixed(runSeed) + place) & MAX_SEED);
}

/** Another number of 31 bits for each. Source: the finalizer of MurmurHash3 (Appleby), all of whose steps can be undone, in 31 bits too. */
function mixed(seed: number): number {
  let word = seed;
  word = Math.imul(word ^ (word >>> 16), 0x85eb_ca6b) & MAX_SEED;
  word = Math.imul(word ^ (word >>> 13), 0xc2b2_ae35) & MAX_SEED;
  return word ^ (word >>> 16);
}
