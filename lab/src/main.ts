import { runCommandLine } from "./commands/command-line.ts";
import { processTerminal, tolerateClosedOutput } from "./system/terminal.ts";

tolerateClosedOutput();
process.exitCode = await runCommandLine(process.argv.slice(2), processTerminal);
