import type { IpFamily } from "../addresses.ts";
import type { LabHost } from "../hosts/host.ts";
import type { FaultRequest } from "../lab.ts";
import type { LeaseDetails } from "../observe/lease-details.ts";
import type { KernelChange } from "../observe/kernel-witness.ts";
import type { FaultName } from "../scenario.ts";
import type { Store } from "../store/store.ts";
import type { Clock } from "../system/clock.ts";

/**
 * One thing that can go wrong. The parts are called in this order: aim, inject, verify until it sees the effect or the time
 * limit is over, heal, verifyHealed likewise. A fault whose effect verify did not see counts as none (invariant F2), so
 * verify looks in another way than inject acts: kernel events, a dump, the process table, a ping, a read of the store.
 */
export interface FaultDefinition<Target> {
  readonly name: FaultName;
  readonly summary: string;
  /** Whether it strikes one host, the store, or all hosts at once. */
  readonly place: "host" | "store" | "lab";
  readonly parameters: ParameterTable;
  /** What of the machine it needs beyond what every lab does; `lab doctor` tries it. */
  readonly needs?: FaultNeed;
  /** Of the store, in a lab that has this fault. */
  readonly membersMin?: number;
  /** Of the store, too. */
  readonly wantsUsers?: true;
  /** For verify, and again for heal with verifyHealed. */
  readonly timeLimitMs: number;
  /**
   * What exactly is to be hit, as it is before anything is changed.
   * @throws LabError "wrong-state" when there is no such thing
   */
  aim(site: FaultSite, request: FaultRequest): Promise<Target>;
  inject(site: FaultSite, target: Target): Promise<void>;
  verify(site: FaultSite, target: Target): Promise<Sighting | undefined>;
  /** Does nothing where the harm is repaired already. */
  heal(site: FaultSite, target: Target): Promise<void>;
  verifyHealed(site: FaultSite, target: Target): Promise<Sighting | undefined>;
}

/** A fault of any target. */
export type AnyFault = FaultDefinition<unknown>;

/** Each with a probe in `lab/src/doctor.ts`. */
export type FaultNeed =
  | "packet-filter"
  | "packet-reset"
  | "packet-copy"
  | "traffic-shaper"
  | "impairment"
  | "faketime"
  | "time-namespace";

export interface Sighting {
  /** Who saw what, in words. */
  readonly saw: string;
  /** When it happened, where that is known better than when it was looked at. Milliseconds of the site's clock. */
  readonly atMs?: number;
}

export type ParameterTable = Readonly<Record<string, Parameter>>;

export interface Parameter {
  readonly help: string;
  /** Stands for a parameter that is not given; one without must be given. */
  readonly byDefault?: string;
  readonly value:
    | { readonly kind: "host" }
    | { readonly kind: "link" }
    | { readonly kind: "prefix" }
    | { readonly kind: "number"; readonly min: number; readonly max: number }
    | { readonly kind: "time"; readonly minMs: number; readonly maxMs: number }
    | { readonly kind: "word"; readonly words: readonly string[] };
}

/** What a fault may look at and touch. */
export interface FaultSite {
  readonly clock: Clock;
  readonly families: readonly IpFamily[];
  readonly store: Store;
  /** Different for every fault of a lab: for names of what it makes. */
  readonly id: string;
  /** The host that is struck. @throws LabError "usage" for a fault without one */
  host(): LabHost;
  /** Any host. @throws LabError "unknown-host" */
  hostNamed(name: string): LabHost;
  otherHosts(): readonly LabHost[];
  /** So many names that no host ever had. */
  newNames(count: number): readonly string[];
  /** Makes a host and starts its agent. */
  addHost(name: string): Promise<void>;
  /** Takes a host away at once, and ends its leases. */
  removeHost(name: string): Promise<void>;
  /** Every live lease, as the store has it. */
  leases(): Promise<readonly LeaseDetails[]>;
  /** What the kernel of the struck host said since the fault began to be injected, oldest first. */
  kernelChanges(): readonly KernelChange[];
}

/** The fault with its types forgotten: the registry and the injector handle all alike. */
export function defineFault<Target>(fault: FaultDefinition<Target>): AnyFault {
  // Each fault gets back only targets that its own aim made.
  return fault;
}
