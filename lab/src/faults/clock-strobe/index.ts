import { parseDuration } from "../durations.ts";
import { type AnyFault, defineFault } from "../fault.ts";
import { fakingClock } from "../faked-clock.ts";

/** As often as this it is another time. Source: jepsen's clock strobe, which has the same order of magnitude. */
const EVERY_MS = 100;
const LEAST_MS = 60_000;
const MOST_MS = 31_536_000_000;
/** In one second there are ten; a busy machine shows fewer. */
const JUMPS_MIN = 3;

export const clockStrobe: AnyFault = defineFault({
  name: "clock-strobe",
  summary:
    "Starts the agent of a host anew, and lets its wall clock jump ahead and back every 100 ms; healing starts it with the machine's.",
  parameters: {
    by: { help: "how far", value: { kind: "time", minMs: LEAST_MS, maxMs: MOST_MS } },
  },
  ...fakingClock(
    ({ by = "" }) => ({
      atStart: "+0",
      onceReady: "+0",
      strobe: { everyMs: EVERY_MS, ahead: `+${parseDuration("--by", by) / 1000}` },
    }),
    ({ jumps }) => (jumps >= JUMPS_MIN ? `jumped ${jumps} times within a second` : undefined),
  ),
});
