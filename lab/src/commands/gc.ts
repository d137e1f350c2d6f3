import { basename } from "node:path";
import {
  findLabs,
  type FoundLab,
  removeDeadLab,
  removeLabsDirectoryIfEmpty,
} from "../observe/dead-labs.ts";
import { labsDirectory } from "../system/machine.ts";
import { formatTable } from "../table.ts";
import type { Command } from "./command.ts";
import { JSON_FLAG, parseFlags } from "./flags.ts";

/** A directory and what became of it. */
export interface Collected extends FoundLab {
  readonly outcome: "removed" | "would be removed" | "left alone";
}

export const gc: Command = {
  name: "gc",
  usage: "[FLAGS]",
  summary:
    "Removes what dead labs left: their directories with logs, state and sockets. Labs that run are not touched.",
  flags: {
    "dry-run": { type: "boolean", help: "only say what would be removed" },
    json: JSON_FLAG,
  },
  run: async (argv, terminal) => {
    const flags = parseFlags(gc, argv, { maxPositionals: 0 });
    const directory = labsDirectory();
    const dryRun = flags.isOn("dry-run");
    const collected: Collected[] = [];
    for (const lab of await findLabs(directory)) {
      collected.push({ ...lab, outcome: await collect(lab, dryRun) });
    }
    if (!dryRun) {
      removeLabsDirectoryIfEmpty(directory);
    }
    terminal.out(
      flags.isOn("json")
        ? `${JSON.stringify({ directory, labs: collected }, undefined, 2)}\n`
        : formatCollected(directory, collected),
    );
    return 0;
  },
};

/** One line for each that is dead or unclear; labs that run are only counted. */
export function formatCollected(directory: string, collected: readonly Collected[]): string {
  const told = collected.filter(({ fate }) => fate !== "alive");
  const running = collected.length - told.length;
  const rows = told.map(({ path, fate, outcome, why }) => [
    `${fate === "unclear" ? "?" : outcome === "removed" ? "✓" : "-"} ${basename(path)}`,
    outcome,
    why,
  ]);
  const nothing = `no dead lab is in ${directory}${running === 0 ? "" : `; ${running} running`}\n`;
  return told.length === 0 ? nothing : formatTable(rows);
}

async function collect(lab: FoundLab, dryRun: boolean): Promise<Collected["outcome"]> {
  if (lab.fate !== "dead") {
    return "left alone";
  }
  if (dryRun) {
    return "would be removed";
  }
  return (await removeDeadLab(lab)) ? "removed" : "left alone";
}
