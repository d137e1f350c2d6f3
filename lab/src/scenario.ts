/** Types only: a scenario is data that prints, lists and goes into a report; `scenario-run.ts` acts it out. */

export interface Scenario {
  readonly name: string;
  /** What goes wrong without what it checks, and where that was seen. */
  readonly why: string;
  /** Ids of the invariants it stands for. */
  readonly invariants: readonly string[];
  readonly nodes: number;
  /** Of the store; one unless said. */
  readonly storeMembers?: number;
  /** Whether the store refuses whoever is not one of its users. */
  readonly storeAuth?: boolean;
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
  /** Only `lab run` runs it; without this the test level that runs on each push does too. */
  readonly runs?: "on-request";
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
  /** The same, counted from the moment the last fault's effect was seen; the time it took is measured. */
  | "repaired"
  /** What the `foreign-…` faults made is there as they made it. */
  | "foreign-objects-stay"
  /** Every node that had a subnet at the last `remember-subnets` has the same one, in the store and in subnet.env. */
  | "subnets-are-kept"
  /** No agent runs whose subnet is in the lease of an owner that is no host; there must be such a lease. */
  | "nobody-runs-on-anothers-lease"
  /** The probe that was stopped last got an answer to every packet. */
  | "no-packet-lost"
  /** The probe that was stopped last was never without an answer for longer than `withinMs`. */
  | "gap-at-most"
  /** From every pod the largest packet that must not be fragmented is as long as FLANNEL_MTU says, and one byte more is not. */
  | "largest-packet-is-mtu";

/** A fault of `lab/src/faults`, and how long it lasts: until the next `heal` unless said. */
export type FaultStep = Fault & { readonly forMs?: number };

/** The names are those of `lab/src/faults/registry.ts`; the members beside `node` are the fault's parameters. */
export type Fault =
  | { readonly fault: "kill-agent" | "stop-agent" | "pause-agent"; readonly node: number }
  | {
      readonly fault: "restart-agent";
      readonly node: number;
      readonly signal?: "term" | "kill";
    }
  | {
      readonly fault: "clock-jump";
      readonly node: number;
      /** Such as `1h`. */
      readonly by: string;
      readonly towards?: "future" | "past";
    }
  /** It jumps ahead by that, such as `1h`, and back, every 100 ms. */
  | { readonly fault: "clock-strobe"; readonly node: number; readonly by: string }
  /** Its pace is in percent of the machine's clock. */
  | { readonly fault: "clock-drift"; readonly node: number; readonly pace: number }
  /** On a machine that has been up for that, such as `9600h`, when the agent starts. */
  | { readonly fault: "long-uptime"; readonly node: number; readonly up: string }
  /** Its agent starts when it is healed. */
  | { readonly fault: "reboot-host"; readonly node: number; readonly run?: "lost" | "kept" }
  | { readonly fault: "delete-link"; readonly node: number; readonly link: string }
  | { readonly fault: PeerObjectFault; readonly node: number; readonly peer: number }
  | {
      readonly fault: "flush-routes" | "foreign-device" | "read-only-run";
      readonly node: number;
    }
  /** Of the time in which it may run; 10 unless said. */
  | { readonly fault: "throttle-agent"; readonly node: number; readonly percent?: number }
  | { readonly fault: "foreign-route"; readonly node: number; readonly to?: string }
  | { readonly fault: "change-address"; readonly node: number }
  | { readonly fault: "change-mtu"; readonly node: number; readonly mtu: number }
  | { readonly fault: "change-mac"; readonly node: number; readonly link: string }
  | { readonly fault: "link-flap"; readonly node: number; readonly side?: "host" | "switch" }
  | {
      readonly fault: "partition";
      readonly node: number;
      readonly from?: "all" | "store" | "peers";
      readonly direction?: FlowDirection;
    }
  | {
      readonly fault: "loss" | "duplicate";
      readonly node: number;
      readonly percent: number;
      readonly direction?: FlowDirection;
    }
  | {
      readonly fault: "reorder" | "corrupt";
      readonly node: number;
      readonly percent: number;
      readonly direction?: FlowDirection;
      /** Unless it is said it comes from the seed of the run and the number of the step. */
      readonly seed?: number;
    }
  | {
      readonly fault: "partition-pair";
      readonly node: number;
      readonly peer: number;
      readonly direction?: FlowDirection;
    }
  | { readonly fault: "partition-ring" }
  | {
      readonly fault: "black-hole";
      readonly node: number;
      readonly peer: number;
      readonly port?: number;
      readonly direction?: FlowDirection;
    }
  | {
      readonly fault: "delay";
      readonly node: number;
      readonly ms: number;
      readonly direction?: FlowDirection;
    }
  | {
      readonly fault: "jitter";
      readonly node: number;
      readonly ms: number;
      readonly direction?: FlowDirection;
      /** Unless it is said it comes from the seed of the run and the number of the step. */
      readonly seed?: number;
    }
  | { readonly fault: "reset-connections"; readonly node: number }
  | {
      readonly fault: "rate";
      readonly node: number;
      readonly kbit: number;
      readonly direction?: FlowDirection;
    }
  | { readonly fault: "stop-store" | "pause-store" | "compact-store" }
  | {
      readonly fault: "stop-member" | "pause-member" | "isolate-member";
      /** As things are when it strikes; or a member by its number. */
      readonly member?: "leader" | "follower" | number;
    }
  | { readonly fault: "change-leader" | "lose-quorum" | "fill-store" | "expire-tokens" }
  /** Healing takes the store back to what it was when this struck. */
  | { readonly fault: "roll-back-store" }
  /** Such as `100ms`. */
  | { readonly fault: "compact-often"; readonly every?: string }
  /** Nodes with the next numbers, or those with the highest; three unless said. */
  | { readonly fault: "join-storm" | "leave-storm"; readonly hosts?: number }
  | { readonly fault: "rolling-restart"; readonly signal?: "term" | "kill" }
  | { readonly fault: "swap-addresses"; readonly node: number; readonly peer: number }
  | {
      readonly fault: "delete-lease" | "expire-lease" | "overwrite-lease" | "reserve-lease";
      readonly node: number;
    }
  | {
      readonly fault: "poison-key";
      /** What cannot be read: the key, by its name, address or length; or the value. */
      readonly poison?:
        | "name"
        | "address"
        | "length"
        | "text"
        | "empty"
        | "null"
        | "types"
        | "huge";
    }
  | {
      readonly fault: "change-config";
      readonly config?: "network" | "backend" | "unreadable" | "gone";
    };

type PeerObjectFault =
  | "delete-route"
  | "delete-neighbour"
  | "delete-fdb"
  | "alter-route"
  | "alter-neighbour"
  | "alter-fdb"
  | "detour";

/** As the host sees it: `out` is what it sends. */
type FlowDirection = "both" | "in" | "out";

export type FaultName = Fault["fault"];

export type ActStep =
  | { readonly act: "start-agent"; readonly node: number }
  | { readonly act: "add-node" }
  /** Its host vanishes and its lease ends, as the store would end it a day later. */
  | { readonly act: "remove-node"; readonly node: number }
  /** A host of the same name and addresses as one that was removed, installed anew. */
  | { readonly act: "return-node"; readonly node: number }
  /** Ends every fault that is still on. */
  | { readonly act: "heal" }
  | { readonly act: "remember-subnets" };

/** Numbered packets from one pod to another, up to 2,000 a second to each of its addresses, until the probe is stopped. */
export type ProbeStep =
  | { readonly probe: "start"; readonly from: number; readonly to: number }
  /** Not before `packets` were sent, both families counted together. */
  | { readonly probe: "stop"; readonly packets?: number };
