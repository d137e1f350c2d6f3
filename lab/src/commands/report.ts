import { LabError } from "../errors.ts";
import { formatFlaky } from "../report/flaky.ts";
import { formatJUnit } from "../report/junit.ts";
import { formatPage } from "../report/page/page.ts";
import { readStories } from "../report/run-store.ts";
import { formatTotals, formatVerdictLine } from "../report/terminal-summary.ts";
import { exitCodeOfRuns } from "../report/verdict.ts";
import { writeText } from "../system/files.ts";
import type { Command } from "./command.ts";
import { parseFlags } from "./flags.ts";

export const report: Command = {
  name: "report",
  usage: "RUN [FLAGS]",
  summary:
    "Says again what a run, or a folder of runs, came to; the exit code is that of the run: 0 pass, 1 fail, 2 unknown, 70 the lab broke.",
  flags: {
    html: { type: "string", value: "FILE", help: "write a page that needs nothing but itself" },
    junit: { type: "string", value: "FILE", help: "write JUnit XML" },
  },
  operands: ["file"],
  run: (argv, terminal) => {
    const flags = parseFlags(report, argv, { maxPositionals: 1 });
    const [run] = flags.positionals;
    if (run === undefined) {
      throw new LabError("usage", "lab report wants the folder of a run, or its run.jsonl");
    }
    const stories = readStories(run);
    const writers = { html: formatPage, junit: formatJUnit };
    for (const [flag, format] of Object.entries(writers)) {
      const file = flags.text(flag);
      if (file !== undefined) {
        writeText(file, format(stories));
      }
    }
    const style = { colour: terminal.isInteractive };
    terminal.out(stories.map((story) => formatVerdictLine(story, style)).join(""));
    terminal.out(formatTotals(stories) + formatFlaky(stories));
    return Promise.resolve(exitCodeOfRuns(stories.map(({ judgement }) => judgement)));
  },
};
