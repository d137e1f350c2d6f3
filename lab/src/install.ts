import { exitCodeOf, messageOf } from "./errors.ts";
import { ensureRequirements } from "./requirements.ts";
import { processTerminal } from "./system/terminal.ts";

/** `node lab/src/install.ts`: installs the system packages that the lab and the tests need, or says how. */
try {
  await ensureRequirements({ install: true, say: processTerminal.error });
} catch (error) {
  processTerminal.error(`install: ${messageOf(error)}\n`);
  process.exitCode = exitCodeOf(error);
}
