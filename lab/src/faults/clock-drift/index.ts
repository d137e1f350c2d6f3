import { type AnyFault, defineFault } from "../fault.ts";
import { type ClockSettings, fakingClock } from "../faked-clock.ts";

const USUAL_PERCENT = 100;

export const clockDrift: AnyFault = defineFault({
  name: "clock-drift",
  summary:
    "Starts the agent of a host anew with a wall clock that goes faster or slower; healing starts it with the machine's.",
  parameters: {
    pace: {
      help: "how fast, in percent of the machine's: 110 gains six minutes an hour",
      value: { kind: "number", min: 10, max: 1000 },
    },
  },
  ...fakingClock(
    ({ pace }) => ({ atStart: settingOf(pace), onceReady: settingOf(pace) }),
    (reading, settings) => {
      const percent = reading.pace * USUAL_PERCENT;
      const wanted = paceOf(settings);
      const isOff = Math.abs(percent - wanted) < Math.abs(wanted - USUAL_PERCENT) / 2;
      return isOff ? `goes at ${percent.toFixed(1)} % of the monotonic one` : undefined;
    },
  ),
});

/** Nothing ahead at its start. */
function settingOf(percent: string | undefined): string {
  return `+0 x${Number(percent) / USUAL_PERCENT}`;
}

function paceOf({ atStart }: ClockSettings): number {
  return Number(atStart.slice("+0 x".length)) * USUAL_PERCENT;
}
