import { LabError } from "../errors.ts";
import { replay as replayEvents } from "../report/replay.ts";
import { findEventLogs, readEventLog } from "../report/run-store.ts";
import { systemClock } from "../system/clock.ts";
import { interruptSignal } from "../system/terminal.ts";
import type { Command } from "./command.ts";
import { type ParsedFlags, parseFlags } from "./flags.ts";

export const replay: Command = {
  name: "replay",
  usage: "RUN [FLAGS]",
  summary:
    "Prints a run again, event by event, from its event log; RUN is the run's folder or its run.jsonl.",
  flags: {
    speed: {
      type: "string",
      value: "N",
      help: "wait between events as it was, N times as fast (default: do not wait)",
    },
    at: { type: "string", value: "SECONDS", help: "begin there, with the state of that moment" },
  },
  operands: ["file"],
  run: async (argv, terminal) => {
    const flags = parseFlags(replay, argv, { maxPositionals: 1 });
    const [run] = flags.positionals;
    if (run === undefined) {
      throw new LabError("usage", "lab replay wants the folder of a run, or its run.jsonl");
    }
    const speed = decimal(flags, "speed");
    if (speed === 0) {
      throw new LabError("usage", "--speed 0 would never end");
    }
    const fromMs = (decimal(flags, "at") ?? 0) * 1000;
    const interrupt = interruptSignal();
    try {
      for (const file of findEventLogs(run)) {
        const { events, torn } = readEventLog(file);
        await replayEvents(
          events,
          { fromMs, ...(speed === undefined ? {} : { speed }) },
          {
            print: terminal.out,
            sleep: (ms) => systemClock.sleep(ms, interrupt.signal),
            signal: interrupt.signal,
          },
        );
        if (torn) {
          terminal.error("the log ends in the middle of a line\n");
        }
      }
    } finally {
      interrupt.release();
    }
    return 0;
  },
};

/** @throws LabError "usage" unless the value is a plain decimal number */
function decimal(flags: ParsedFlags, name: string): number | undefined {
  const value = flags.text(name);
  if (value !== undefined && !/^\d{1,9}(\.\d{1,6})?$/.test(value)) {
    throw new LabError("usage", `--${name} wants a number, not "${value}"`);
  }
  return value === undefined ? undefined : Number(value);
}
