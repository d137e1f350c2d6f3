import type { HealReport } from "../lab.ts";
import { formatTable } from "../table.ts";
import type { Command } from "./command.ts";
import { JSON_FLAG, NAME_FLAG, parseFlags } from "./flags.ts";
import { withLab } from "./open-lab.ts";

export const heal: Command = {
  name: "heal",
  usage: "[all | ID] [FLAGS]",
  summary:
    "Ends one fault, or all, and says who saw that it is over. Exits with 1 when nobody did.",
  flags: { name: NAME_FLAG, json: JSON_FLAG },
  run: async (argv, terminal) => {
    const flags = parseFlags(heal, argv, { maxPositionals: 1 });
    const [id = "all"] = flags.positionals;
    const reports = await withLab(flags, ({ lab }) => lab.healFaults(id === "all" ? {} : { id }));
    terminal.out(flags.isOn("json") ? `${JSON.stringify(reports)}\n` : formatHealed(reports));
    return reports.every(({ saw }) => saw !== undefined) ? 0 : 1;
  },
};

function formatHealed(reports: readonly HealReport[]): string {
  return reports.length === 0
    ? "no fault was on\n"
    : formatTable(
        reports.map(({ id, text, saw, trouble }) => [
          `${saw === undefined ? "✗" : "✓"} ${id}`,
          text,
          saw ?? `still on: ${trouble ?? ""}`,
        ]),
      );
}
