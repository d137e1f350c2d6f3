import { LabError } from "../errors.ts";
import { compareRuns, formatComparison } from "../report/comparison.ts";
import { formatComparisonPage } from "../report/page/page.ts";
import { readStories } from "../report/run-store.ts";
import { writeText } from "../system/files.ts";
import type { Command } from "./command.ts";
import { JSON_FLAG, parseFlags } from "./flags.ts";

export const compare: Command = {
  name: "compare",
  usage: "A B [FLAGS]",
  summary: "Puts two runs, or two folders of runs, side by side: agent by scenario by invariant.",
  flags: {
    html: { type: "string", value: "FILE", help: "also write the table as a page" },
    json: JSON_FLAG,
  },
  operands: ["file", "file"],
  run: (argv, terminal) => {
    const flags = parseFlags(compare, argv, { maxPositionals: 2 });
    const [a, b] = flags.positionals;
    if (a === undefined || b === undefined) {
      throw new LabError("usage", "lab compare wants two runs");
    }
    const comparison = compareRuns(readStories(a), readStories(b));
    const page = flags.text("html");
    if (page !== undefined) {
      writeText(page, formatComparisonPage(comparison));
    }
    terminal.out(
      flags.isOn("json")
        ? `${JSON.stringify(comparison, undefined, 2)}\n`
        : formatComparison(comparison),
    );
    return Promise.resolve(0);
  },
};
