/** One family of one peer as the plan sees it: what it asks for, whether it gets it, and what is said of it. */
import type { Ip } from "../core/ip.ts";
import type { Lease } from "../core/lease.ts";
import type { KernelObject } from "../kernel/kernel.ts";
import { compareSubnets } from "./peers.ts";
import type { SelectedPeer } from "./peers.ts";

export interface PeerPlan {
  readonly objects: readonly KernelObject[];
  /** What only one holder can have, in a family: of peers with the same `of` and other holders the one with the lowest subnet stays. */
  readonly claim?: { readonly what: string; readonly of: string; readonly holder: Ip };
  /** Programmed, but most likely a mistake of that peer: what, and what follows. */
  readonly warning?: string;
}

/** One family of one peer, and what became of it. */
export interface Candidate {
  readonly peer: SelectedPeer;
  /** What is wrong with it by itself. */
  readonly problem: string | undefined;
  /** While no sound subnet is around it. */
  plan: PeerPlan | { readonly refused: string } | undefined;
  /** What is wished for it now. */
  objects: readonly KernelObject[];
  rejection: string | undefined;
  warning: string | undefined;
  /** Its lease is no more. */
  isGone: boolean;
  /** Among those of which something may have changed. */
  isAsked: boolean;
}

export const NOTHING: readonly KernelObject[] = [];
export const NO_PLAN: PeerPlan = { objects: NOTHING };
export const NOBODY: readonly Candidate[] = [];

/** Each once, in the order in which they were named. */
export class Changed {
  readonly candidates: Candidate[] = [];

  add(candidate: Candidate): void {
    if (candidate.isAsked) return;
    candidate.isAsked = true;
    this.candidates.push(candidate);
  }
}

export function claimOf({ plan }: Candidate): PeerPlan["claim"] {
  return plan === undefined || "refused" in plan ? undefined : plan.claim;
}

/** By those who claim one thing, the one of them with the lowest subnet. */
export type Firsts = Map<readonly Candidate[], SelectedPeer>;

/** `firsts` remembers those that were looked for before. */
export function firstOf(rivals: readonly Candidate[], firsts: Firsts): SelectedPeer {
  const known = firsts.get(rivals);
  if (known !== undefined) return known;
  const { peer } = rivals.reduce((a, b) => (compareSubnets(b.peer, a.peer) < 0 ? b : a));
  firsts.set(rivals, peer);
  return peer;
}

/** The plan of a candidate that is there and not rejected. */
export function grantedTo({ isGone, rejection, plan }: Candidate): PeerPlan | undefined {
  return isGone || rejection !== undefined || plan === undefined || "refused" in plan
    ? undefined
    : plan;
}

export function complaintOf({ peer, rejection, warning }: Candidate): string | undefined {
  if (rejection !== undefined)
    return `skipping peer ${nameOf(peer.lease)}: IPv${peer.family}: ${rejection}`;
  return warning === undefined
    ? undefined
    : `peer ${nameOf(peer.lease)}: IPv${peer.family}: ${warning}`;
}

function nameOf({ subnets, publicIps }: Lease): string {
  const ranges = [subnets[4], subnets[6]].filter((subnet) => subnet !== undefined);
  const addresses = [publicIps[4], publicIps[6]].filter((ip) => ip !== undefined);
  return `${ranges.join(" ")} of ${addresses.length === 0 ? "nobody" : addresses.join(" ")}`;
}
