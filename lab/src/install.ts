import { exitCodeOf, messageOf } from "./errors.ts";
import { requirementsOfDriver } from "./hosts/registry.ts";
import {
  COMPILER_REQUIREMENTS,
  ensureRequirements,
  FAULT_REQUIREMENTS,
  FIREWALL_REQUIREMENTS,
  LAB_REQUIREMENTS,
} from "./requirements.ts";
import { environmentVariable } from "./system/machine.ts";
import { processTerminal } from "./system/terminal.ts";

/**
 * `node lab/src/install.ts`: installs the system packages that the lab and the tests need, or says how. Docker, which is large, only
 * where `REQUIRE` names it.
 */
try {
  const required = (environmentVariable("REQUIRE") ?? "").split(",").map((word) => word.trim());
  const wantsDocker = required.includes("docker") || required.includes("all");
  await ensureRequirements({
    install: true,
    requirements: [
      ...LAB_REQUIREMENTS,
      ...COMPILER_REQUIREMENTS,
      ...FAULT_REQUIREMENTS,
      ...FIREWALL_REQUIREMENTS,
      ...(wantsDocker ? requirementsOfDriver("container") : []),
    ],
    say: processTerminal.error,
  });
} catch (error) {
  processTerminal.error(`install: ${messageOf(error)}\n`);
  process.exitCode = exitCodeOf(error);
}
