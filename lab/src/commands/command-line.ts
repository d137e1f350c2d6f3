import type { Command } from "./command.ts";
import { formatHelp } from "./flags.ts";
import { COMMANDS } from "./registry.ts";
import { exitCodeOf, LabError, messageOf } from "../errors.ts";
import type { Terminal } from "../system/terminal.ts";
import { formatTable } from "../table.ts";

/**
 * The command line: a verb, its flags, an exit code. 0 ok, 1 failure, 64 usage, 70 the lab itself broke, 130 interrupted.
 * Errors are printed, not thrown.
 */
export async function runCommandLine(argv: readonly string[], terminal: Terminal): Promise<number> {
  try {
    const [verb = "--help", ...rest] = argv;
    if (["--help", "-h", "help"].includes(verb)) {
      terminal.out(await formatOverview());
      return 0;
    }
    const command = await loadCommand(verb);
    const own = command.ownWords?.(rest) ?? rest;
    if (own.includes("--help") || own.includes("-h")) {
      terminal.out(formatHelp(command));
      return 0;
    }
    return await command.run(rest, terminal);
  } catch (error) {
    terminal.error(formatError(error));
    return exitCodeOf(error);
  }
}

async function loadCommand(verb: string): Promise<Command> {
  const load = Object.hasOwn(COMMANDS, verb) ? COMMANDS[verb] : undefined;
  if (load === undefined) {
    throw new LabError(
      "usage",
      `unknown verb "${verb}"; known are ${Object.keys(COMMANDS).join(", ")}`,
    );
  }
  return load();
}

async function formatOverview(): Promise<string> {
  const commands = await Promise.all(Object.values(COMMANDS).map((load) => load()));
  const rows = commands.map(({ name, usage, summary }) => [`  lab ${name} ${usage}`, summary]);
  return `A cluster of network namespaces on one machine, with any flanneld.\n\n${formatTable(rows)}\n"lab VERB --help" lists a verb's flags.\n`;
}

function formatError(error: unknown): string {
  if (error instanceof LabError) {
    return `${[`lab: ${error.message}`, ...error.evidence.map((line) => `  ${line}`)].join("\n")}\n`;
  }
  const stack = error instanceof Error ? (error.stack ?? "") : "";
  return `lab: this is a bug of the lab: ${messageOf(error)}\n${stack}\n`;
}
