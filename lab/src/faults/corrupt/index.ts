import { type AnyFault, defineFault } from "../fault.ts";
import { enoughFor, impairing } from "../impairment.ts";
import { DIRECTION, type PingEffort } from "../packet-filter.ts";
import { SEED } from "../seeds.ts";
import { type Decide, bitOf } from "../wire-fates.ts";

export const corrupt: AnyFault = defineFault({
  name: "corrupt",
  summary: "Turns one bit of a share of a host's frames around, both chosen at random.",
  parameters: {
    percent: { help: "how many of a hundred", value: { kind: "number", min: 1, max: 99 } },
    direction: DIRECTION,
    seed: SEED,
  },
  ...impairing({
    parameter: "percent",
    words: corruptWords,
    decide: corruptOf,
    effort: corruptPings,
    // Who gets a packet with a wrong checksum throws it away.
    shows: ({ sent, received, corrupted }) =>
      received < sent || corrupted > 0
        ? `${sent - received} of ${sent} got lost, and ${corrupted} answers were not what was sent`
        : undefined,
  }),
});

/** The words after `netem`. Source: tc-netem(8). */
export function corruptWords(percent: number): string {
  return `corrupt ${percent}%`;
}

/** Behind a frame's addresses, so that it still comes to who was to have it. */
export function corruptOf(percent: number): Decide {
  return (draw) => {
    const strikes = 100 * draw() < percent;
    const bit = bitOf(draw());
    return strikes ? { delayUs: 0, bit } : { delayUs: 0 };
  };
}

/**
 * Pings that are too small for the time at which they were sent (16 bytes): of a wrong one ping(8) believes that it was under way
 * for hours, and waits for the next as long.
 */
export function corruptPings(percent: number): PingEffort {
  return { ...enoughFor(percent), bytes: 8 };
}
