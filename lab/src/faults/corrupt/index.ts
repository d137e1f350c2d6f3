import { type AnyFault, defineFault } from "../fault.ts";
import { enoughFor, impairing } from "../netem.ts";
import { DIRECTION } from "../packet-filter.ts";

export const corrupt: AnyFault = defineFault({
  name: "corrupt",
  summary: "Turns one bit of a share of a host's frames around, both chosen at random.",
  parameters: {
    percent: { help: "how many of a hundred", value: { kind: "number", min: 1, max: 99 } },
    direction: DIRECTION,
  },
  ...impairing({
    parameter: "percent",
    words: corruptWords,
    effort: enoughFor,
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
