/** Types only: a scenario is data that prints, lists and goes into a report; `scenario-run.ts` acts it out. */

export interface Scenario {
  readonly name: string;
  /** What goes wrong without what it checks, and where that was seen. */
  readonly why: string;
  /** Ids of the invariants it stands for. */
  readonly invariants: readonly string[];
  readonly nodes: number;
  /** Each is a run of its own, in a lab of its own. */
  readonly variants: readonly Variant[];
  readonly steps: readonly Step[];
}

export interface Variant {
  /** `Backend.Type` of the network config. */
  readonly backend: string;
  readonly family: "v4" | "dual";
  /** Hosts are dealt to the segments in turn; a router is between them. */
  readonly segments: number;
  /** Members of the `Backend` object beside `Type`. */
  readonly backendOptions?: Readonly<Record<string, unknown>>;
  /** Which pods must reach each other; `all` unless the backend cannot cross a router. */
  readonly reach?: "all" | "same-segment";
}

/** Nodes are numbered from 1, in the order in which they joined. */
export type Step = ExpectStep | FaultStep | ActStep | ProbeStep;

export interface ExpectStep {
  readonly expect: Expectation;
  /** The expectation must become true within this time. */
  readonly withinMs: number;
}

export type Expectation =
  /** Every pod answers every other one's ping, in every family. */
  | "pods-reach-each-other"
  /** Every host's kernel holds the entries of every live lease but its own, and no entry of another. */
  | "kernel-equals-leases"
  /** Every node that had a subnet at the last `remember-subnets` has the same one, in the store and in subnet.env. */
  | "subnets-are-kept"
  /** The probe that was stopped last got an answer to every packet. */
  | "no-packet-lost";

export interface FaultStep {
  readonly fault: "kill-agent" | "stop-agent";
  readonly node: number;
}

export type ActStep =
  | { readonly act: "start-agent"; readonly node: number }
  | { readonly act: "add-node" }
  /** Its host vanishes and its lease ends, as the store would end it a day later. */
  | { readonly act: "remove-node"; readonly node: number }
  | { readonly act: "remember-subnets" };

/** Numbered packets from one pod to another, 200 a second in each family, until the probe is stopped. */
export type ProbeStep =
  | { readonly probe: "start"; readonly from: number; readonly to: number }
  | { readonly probe: "stop" };
