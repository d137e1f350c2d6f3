import type { ProbeRecord } from "./no-packet-lost.ts";
import { type Finding, failIfAny, unknown } from "./verdict.ts";

/** Fewer answers than this say nothing about a gap. */
const ANSWERS_MIN = 100;

/** No probe waited longer than this for its next answer. */
export function gapAtMost(probes: readonly ProbeRecord[], limitMs: number): Finding {
  const thin = probes.filter(({ received }) => received < ANSWERS_MIN);
  if (probes.length === 0 || thin.length > 0) {
    return unknown(
      "too few answers to see a gap",
      ...thin.map(({ name, received }) => `${name}: ${received} answers`),
    );
  }
  const words = ({ name, longestGapMs }: ProbeRecord): string =>
    `${name}: longest time without an answer ${longestGapMs.toFixed(1)} ms`;
  const gapMs = Math.max(...probes.map(({ longestGapMs }) => longestGapMs));
  return {
    ...failIfAny(
      probes.filter(({ longestGapMs }) => longestGapMs > limitMs).map(words),
      probes.map(words).join("; "),
    ),
    measured: { gapMs },
  };
}
