import { useCompileCache } from "./system/compile-cache.ts";

useCompileCache();
// Loaded only now, so that it comes from the cache.
const { runCommandLine } = await import("./commands/command-line.ts");
const { processTerminal, tolerateClosedOutput } = await import("./system/terminal.ts");
tolerateClosedOutput();
process.exitCode = await runCommandLine(process.argv.slice(2), processTerminal);
