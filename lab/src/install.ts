import { exitCodeOf, messageOf } from "./errors.ts";
import {
  COMPILER_REQUIREMENTS,
  ensureRequirements,
  FAULT_REQUIREMENTS,
  LAB_REQUIREMENTS,
} from "./requirements.ts";
import { processTerminal } from "./system/terminal.ts";

/** `node lab/src/install.ts`: installs the system packages that the lab and the tests need, or says how. */
try {
  await ensureRequirements({
    install: true,
    requirements: [...LAB_REQUIREMENTS, ...COMPILER_REQUIREMENTS, ...FAULT_REQUIREMENTS],
    say: processTerminal.error,
  });
} catch (error) {
  processTerminal.error(`install: ${messageOf(error)}\n`);
  process.exitCode = exitCodeOf(error);
}
