import { type AnyFault, defineFault } from "../fault.ts";
import { impairing } from "../netem.ts";
import { DIRECTION } from "../packet-filter.ts";

export const jitter: AnyFault = defineFault({
  name: "jitter",
  summary: "Delays each of a host's frames by another time, at random: some overtake others.",
  parameters: {
    ms: {
      help: "milliseconds: each is delayed by this to three times this",
      value: { kind: "number", min: 10, max: 1000 },
    },
    direction: DIRECTION,
  },
  ...impairing({
    parameter: "ms",
    words: jitterWords,
    effort: () => ({ count: 20, intervalSeconds: 0.01, waitSeconds: 10 }),
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
