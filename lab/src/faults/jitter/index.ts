import { type AnyFault, defineFault } from "../fault.ts";
import { answerSeconds, impairing } from "../impairment.ts";
import { DIRECTION } from "../packet-filter.ts";
import { SEED } from "../seeds.ts";
import { type Decide, MICROSECONDS_PER_MS } from "../wire-fates.ts";

export const jitter: AnyFault = defineFault({
  name: "jitter",
  summary: "Delays each of a host's frames by another time, at random: some overtake others.",
  parameters: {
    ms: {
      help: "milliseconds: each is delayed by this to three times this",
      value: { kind: "number", min: 10, max: 1000 },
    },
    direction: DIRECTION,
    seed: SEED,
  },
  ...impairing({
    parameter: "ms",
    words: jitterWords,
    decide: jitterOf,
    effort: (ms) => ({ count: 20, intervalSeconds: 0.01, waitSeconds: answerSeconds(3 * ms) }),
    shows: ({ roundTripMs }, ms) =>
      roundTripMs !== undefined &&
      roundTripMs.min >= ms &&
      roundTripMs.max - roundTripMs.min >= ms / 4
        ? `the quickest answer took ${roundTripMs.min} ms, the slowest ${roundTripMs.max} ms`
        : undefined,
  }),
});

/** The words after `netem`. Source: tc-netem(8). */
export function jitterWords(ms: number): string {
  return `delay ${2 * ms}ms ${ms}ms`;
}

/** Any of these times is as likely as another, as netem has it. */
export function jitterOf(ms: number): Decide {
  return (draw) => ({ delayUs: Math.round(ms * MICROSECONDS_PER_MS * (1 + 2 * draw())) });
}
