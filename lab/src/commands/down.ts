import { endLab } from "../launch.ts";
import { systemClock } from "../system/clock.ts";
import type { Command } from "./command.ts";
import { JSON_FLAG, NAME_FLAG, parseFlags } from "./flags.ts";
import { runDirectoryOf } from "./open-lab.ts";

export const down: Command = {
  name: "down",
  usage: "[FLAGS]",
  summary: "Ends a lab and removes its run directory. When there is none, there is nothing to do.",
  flags: {
    name: NAME_FLAG,
    keep: { type: "boolean", help: "keep the run directory with its logs" },
    json: JSON_FLAG,
  },
  run: async (argv, terminal) => {
    const flags = parseFlags(down, argv, { maxPositionals: 0 });
    const runDirectory = runDirectoryOf(flags);
    const keep = flags.isOn("keep");
    const startMs = systemClock.nowMs();
    const ended = await endLab(runDirectory, { keep });
    const seconds = (systemClock.nowMs() - startMs) / 1000;
    if (flags.isOn("json")) {
      terminal.out(`${JSON.stringify({ runDirectory, ended, kept: ended && keep, seconds })}\n`);
    } else if (ended) {
      terminal.out(`✓ down ${seconds.toFixed(2)} s${keep ? `, kept ${runDirectory}` : ""}\n`);
    } else {
      terminal.error(`lab: no lab in ${runDirectory}\n`);
    }
    return 0;
  },
};
