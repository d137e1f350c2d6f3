import { LabError } from "../errors.ts";
import { formatFlaky } from "../report/flaky.ts";
import { formatJUnit } from "../report/junit.ts";
import { formatPage } from "../report/page/page.ts";
import { formatPhases } from "../report/phases.ts";
import { readStories } from "../report/run-store.ts";
import { formatScenarioTable } from "../report/scenario-table.ts";
import type { Story } from "../report/story.ts";
import { formatTotals, formatVerdictLine } from "../report/terminal-summary.ts";
import { exitCodeOfRuns } from "../report/verdict.ts";
import { dirname, join, resolve } from "node:path";
import { isPacketFile } from "../watch/pcapng.ts";
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
    table: {
      type: "boolean",
      help: "print a table instead of a line a run: scenario by backend and families, with verdicts and seconds",
    },
    phases: {
      type: "boolean",
      help: "print where the time went: set-up, steps, last look, tear-down",
    },
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
        writeText(file, format(stories, dirname(resolve(file))));
      }
    }
    const style = { colour: terminal.isInteractive };
    const told = [
      ...(flags.isOn("table") ? [formatScenarioTable(stories)] : []),
      ...(flags.isOn("phases") ? [formatPhases(stories)] : []),
    ];
    const lines = stories.map(
      (story) => formatVerdictLine(story, style) + formatPacketFiles(story),
    );
    terminal.out(told.length > 0 ? told.join("\n") : lines.join(""));
    terminal.out(formatTotals(stories) + formatFlaky(stories));
    return Promise.resolve(exitCodeOfRuns(stories.map(({ judgement }) => judgement)));
  },
};

/** Where the packets of its violations are, a line each. */
function formatPacketFiles({ violations, folder = "" }: Story): string {
  return violations
    .flatMap(({ id, evidence }) =>
      evidence.filter(isPacketFile).map((file) => `    packets of ${id}: ${join(folder, file)}\n`),
    )
    .join("");
}
