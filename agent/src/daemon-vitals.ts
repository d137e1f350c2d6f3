/** What an agent knows of itself, for whoever asks: nothing here decides anything, and asking costs nobody else time. */
import type { Backend } from "./backends/backend.ts";
import type { Cidr, Ip, PerFamily } from "./core/ip.ts";
import type { Lease } from "./core/lease.ts";
import type { NetworkConfig } from "./core/network-config.ts";
import type { PastPass, ReconcileCounters } from "./daemon-counters.ts";
import type { Reconciler } from "./daemon-loop.ts";
import { Readiness } from "./daemon-readiness.ts";
import type { Hindrance } from "./daemon-readiness.ts";
import type { RuleKeeper } from "./daemon-rules.ts";
import type { KernelObject, Scope } from "./kernel/kernel.ts";
import type { StoreState, SubnetManager } from "./subnet-manager/subnet-manager.ts";

/** What an agent is at; the first five wait for something. */
export type Stage =
  | "waiting for the network config"
  | "choosing the external interface"
  | "making the device"
  | "acquiring a lease"
  | "waiting for the leases of the peers"
  | "programming the peers"
  | "running"
  | "stopping";

/** A peer or the node itself, as the store knows it. */
export type LeaseState = Pick<Lease, "subnets" | "publicIps" | "backendType">;

/** Plain data, so that it crosses processes; everything is as of one moment. */
export interface AgentState {
  readonly stage: Stage;
  readonly ready: boolean;
  readonly hindrances: readonly Hindrance[];
  /** Absent before it was acquired. */
  readonly lease?: LeaseState;
  /** Absent before it was opened. */
  readonly backend?: BackendState;
  /** Absent before there is a subnet manager. */
  readonly store?: StoreState;
  readonly peers: readonly LeaseState[];
  readonly complaints: readonly string[];
  readonly refusals: readonly { readonly message: string; readonly nextTrySeconds?: number }[];
  /** The last pass of each cause, the newest first. */
  readonly passes: readonly PassState[];
  /** Absent before the first pass. */
  readonly counters?: ReconcileCounters;
}

export interface BackendState {
  readonly type: string;
  /** Largest pod packet in bytes. */
  readonly mtu: number;
  /** Of this node, as peers are told. */
  readonly publicIps: PerFamily<Ip>;
  /** Its devices. */
  readonly links: readonly string[];
  /** The pod networks. */
  readonly networks: PerFamily<Cidr>;
}

export interface PassState extends Omit<PastPass, "endedMs"> {
  readonly secondsAgo: number;
}

/** What the kernel should hold, for whoever looks whether it does. */
export interface WishState {
  readonly scope: Scope;
  readonly objects: readonly KernelObject[];
}

/** What there is of an agent from the moment its device is to be made. */
interface Parts {
  readonly config: NetworkConfig;
  readonly backend: () => Backend;
  readonly own: () => Lease | undefined;
  readonly reconciler: Reconciler;
}

/** Filled in by the daemon as its life goes on. */
export class Vitals {
  readonly readiness: Readiness = new Readiness();
  stage: Stage = "waiting for the network config";
  subnetManager: Pick<SubnetManager, "state"> | undefined;
  parts: Parts | undefined;
  /** Undefined where nobody holds rules. */
  rules: Pick<RuleKeeper, "complaints"> | undefined;

  /** @param nowMs of the clock that the daemon has */
  state(nowMs: number): AgentState {
    const { stage, readiness, subnetManager, parts } = this;
    const reconciled = parts?.reconciler.state();
    const own = parts?.own();
    return {
      stage,
      ready: readiness.isReady,
      hindrances: readiness.hindrances,
      ...(own === undefined ? {} : { lease: leaseState(own) }),
      ...(parts === undefined ? {} : { backend: backendState(parts) }),
      ...(subnetManager === undefined ? {} : { store: subnetManager.state() }),
      peers: (reconciled?.peers ?? []).map(leaseState),
      complaints: [...(reconciled?.complaints ?? []), ...(this.rules?.complaints() ?? [])],
      refusals: reconciled?.refusals ?? [],
      passes: (reconciled?.passes ?? []).map(({ endedMs, ...pass }) => ({
        ...pass,
        secondsAgo: (nowMs - endedMs) / 1_000,
      })),
      ...(reconciled === undefined ? {} : { counters: reconciled.counters }),
    };
  }

  /** Undefined before the first pass. */
  wish(): WishState | undefined {
    const wish = this.parts?.reconciler.state().wish;
    return wish === undefined ? undefined : { scope: wish.scope, objects: wish.objects.values() };
  }
}

function leaseState({ subnets, publicIps, backendType }: Lease): LeaseState {
  return { subnets, publicIps, backendType };
}

function backendState({ config, backend, own }: Parts): BackendState {
  const { attributes, mtu, planner } = backend();
  const links = planner.planNode(own()).filter((object) => object.kind === "link");
  const { 4: first, 6: second } = config.ranges;
  return {
    type: config.backendType,
    mtu,
    publicIps: attributes.publicIps,
    links: links.map(({ name }) => name),
    networks: {
      ...(first === undefined ? {} : { 4: first.network }),
      ...(second === undefined ? {} : { 6: second.network }),
    },
  };
}
