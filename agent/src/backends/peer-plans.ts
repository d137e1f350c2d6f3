/**
 * Which peers are programmed, and what the kernel holds for them: the same for the same leases, whatever their order and whatever
 * came before. A backend plans one peer at a time, as if there were no other; what depends on others is decided here, in two steps:
 *
 *   leases ─► sound by itself? ─► no sound subnet around it? ─► planner.planPeer ─► nobody lower has its claim? ─► wishes
 *
 * Subnets contain each other or are apart. So of overlapping ones the outermost sound one is programmed, and nothing else has to be known
 * of the rest; of peers with one claim the one with the lowest subnet is. A changed lease is therefore asked about together with
 * the few that overlap it or claim the same, not with all.
 */
import { assert } from "../core/assert.ts";
import { AgentError } from "../core/errors.ts";
import type { Family, Ip } from "../core/ip.ts";
import type { Lease } from "../core/lease.ts";
import type { KernelObject, RouteLookup, Scope } from "../kernel/kernel.ts";
import { Wishes, asWished, finish, identityOf, isStep } from "../kernel/reconcile.ts";
import type { DesiredState, Steps, Wish, WishChanges, Writing } from "../kernel/reconcile.ts";
import {
  Changed,
  NOBODY,
  NOTHING,
  NO_PLAN,
  claimOf,
  complaintOf,
  firstOf,
  grantedTo,
} from "./candidates.ts";
import type { Candidate, Firsts, PeerPlan } from "./candidates.ts";
import { Claims } from "./claims.ts";
import { compareSubnets, peerOf, peerProblem } from "./peers.ts";
import type { PeerRules, Rejection, SelectedPeer } from "./peers.ts";
import { SubnetIndex } from "./subnet-index.ts";

export type { PeerPlan } from "./candidates.ts";

/** A backend's plan, one piece at a time: pure functions of values. */
export interface Planner extends PeerRules {
  readonly scope: Scope;
  /** The families in which peers of this lease's node are programmed. */
  families(own: Lease): readonly Family[];
  /** What the node holds whatever its peers: devices and their addresses, only the devices while `own` is undefined. */
  planNode(own: Lease | undefined): readonly KernelObject[];
  /**
   * What one family of one peer needs, whoever else there is; `route` is the way to its public IP where `lookups` asked for that.
   * @throws AgentError for a peer that cannot be programmed
   */
  planPeer(peer: SelectedPeer, route: RouteLookup | undefined): PeerPlan;
}

export interface PlanInput {
  readonly own: Lease | undefined;
  /** Every peer, own lease not among them. */
  readonly peers: readonly Lease[];
  /** Answers to `lookups`, by destination; a destination without a route is absent. */
  readonly routes: ReadonlyMap<Ip, RouteLookup>;
}

/**
 * What the kernel should hold for these leases; only the device itself, and nothing removed, while `own` is undefined.
 * A family of a peer that cannot be programmed is left out and named in `rejected`; so is a peer of another backend type.
 */
export interface Plan extends DesiredState {
  readonly rejected: readonly Rejection[];
  /** Peers that are programmed, but most likely in vain. */
  readonly warnings: readonly Rejection[];
}

/** What is new since the last plan. */
export interface PeersChange {
  readonly added: readonly Lease[];
  readonly removed: readonly Lease[];
  /** Answers to `lookups`; undefined where the kernel has no route. */
  readonly routes: ReadonlyMap<Ip, RouteLookup | undefined>;
}

/** What follows from it. */
export interface PlanChange {
  readonly wishes: WishChanges;
  /** Why peers are left out or are likely to be cut off, from now on and no longer. */
  readonly complaints: readonly string[];
  readonly settled: readonly string[];
  /** How many times a peer was planned for this. */
  readonly planned: number;
}

export class PeerPlans {
  readonly #planner: Planner;
  readonly #own: Lease | undefined;
  readonly #families: readonly Family[];
  readonly #wishes: Wishes;
  readonly #candidates = new Map<Lease, readonly Candidate[]>();
  readonly #sound: ReadonlyMap<Family, SubnetIndex<Candidate>>;
  readonly #claims: ReadonlyMap<Family, Claims<Candidate>>;
  readonly #routes = new Map<Ip, RouteLookup>();
  #planned = 0;

