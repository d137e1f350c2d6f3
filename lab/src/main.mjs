/**
 * Starts the lab's command line. It is JavaScript, since Node needs 60 ms to take the types out of one file, and keeps what is left of all others:
 * the next command finds them without types and compiled. Where the directory cannot be written nothing is kept.
 */
import { enableCompileCache } from "node:module";
import { fileURLToPath } from "node:url";

/** As ENVIRONMENT of system/processes.ts has it for what this starts. */
const COMPILED = fileURLToPath(new URL("../../node_modules/.cache/compiled", import.meta.url));

enableCompileCache(process.env.NODE_COMPILE_CACHE ?? COMPILED);
// Loaded only now, so that they come from the cache.
const { runCommandLine } = await import("./commands/command-line.ts");
const { processTerminal, tolerateClosedOutput } = await import("./system/terminal.ts");
tolerateClosedOutput();
process.exitCode = await runCommandLine(process.argv.slice(2), processTerminal);
