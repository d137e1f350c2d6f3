import type { IpFamily } from "../addresses.ts";
import type { StoreEntry } from "../lab.ts";
import type { HostKernel } from "../observe/kernel-state.ts";
import type { StoreRequest } from "./witnesses/store-request.ts";

/**
 * What the witnesses of a run see, as values. Checks are folds over these alone, so that they can be tried on any story.
 * Times are milliseconds of the lab's monotonic clock.
 */
export type Sighting =
  | StoreRevision
  | StoreRead
  | KernelChanges
  | KernelBaseline
  | DumpRound
  | ProbeSighting
  | FileSighting
  | StoreRequestSeen
  | ConnectionsOpened
  | AgentWaited
  | StageSighting
  | Blindness;

/**
 * `store`: etcd watch; `kernel`: netlink events; `dump`: full dumps; `probe`: numbered packets; `file`: subnet.env;
 * `request`: etcd's log of requests; `connection`: the hosts' TCP counters; `processor`: what the kernel counts of agents.
 */
export type WitnessName =
  | "store"
  | "kernel"
  | "dump"
  | "probe"
  | "file"
  | "request"
  | "connection"
  | "processor";

/** All changes of one revision below the prefix, together as etcd made them. */
export interface StoreRevision {
  readonly witness: "store";
  readonly kind: "revision";
  readonly at: number;
  readonly revision: number;
  readonly changes: readonly StoreChange[];
}

/** How far the store was when it was asked: what its watch tells up to `newest` was there by then. */
export interface StoreRead {
  readonly witness: "store";
  readonly kind: "read";
  readonly at: number;
  readonly askedAt: number;
  /** The last revision in which a key was put that is there. */
  readonly newest: number;
}

export type StoreChange =
  | {
      readonly kind: "put";
      /** 1 where the key was not there before. */
      readonly version: number;
      readonly entry: StoreEntry;
    }
  | { readonly kind: "delete"; readonly key: string };

export type KernelObject =
  | {
      readonly object: "route";
      readonly family: IpFamily;
      readonly destination: string;
      readonly gateway?: string;
      readonly device: string;
      readonly protocol: number;
    }
  /** Permanent ones only. */
  | {
      readonly object: "neighbour";
      readonly address: string;
      readonly device: string;
      readonly mac: string;
    }
  | {
      readonly object: "fdb";
      readonly mac: string;
      readonly device: string;
      readonly destination: string;
    }
  | { readonly object: "link"; readonly device: string; readonly up: boolean }
  | { readonly object: "address"; readonly device: string; readonly address: string };

export interface KernelChange {
  readonly kind: "put" | "remove";
  readonly object: KernelObject;
  /** Set for a route that took the place of another one for its destination. */
  readonly replaces?: true;
}

/** What one host's kernel did, in its order. */
export interface KernelChanges {
  readonly witness: "kernel";
  readonly kind: "changes";
  readonly at: number;
  readonly host: string;
  readonly changes: readonly KernelChange[];
}

/** What was there when watching began, or began again after events were lost. */
export interface KernelBaseline {
  readonly witness: "kernel";
  readonly kind: "baseline";
  readonly at: number;
  readonly host: string;
  readonly objects: readonly KernelObject[];
}

/** All hosts, dumped one after the other; `at` is before the first, `endAt` after the last. */
export interface DumpRound {
  readonly witness: "dump";
  readonly kind: "round";
  readonly at: number;
  readonly endAt: number;
  readonly hosts: readonly DumpedHost[];
}

export interface DumpedHost {
  readonly host: string;
  readonly kernel: HostKernel;
  readonly links: readonly { readonly name: string; readonly mtu: number }[];
}

export type ProbeSighting = ProbeProgress | ProbeGap | ProbeMisdelivery;

interface OfPair {
  readonly witness: "probe";
  readonly at: number;
  readonly from: string;
  readonly to: string;
  readonly family: IpFamily;
}

/** Packets since the last of these. */
export interface ProbeProgress extends OfPair {
  readonly kind: "progress";
  readonly sent: number;
  readonly received: number;
}

/** From the first packet that was lost to the first that arrived again. */
export interface ProbeGap extends OfPair {
  readonly kind: "gap";
  readonly beginAt: number;
  readonly endAt: number;
  readonly lost: number;
  /** No packet had come this way since both pods are there. */
  readonly isFirst: boolean;
}

/** A packet came to another pod than the one it was for. */
export interface ProbeMisdelivery extends OfPair {
  readonly kind: "misdelivered";
  readonly sentAt: number;
  readonly address: string;
  readonly receivedBy: string;
}

/** subnet.env of a host as it was read after a change; undefined when it is gone. */
export interface FileSighting {
  readonly witness: "file";
  readonly kind: "changed";
  readonly at: number;
  readonly host: string;
  readonly text: string | undefined;
}

/** The store answered a request; the lab's own are among them. */
export interface StoreRequestSeen {
  readonly witness: "request";
  readonly kind: "asked";
  readonly at: number;
  readonly request: StoreRequest;
}

/** TCP connections that a host began since the last of these, answered or not. */
export interface ConnectionsOpened {
  readonly witness: "connection";
  readonly kind: "opened";
  readonly at: number;
  readonly host: string;
  readonly opened: number;
}

/** How long a host's agent, since it was started, had something to do and no processor to do it on. Of its first thread. */
export interface AgentWaited {
  readonly witness: "processor";
  readonly kind: "waited";
  readonly at: number;
  readonly host: string;
  readonly waitedMs: number;
}

/** What the lab itself does, so that the checks know it from what an agent does. */
export type StageSighting = {
  readonly witness: "stage";
  readonly at: number;
} & (
  | { readonly kind: "host-joined"; readonly host: string; readonly publicIps: PerFamily }
  | { readonly kind: "host-left"; readonly host: string }
  | { readonly kind: "agent-started" | "agent-ended"; readonly host: string }
  /** Without a host the fault is at the store or between hosts. Who is deaf does not hear of new peers until it is over. */
  | {
      readonly kind: "fault-began";
      readonly fault: string;
      readonly host?: string;
      readonly deaf?: true;
    }
  /** It still excuses for `resyncMs`; one that echoes, until the witness of its host's kernel has heard of it, too. */
  | {
      readonly kind: "fault-ended";
      readonly fault: string;
      readonly resyncMs?: number;
      readonly echo?: true;
    }
  /** The lab is about to write (or, without a value, delete) a key by its own hand. */
  | { readonly kind: "lab-writes"; readonly key: string; readonly value?: string }
  /** From now on gaps of this length are allowed: of one pair, of all pairs of a host, or, without either, of all. */
  | {
      readonly kind: "gaps-allowed";
      readonly allowance: string;
      readonly maxGapMs: number;
      readonly pair?: { readonly from: string; readonly to: string };
      readonly host?: string;
      /** It ends by itself after this time; without it `allowance-ended` ends it. */
      readonly forMs?: number;
      /** A gap may last as long as the allowance, and `maxGapMs` beyond its end. */
      readonly untilEnd?: boolean;
      /** A gap may be longer by the time in which the host cannot hear from the store. */
      readonly onceHeard?: true;
    }
  | { readonly kind: "allowance-ended"; readonly allowance: string }
);

export type PerFamily = Readonly<Partial<Record<IpFamily, string>>>;

/** A witness missed something, for good: what it did not see cannot be judged. */
export interface Blindness {
  readonly witness: WitnessName;
  readonly kind: "blind";
  readonly at: number;
  readonly host?: string;
  readonly why: string;
}
