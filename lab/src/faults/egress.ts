import { LabError } from "../errors.ts";
import type { LabHost } from "../hosts/host.ts";
import { run, runChecked } from "../system/processes.ts";
import { EXTERNAL_INTERFACE } from "../topology.ts";
import type { Direction } from "./packet-filter.ts";

/**
 * Faults that act where packets leave for a link, since the kernel queues and copies only there: what a host is sent at its
 * port of the switch, in the supervisor's namespace; what it sends at its own interface, in its own.
 */
export interface Egress {
  readonly device: string;
  /** The command line that runs `argv` where the device is. */
  readonly enter: (argv: readonly string[]) => readonly string[];
}

export function egressesOf(host: LabHost, direction: Direction): readonly Egress[] {
  const toHost: Egress = { device: host.name, enter: (argv) => argv };
  const fromHost: Egress = { device: EXTERNAL_INTERFACE, enter: host.anchor.enter };
  return [...(direction === "out" ? [] : [toHost]), ...(direction === "in" ? [] : [fromHost])];
}

/** A device has one root: faults that queue do not add up. @throws LabError "wrong-state" */
export async function demandNoQueue(egresses: readonly Egress[]): Promise<void> {
  for (const egress of egresses) {
    if (await hasQueue(egress)) {
      throw new LabError(
        "wrong-state",
        `${egress.device} is shaped already: heal that fault first`,
      );
    }
  }
}

/** The words are those after `tc qdisc add dev DEVICE root`. @throws LabError "command-failed" */
export async function addQueue(
  egresses: readonly Egress[],
  discipline: readonly string[],
): Promise<void> {
  for (const { device, enter } of egresses) {
    await runChecked(enter(["tc", "qdisc", "add", "dev", device, "root", ...discipline]));
  }
}

export async function removeQueue(egresses: readonly Egress[]): Promise<void> {
  for (const egress of egresses) {
    if (await hasQueue(egress)) {
      await runChecked(egress.enter(["tc", "qdisc", "del", "dev", egress.device, "root"]));
    }
  }
}

/** Links of a lab have no queue of their own, or the kernel's. */
async function hasQueue({ device, enter }: Egress): Promise<boolean> {
  const { stdout } = await run(enter(["tc", "qdisc", "show", "dev", device]));
  return /^qdisc (tbf|netem) /m.test(stdout);
}