  /** @param write how wished objects are written into the kernel */
  constructor(planner: Planner, own: Lease | undefined, write: Writing = asWished) {
    this.#planner = planner;
    this.#own = own;
    this.#families = own === undefined ? [] : planner.families(own);
    this.#sound = new Map(
      this.#families.map((family) => [
        family,
        new SubnetIndex<Candidate>((a, b) => compareSubnets(a.peer, b.peer)),
      ]),
    );
    this.#claims = new Map(this.#families.map((family) => [family, new Claims<Candidate>()]));
    this.#wishes = new Wishes(write);
    for (const object of planner.planNode(own)) this.#wishes.add(object);
  }

  get wish(): Wish {
    const { scope } = this.#planner;
    return { scope, objects: this.#wishes.objects, additive: this.#own === undefined };
  }

  /** What is said of peers now. */
  complaints(): readonly string[] {
    return [...this.#candidates.values()]
      .flat()
      .map(complaintOf)
      .filter((complaint) => complaint !== undefined);
  }

  /** Every peer family that was judged, in the order of the subnets within each family. */
  candidates(): readonly Readonly<Candidate>[] {
    const all = [...this.#candidates.values()].flat();
    return this.#families.flatMap((family) =>
      all
        .filter(({ peer }) => peer.family === family)
        .toSorted((a, b) => compareSubnets(a.peer, b.peer)),
    );
  }

  /**
   * Takes in a change. Leases are told apart as objects: a lease with new attributes is one removed and one added.
   * @param isFollowed whether to say what is wished otherwise, which whoever looks at the whole wish need not know
   */
  *update({ added, removed, routes }: PeersChange, isFollowed = true): Steps<PlanChange> {
    this.#planned = 0;
    this.#wishes.isFollowed = isFollowed;
    const changed = new Changed();
    for (let index = 0; index < removed.length; index++) {
      if (isStep(index)) yield;
      const lease = removed[index];
      if (lease === undefined) continue;
      for (const candidate of this.#candidates.get(lease) ?? []) this.#leave(candidate, changed);
      this.#candidates.delete(lease);
    }
    for (let index = 0; index < added.length; index++) {
      if (isStep(index)) yield;
      const lease = added[index];
      if (lease !== undefined && !this.#candidates.has(lease)) this.#enter(lease, changed);
    }
    this.#reroute(routes, changed);
    const { candidates } = changed;
    for (let index = 0; index < candidates.length; index++) {
      if (isStep(index)) yield;
      const candidate = candidates[index];
      if (candidate !== undefined) this.#plan(candidate);
    }
    for (const claims of this.#claims.values())
      for (const candidate of claims.takeContested()) changed.add(candidate);
    return yield* this.#publish(candidates);
  }

  #enter(lease: Lease, changed: Changed): void {
    const own = this.#own;
    if (own === undefined) return;
    let candidates = NOBODY;
    for (let at = 0; at < this.#families.length; at++) {
      const family = this.#families[at];
      const peer = family && peerOf(lease, family);
      if (peer === undefined) continue;
      const candidate: Candidate = {
        peer,
        problem: peerProblem(peer, this.#planner, own),
        plan: undefined,
        objects: NOTHING,
        rejection: undefined,
        warning: undefined,
        isGone: false,
        isAsked: false,
      };
      // As a rule of one family, and there are thousands.
      candidates = candidates.length === 0 ? [candidate] : [...candidates, candidate];
      changed.add(candidate);
      if (candidate.problem !== undefined) continue;
      const index = this.#index(peer.family);
      if (index.add(peer.subnet, candidate) && index.isNested)
        for (const other of index.within(peer.subnet)) changed.add(other);
    }
    this.#candidates.set(lease, candidates);
  }

  #leave(candidate: Candidate, changed: Changed): void {
    candidate.isGone = true;
    changed.add(candidate);
    if (candidate.problem !== undefined) return;
    const { family, subnet } = candidate.peer;
    const index = this.#index(family);
    if (index.remove(subnet, candidate))
      for (const other of index.within(subnet)) changed.add(other);
  }

  /** Peers that are reached in another way than before are planned anew. */
  #reroute(routes: PeersChange["routes"], changed: Changed): void {
    const moved = new Set<Ip>();
    for (const [destination, route] of routes) {
      if (isSameRoute(this.#routes.get(destination), route)) continue;
      if (route === undefined) this.#routes.delete(destination);
      else this.#routes.set(destination, route);
      moved.add(destination);
    }
    if (moved.size === 0) return;
    for (const candidates of this.#candidates.values())
      for (const candidate of candidates)
        if (moved.has(candidate.peer.publicIp) && candidate.plan !== undefined) {
          this.#withdraw(candidate);
          changed.add(candidate);
        }
  }

  /** Gives a candidate its plan, or takes it away. */
  #plan(candidate: Candidate): void {
    const isWanted =
      !candidate.isGone && candidate.problem === undefined && this.#outer(candidate) === undefined;
    if (!isWanted) this.#withdraw(candidate);
    else if (candidate.plan === undefined) {
      candidate.plan = this.#ask(candidate.peer);
      const claim = claimOf(candidate);
      if (claim !== undefined) this.#claimsIn(candidate.peer.family).add(claim.of, candidate);
    }
  }

  #withdraw(candidate: Candidate): void {
    const claim = claimOf(candidate);
    candidate.plan = undefined;
    if (claim !== undefined) this.#claimsIn(candidate.peer.family).remove(claim.of, candidate);
  }

  #ask(peer: SelectedPeer): PeerPlan | { readonly refused: string } {
    this.#planned++;
    try {
      return this.#planner.planPeer(peer, this.#routes.get(peer.publicIp));
    } catch (error) {
      if (!(error instanceof AgentError)) throw error;
      return { refused: error.message };
    }
  }

  /** The peer whose subnet keeps this one out. */
  #outer(candidate: Candidate): SelectedPeer | undefined {
    const index = this.#index(candidate.peer.family);
    if (!index.isNested) return undefined;
    const outermost = index.outermost(candidate.peer.subnet);
    return outermost === undefined || outermost === candidate ? undefined : outermost.peer;
  }

  /** Takes back everything that is wished no more before anything new is wished: a MAC may pass from one peer to another. */
  *#publish(changed: readonly Candidate[]): Steps<PlanChange> {
    const complaints: string[] = [];
    const settled: string[] = [];
    const firsts: Firsts = new Map();
    for (let index = 0; index < changed.length; index++) {
      if (isStep(index)) yield;
      const candidate = changed[index];
      if (candidate === undefined) continue;
      candidate.isAsked = false;
      const before = complaintOf(candidate);
      candidate.rejection = this.#refusal(candidate, firsts);
      const granted = grantedTo(candidate);
      candidate.warning = granted?.warning;
      const after = complaintOf(candidate);
      if (before !== after && before !== undefined) settled.push(before);
      if (before !== after && after !== undefined) complaints.push(after);
      if (granted?.objects === candidate.objects) continue;
      for (const object of candidate.objects) this.#wishes.remove(object);
      candidate.objects = NOTHING;
    }
    for (let index = 0; index < changed.length; index++) {
      if (isStep(index)) yield;
      const candidate = changed[index];
      if (candidate !== undefined && candidate.objects === NOTHING) this.#wishFor(candidate);
    }
    const wishes = yield* this.#wishes.takeChanges();
    return { wishes, complaints, settled, planned: this.#planned };
  }

  #wishFor(candidate: Candidate): void {
    const { objects } = grantedTo(candidate) ?? NO_PLAN;
    for (let index = 0; index < objects.length; index++) {
      const object = objects[index];
      if (object !== undefined) this.#wishes.add(object);
    }
    candidate.objects = objects;
  }

  /** Why nothing is wished for it; undefined for one that is gone, too. */
  #refusal(candidate: Candidate, firsts: Firsts): string | undefined {
    const { peer, problem, plan } = candidate;
    if (candidate.isGone) return undefined;
    if (problem !== undefined) return problem;
    if (plan === undefined) {
      const outer = this.#outer(candidate);
      assert(outer !== undefined, "a peer that nothing keeps out has a plan");
      return `subnet ${peer.subnet} overlaps ${outer.subnet} of ${outer.publicIp}`;
    }
    if ("refused" in plan) return plan.refused;
    const { claim } = plan;
    const rivals = claim && this.#claimsIn(peer.family).rivals(claim.of);
    const first = rivals === undefined ? peer : firstOf(rivals, firsts);
    return claim === undefined || first.publicIp === claim.holder
      ? undefined
      : `${claim.what} ${claim.of} is that of ${first.subnet} at ${first.publicIp}`;
  }

  #claimsIn(family: Family): Claims<Candidate> {
    const claims = this.#claims.get(family);
    assert(claims !== undefined, "peers claim things in the families of the planner");
    return claims;
  }

  #index(family: Family): SubnetIndex<Candidate> {
    const index = this.#sound.get(family);
    assert(index !== undefined, "peers are judged in the families of the planner");
    return index;
  }
}

/** The plan for a whole list of peers: what `PeerPlans` arrives at, in the order of the subnets. */
export function wholePlan(planner: Planner, { own, peers, routes }: PlanInput): Plan {
  const plans = new PeerPlans(planner, own);
  finish(plans.update({ added: peers, removed: [], routes }));
  const candidates = plans.candidates();
  const objects = [...planner.planNode(own), ...candidates.flatMap((one) => one.objects)];
  const named = (pick: (candidate: Readonly<Candidate>) => string | undefined): Rejection[] =>
    candidates.flatMap((candidate) => {
      const reason = pick(candidate);
      const { lease, family } = candidate.peer;
      return reason === undefined ? [] : [{ peer: lease, reason: `IPv${family}: ${reason}` }];
    });
  return {
    scope: planner.scope,
    objects: [...new Map(objects.map((object) => [identityOf(object), object])).values()],
    rejected: named(({ rejection }) => rejection),
    warnings: named(({ warning }) => warning),
    additive: own === undefined,
  };
}

function isSameRoute(a: RouteLookup | undefined, b: RouteLookup | undefined): boolean {
  return a?.link === b?.link && a?.gateway === b?.gateway;
}
