import { type AnyFault, defineFault } from "../fault.ts";
import { fakingClock } from "../faked-clock.ts";
import { parseDuration } from "../durations.ts";

/** Reading it takes a moment. */
const TOLERANCE_MS = 5000;
const LEAST_MS = 60_000;
const MOST_MS = 31_536_000_000;

export const clockJump: AnyFault = defineFault({
  name: "clock-jump",
  summary:
    "Starts the agent of a host anew, and lets its wall clock jump; healing starts it with the machine's.",
  parameters: {
    by: { help: "how far", value: { kind: "time", minMs: LEAST_MS, maxMs: MOST_MS } },
    towards: {
      help: "the future, or the past (default future)",
      byDefault: "future",
      value: { kind: "word", words: ["future", "past"] },
    },
  },
  ...fakingClock(
    ({ by = "", towards }) => ({
      atStart: "+0",
      onceReady: `${towards === "past" ? "-" : "+"}${parseDuration("--by", by) / 1000}`,
    }),
    ({ aheadMs }, { onceReady }) =>
      Math.abs(aheadMs - Number(onceReady) * 1000) < TOLERANCE_MS
        ? `is ${Math.round(aheadMs / 1000)} s ahead`
        : undefined,
    // It is ahead, or it is not: there is nothing to be seen of it in time.
    0,
  ),
});
