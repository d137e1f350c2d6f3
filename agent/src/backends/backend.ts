/**
 * A backend is one way to carry pod traffic between nodes: a pure plan over the kernel's words. `open` looks once at what a
 * predecessor left (to keep its hardware address) and reads its options; everything after that is `plan`, values to values.
 * The daemon makes the kernel match the plan; no backend writes to it.
 */
import type { ExternalInterface } from "../core/external-interface.ts";
import type { Ip } from "../core/ip.ts";
import type { Lease, LeaseAttributes } from "../core/lease.ts";
import type { NetworkConfig } from "../core/network-config.ts";
import type { Kernel } from "../kernel/kernel.ts";
import type { Plan, PlanInput, Planner } from "./peer-plans.ts";
import type { Log } from "../system/log.ts";
import type { Random } from "../system/random.ts";

export { PeerPlans, wholePlan } from "./peer-plans.ts";
export type { PeerPlan, PeersChange, Plan, PlanChange, PlanInput, Planner } from "./peer-plans.ts";
export { enabledFamilies } from "./peers.ts";
export type { Rejection, SelectedPeer } from "./peers.ts";

export interface BackendContext {
  readonly networkConfig: NetworkConfig;
  /** The lease this node held before, if any: keep the VTEP MAC, keep the key. */
  readonly previousLease: Lease | undefined;
  /** Those of all other nodes, so that what tells us apart from them can be checked; none when absent. */
  readonly otherLeases?: readonly Lease[];
  readonly externalInterface: ExternalInterface;
  readonly kernel: Kernel;
  readonly random: Random;
  readonly log: Log;
}

export interface BackendDefinition {
  /** `Backend.Type` in net-conf.json, lower case. */
  readonly type: string;
  /** @throws AgentError "config-invalid" */
  open(context: BackendContext): Promise<Backend>;
}

export interface Backend {
  /** Published in our own lease for peers to read. */
  readonly attributes: LeaseAttributes;
  /** Largest pod packet, in bytes, that fits through after encapsulation. */
  readonly mtu: number;
  /** Addresses whose route decides between direct and encapsulated; empty when the plan does not depend on routes. */
  lookups(peers: readonly Lease[]): readonly Ip[];
  /** What the kernel should hold, peer by peer: what is said of one is true whoever else there is. */
  readonly planner: Planner;
  /** The whole of it at once: `wholePlan` of the planner. */
  plan(input: PlanInput): Plan;
  /**
   * The same for the external interface as it is now: what identifies this node to its peers (MAC, key) stays.
   * @throws AgentError "config-invalid" when this interface cannot carry it
   */
  onto(externalInterface: ExternalInterface): Backend;
  /** Lets go of what `open` holds. Leaves the data path up: pods keep talking while the agent restarts. */
  close(): Promise<void>;
}
