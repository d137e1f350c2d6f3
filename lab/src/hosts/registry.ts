import { LabError } from "../errors.ts";
import type { HostDriverName } from "../options.ts";
import type { Requirement } from "../requirements.ts";
import { container } from "./container/index.ts";
import type { HostDriverDefinition } from "./host-driver.ts";
import { netns } from "./netns/index.ts";

/** Every driver, by what `--driver` calls it. */
export const DRIVERS: Readonly<Record<HostDriverName, HostDriverDefinition>> = { netns, container };

/**
 * What of the machine a lab with the driver needs beyond what every lab does.
 * @throws LabError "requirement-missing" where it cannot work whatever is installed
 */
export function requirementsOfDriver(name: HostDriverName): readonly Requirement[] {
  const refusal = DRIVERS[name].refusal();
  if (refusal !== undefined) {
    throw new LabError("requirement-missing", refusal);
  }
  return DRIVERS[name].requirements;
}
