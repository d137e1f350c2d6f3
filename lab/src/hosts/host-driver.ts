import type { HostFiles } from "../run-directory.ts";
import type { Clock, Deadline } from "../system/clock.ts";
import type { LabOptions } from "../options.ts";
import type { Requirement } from "../requirements.ts";
import type { RunningProcess } from "../system/processes.ts";
import type { HostPlan } from "../topology.ts";
import type { Anchor } from "./anchor.ts";

/**
 * What hosts are made of. A driver runs in the supervisor: whatever it starts is in the lab's PID namespace, and ends with
 * it. Links, pods, agents, faults and witnesses are the same with every driver.
 */
export interface HostDriver {
  /**
   * Once, before the first host. Says in a few words what hosts are made of.
   * @throws LabError "requirement-missing" or "lab-broke"
   */
  open(waiting: { readonly deadline: Deadline; readonly signal: AbortSignal }): Promise<string>;
  /**
   * A machine with the plan's name, a network, a /run and a /var/lib/flannel of its own, that forwards; `files.run` and `files.state`
   * are those. Its link `eth0` has
   * the plan's addresses and routes, and an end named as the host in the network namespace of PID 1, not yet plugged in.
   * @throws LabError "command-failed"
   */
  makePlace(plan: HostPlan, files: HostFiles): Promise<HostPlace>;
}

/** The place that a host's agent and pods live in. Processes are known in it by the ids that the lab knows them by. */
export interface HostPlace extends Anchor {
  /**
   * Starts a program in the place, in a process group of its own, that writes to the end of `files.agentLog`.
   * @throws LabError "command-failed" when it cannot be started
   */
  start(
    argv: readonly string[],
    environment: Readonly<Record<string, string>>,
  ): Promise<RunningProcess>;
}

/** What a lab lends to its driver. */
export interface DriverDeps {
  /** Of this one lab among all, in letters and digits. */
  readonly labId: string;
  readonly runDirectory: string;
  readonly options: LabOptions;
  readonly clock: Clock;
}

export interface HostDriverDefinition {
  /** What of the machine it needs beyond what every lab does. */
  readonly requirements: readonly Requirement[];
  /** Why it cannot work for this user at all; undefined where it can. */
  refusal(): string | undefined;
  create(deps: DriverDeps): HostDriver;
  /**
   * Tries whether hosts can be made, and says what they would be.
   * @throws LabError with what does not work
   */
  examine(): Promise<string>;
  /** Removes what a lab that ended has left outside of its namespaces and its run directory. */
  sweep(labId: string): Promise<void>;
}
