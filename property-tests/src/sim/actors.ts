/** Who acts in a simulated world, as the others see them: the world, its machines, their agents, and who watches it all. */
import type { Ip } from "agent/core/ip.ts";
import type { Lease } from "agent/core/lease.ts";
import type { NetworkConfig } from "agent/core/network-config.ts";
import type { Change, Kernel } from "agent/kernel/kernel.ts";
import type { MemoryKernel } from "agent/kernel/memory-kernel.ts";
import type { KeyValueStore } from "agent/subnet-manager/etcd/key-value-store.ts";
import type { MemoryDatabase } from "agent/subnet-manager/etcd/memory-database.ts";
import type { MemoryMember } from "agent/subnet-manager/etcd/memory-member.ts";
import type { SubnetManager } from "agent/subnet-manager/subnet-manager.ts";
import type { Clock } from "agent/system/clock.ts";
import type { Files } from "agent/system/files.ts";
import type { Verb } from "agent/subnet-manager/etcd/memory-store.ts";
import type { MemoryFiles } from "agent/system/memory-files.ts";
import type { Random } from "agent/system/random.ts";
import type { Arrival, Uplink } from "./sim-store.ts";
import type { AgentClock, ClockErrors, SimTime, TrueClock } from "./sim-time.ts";

export const PREFIX = "/coreos.com/network";
export const SUBNETS: string = `${PREFIX}/subnets/`;
export const CONFIG_KEY: string = `${PREFIX}/config`;
export const SUBNET_FILE = "/run/flannel/subnet.env";
export const STATE_DIRECTORY = "/var/lib/flannel";

/** Puts a mutation between an agent and its ports: what a test double does wrong on purpose. */
export interface Mutation {
  readonly wrapStore?: ((store: KeyValueStore, node: SimNode) => KeyValueStore) | undefined;
  readonly wrapKernel?: ((kernel: Kernel, node: SimNode) => Kernel) | undefined;
  readonly wrapSubnetManager?:
    | ((manager: SubnetManager, node: SimNode) => SubnetManager)
    | undefined;
  /** The clock that the agent goes by; its connection to the store keeps its own. */
  readonly wrapClock?: ((clock: Clock, node: SimNode) => Clock) | undefined;
  readonly wrapFiles?: ((files: Files, node: SimNode) => Files) | undefined;
}

export interface WorldOptions extends Mutation {
  readonly seed: number;
  readonly nodes: number;
  readonly ttlSeconds: number;
  readonly renewMarginMinutes: number;
  readonly members: 1 | 3;
  readonly framing: "whole" | "cut" | "pieces";
  /** Machines are dealt to the segments in turn, with a router between them; 1 when absent. */
  readonly segments?: number;
}

export interface World {
  readonly options: WorldOptions;
  readonly time: SimTime;
  readonly clock: TrueClock;
  readonly database: MemoryDatabase;
  readonly random: Random;
  readonly observer: Observer;
  /** The store begins to carry out a request; the returned function is told what came of it. */
  arriving(process: AgentProcess, arrival: Arrival): (result: unknown) => void;
}

/** A machine: what outlives an agent, and the agent that runs on it. */
export interface SimNode {
  readonly world: World;
  readonly name: string;
  readonly publicIp: Ip;
  readonly publicIpv6: Ip;
  readonly uplink: Uplink;
  /** Whom it talks to; undefined for the leader. */
  readonly member: MemoryMember | undefined;
  readonly files: MemoryFiles;
  readonly kernel: MemoryKernel;
  /** Whether its agents run with -ip-blackhole-route. */
  readonly keepsBlackholes: boolean;
  /** When its kernel was started last, and what names that start. */
  readonly boot: { readonly id: string; readonly atMs: number };
  /** Of the external interface, in bytes. */
  readonly mtu: number;
  /** While false, what the kernel tells of its changes is lost, and nobody says so. */
  hearsKernel: boolean;
  readonly clockErrors: ClockErrors;
  readonly agent: AgentProcess | undefined;
  /** When a fault touched it last, by itself or through the store, in true time. */
  troubledAtMs: number;
  /** What the kernel printed before any agent came. */
  readonly foreign: string;
  /** The types of backend that its agents had with this kernel. */
  readonly backendsSinceBoot: Set<string>;
  /** Whether it reaches an address of the underlay without a gateway. */
  isOnLink(address: string): boolean;
  /** Talks to another member from now on, as many further on; ends its watches. */
  failOver(by: number): void;
  /** Its agent ended by itself or was stopped. */
  ended(process: AgentProcess): void;
}

export type Outcome = { readonly stopped: true } | { readonly error: Error };

/** One life of one agent. */
export interface AgentProcess {
  readonly node: SimNode;
  /** Counts the lives in this world, so that each can be told from the one before. */
  readonly number: number;
  readonly clock: AgentClock;
  /** The address its machine had when it started. */
  readonly publicIp: Ip;
  /** The configuration it read at its start. */
  readonly config: NetworkConfig | undefined;
  /** What it holds the lease of, as far as it knows. */
  readonly lease: Lease | undefined;
  /** The peers it knows of, once it knows any. */
  readonly peers: readonly Lease[] | undefined;
  readonly ready: boolean;
  readonly running: boolean;
  readonly paused: boolean;
  /** How often it was paused so far. */
  readonly pauses: number;
  readonly outcome: Outcome | undefined;
  readonly startedMs: number;
}

/** What somebody else did to a kernel: deleted a device, deleted or altered an object, the same without an event, another MTU of the card. */
export type Drift = "device" | "object" | "unheard object" | "card";

/** Who sees what happens; `Checks` is one. */
export interface Observer {
  /** The store carries out a request of this process; the returned function runs after it. */
  arriving(process: AgentProcess, arrival: Arrival): (result: unknown) => void;
  /** After each change of the store. `by` is undefined for the operator and for leases that ran out. */
  changed(by: AgentProcess | undefined): void;
  sent(process: AgentProcess, request: Arrival): void;
  answered(process: AgentProcess, verb: Verb, result: unknown): void;
  leased(process: AgentProcess): void;
  peers(process: AgentProcess): void;
  readiness(process: AgentProcess): void;
  applying(process: AgentProcess, changes: readonly Change[]): void;
  writing(process: AgentProcess, path: string, text: string): void;
  logged(process: AgentProcess, level: string, text: string): void;
  started(process: AgentProcess): void;
  ended(process: AgentProcess): void;
  /** Told just after it was done, before the agent can see it. */
  drifted(node: SimNode, drift: Drift): void;
}
