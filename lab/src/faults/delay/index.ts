import { type AnyFault, defineFault } from "../fault.ts";
import { answerSeconds, impairing } from "../impairment.ts";
import { DIRECTION } from "../packet-filter.ts";
import { MICROSECONDS_PER_MS } from "../wire-fates.ts";

export const delay: AnyFault = defineFault({
  name: "delay",
  summary: "Delays each of a host's frames by the same time.",
  parameters: {
    ms: { help: "milliseconds", value: { kind: "number", min: 10, max: 3000 } },
    direction: DIRECTION,
  },
  ...impairing({
    parameter: "ms",
    words: delayWords,
    decide: (ms) => () => ({ delayUs: ms * MICROSECONDS_PER_MS }),
    effort: (ms) => ({ count: 5, intervalSeconds: 0.01, waitSeconds: answerSeconds(ms) }),
    shows: ({ roundTripMs }, ms) =>
      roundTripMs !== undefined && roundTripMs.min >= ms
        ? `the quickest answer took ${roundTripMs.min} ms`
        : undefined,
  }),
});

/** The words after `netem`. Source: tc-netem(8). */
export function delayWords(ms: number): string {
  return `delay ${ms}ms`;
}
