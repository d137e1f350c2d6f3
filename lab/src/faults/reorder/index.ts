import { type AnyFault, defineFault } from "../fault.ts";
import { enoughFor, impairing } from "../impairment.ts";
import { DIRECTION } from "../packet-filter.ts";
import { SEED } from "../seeds.ts";
import { type Decide, MICROSECONDS_PER_MS } from "../wire-fates.ts";

/** Ten times as long as pings follow each other: those that are not delayed overtake some. */
const DELAY_MS = 20;

export const reorder: AnyFault = defineFault({
  name: "reorder",
  summary: `Sends a share of a host's frames at once, chosen at random, and all others ${DELAY_MS} ms later.`,
  parameters: {
    percent: { help: "how many of a hundred", value: { kind: "number", min: 5, max: 95 } },
    direction: DIRECTION,
    seed: SEED,
  },
  ...impairing({
    parameter: "percent",
    words: reorderWords,
    decide: reorderOf,
    effort: (percent) => enoughFor(Math.min(percent, 100 - percent)),
    shows: ({ overtaken }) =>
      overtaken > 0 ? `${overtaken} answers came after later ones` : undefined,
  }),
});

/** The words after `netem`. Source: tc-netem(8). */
export function reorderWords(percent: number): string {
  return `delay ${DELAY_MS}ms reorder ${percent}%`;
}

export function reorderOf(percent: number): Decide {
  return (draw) => ({ delayUs: 100 * draw() < percent ? 0 : DELAY_MS * MICROSECONDS_PER_MS });
}
