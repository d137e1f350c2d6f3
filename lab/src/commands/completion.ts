import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { connectLab } from "../client.ts";
import { LabError } from "../errors.ts";
import { isAlive, readState } from "../state.ts";
import { listDirectory } from "../system/files.ts";
import { labsDirectory, nodeProgram } from "../system/machine.ts";
import { loadScenarios } from "../system/scenario-files.ts";
import type { Command } from "./command.ts";
import { completionScript, SHELLS } from "./completion-scripts.ts";
import { completeWords, type CompletionSources } from "./completion-words.ts";
import { parseFlags } from "./flags.ts";

const PROGRAM = [nodeProgram(), fileURLToPath(new URL("../main.mjs", import.meta.url))];
/** What the scripts ask with: `lab completion words -- WORD…`. */
const ASK = "words";

/** The verb for a table of verbs, its own among them. */
export function completionOf(commands: Readonly<Record<string, () => Promise<Command>>>): Command {
  const completion: Command = {
    name: "completion",
    usage: SHELLS.join(" | "),
    summary:
      "Prints a script for a shell that completes verbs, flags and their values, hosts and labs: source <(pnpm --silent lab completion bash).",
    flags: {},
    operands: [SHELLS],
    ownWords: ownOf,
    run: async (argv, terminal) => {
      const own = ownOf(argv);
      const [word] = parseFlags(completion, own, { maxPositionals: 1 }).positionals;
      if (word === ASK) {
        const words = argv.slice(own.length + 1);
        const found = await completeWords(words, new Map(Object.entries(commands)), SOURCES);
        terminal.out(found.map((each) => `${each}\n`).join(""));
        return 0;
      }
      const shell = SHELLS.find((candidate) => candidate === word);
      if (shell === undefined) {
        throw new LabError("usage", `lab completion wants one of ${SHELLS.join(", ")}`);
      }
      terminal.out(completionScript(shell, PROGRAM));
      return 0;
    },
  };
  return completion;
}

function ownOf(argv: readonly string[]): readonly string[] {
  const dashes = argv.indexOf("--");
  return dashes < 0 ? argv : argv.slice(0, dashes);
}

/** Who presses a key wants no messages: what cannot be looked up is not offered. */
const SOURCES: CompletionSources = {
  labs: () => {
    const directory = labsDirectory();
    return listDirectory(directory).flatMap((name) => {
      const state = readState(join(directory, name));
      return state !== undefined && state.options.name === name && isAlive(state) ? [name] : [];
    });
  },
  scenarios: async () => {
    try {
      return (await loadScenarios()).map(({ name }) => name);
    } catch (error) {
      return nothingFor(error);
    }
  },
  hosts: async (lab = "default") => {
    try {
      const connection = await connectLab(join(labsDirectory(), lab));
      try {
        const { hosts } = await connection.lab.status({});
        return hosts.map(({ name }) => name);
      } finally {
        connection.close();
      }
    } catch (error) {
      return nothingFor(error);
    }
  },
};

function nothingFor(error: unknown): readonly string[] {
  if (error instanceof LabError) {
    return [];
  }
  throw error;
}
