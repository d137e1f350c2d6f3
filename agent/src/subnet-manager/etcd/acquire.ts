import { AgentError } from "../../core/errors.ts";
import type { Cidr, Ip, PerFamily } from "../../core/ip.ts";
import { formatLeaseValue } from "../../core/lease-json.ts";
import { type Lease, type LeaseAttributes, equalAttributes } from "../../core/lease.ts";
import type { NetworkConfig } from "../../core/network-config.ts";
import { formatSubnetKey } from "../../core/subnet-key.ts";
import { type Claim, leasedClaim, reservationClaim, stillFree, unchanged } from "./claim.ts";
import { type ClaimPlan, identityOf, isReservation, planClaim } from "./claim-plan.ts";
import { conditionalPut } from "./conditional-put.ts";
import type { StoreContext } from "./context.ts";
import { type Grant, SpareGrant, revokeLease } from "./grant.ts";
import type { Compare, RangeResult } from "./key-value-store.ts";
import type { StoredLeases } from "./lease-entries.ts";
import { isOutage, untilAnswered } from "./outage.ts";

export interface Wish {
  readonly config: NetworkConfig;
  readonly attributes: LeaseAttributes;
  readonly preferred: PerFamily<Cidr>;
}

/**
 * First and longest wait of those that lost a race; the wait is drawn from 0 to this, which spreads fifty nodes in a few rounds. A shorter
 * first one loses more races, a longer last one leaves the store idle while the last nodes wait.
 */
const RACE_FIRST_MS = 50;
const RACE_LAST_MS = 600;
/** A lease younger than this was hardly written by the run before ours. */
const FRESH_SECONDS = 60;

/**
 * Claims subnets: reads all leases, decides, and writes on condition that nothing under the prefix was written since. Whoever
 * loses that race decides again from a fresh list, so no two nodes overlap in either family (invariants A1, A5, A8).
 * @throws AgentError "subnet-exhausted", "config-invalid"
 */
export async function acquireLease(
  context: StoreContext,
  wish: Wish,
  signal: AbortSignal,
): Promise<{ readonly lease: Lease; readonly claim: Claim }> {
  const { store, keys, clock, random, log } = context;
  const publicIp = requireIdentity(wish.attributes);
  const grants = new SpareGrant(context);
  try {
    for (let windowMs = RACE_FIRST_MS; ;) {
      const grant = grants.fresh;
      const list = await untilAnswered(
        context,
        () => store.range({ prefix: keys.subnets }, { signal }),
        signal,
      );
      const stored = await context.leases.all(list.entries);
      const plan = planClaim(wish.config, publicIp, stored, wish.preferred, (limit) =>
        random.integer(limit),
      );
      if (!plan.reservation && grant === undefined) {
        // It must be older than the list: a store made anew from a backup since then does not know it and refuses the claim.
        // Revisions do not tell, since the new store counts its own.
        await grants.take(signal);
        continue;
      }
      await warnOfNamesake(context, plan, wish, signal);
      const claim = await carryOut(context, { wish, plan, list, grant, grants }, signal);
      if (claim !== undefined) {
        await revokeReplaced(context, plan, stored, claim);
        announce(context, plan, wish);
        return { lease: { ...wish.attributes, subnets: plan.subnets }, claim };
      }
      log.debug({ subnets: plan.subnets }, "another node was faster, choosing again");
      await clock.sleep(random.integer(windowMs), signal);
      windowMs = Math.min(2 * windowMs, RACE_LAST_MS);
    }
  } finally {
    await grants.giveBack();
  }
}

/** The IPv4 public address is what tells nodes apart: without one they would take over each other's lease (spec 10, E10). */
function requireIdentity(attributes: LeaseAttributes): Ip {
  const publicIp = identityOf(attributes);
  if (publicIp !== undefined) return publicIp;
  throw new AgentError(
    "config-invalid",
    "leases in etcd are told apart by the public IPv4 address, and this node has none: give --public-ip or an interface with an IPv4 address",
  );
}

interface Attempt {
  readonly wish: Wish;
  readonly plan: ClaimPlan;
  readonly list: RangeResult;
  /** Older than the list. */
  readonly grant: Grant | undefined;
  readonly grants: SpareGrant;
}

/** The claim, or undefined when another write came first. */
async function carryOut(
  context: StoreContext,
  attempt: Attempt,
  signal: AbortSignal,
): Promise<Claim | undefined> {
  const { wish, plan, list, grants } = attempt;
  const key = context.keys.subnets + formatSubnetKey(plan.subnets);
  const value = formatLeaseValue(wish.attributes);
  const { reused } = plan;
  if (
    reused !== undefined &&
    plan.reservation &&
    plan.removed.length === 0 &&
    equalAttributes(reused.lease, wish.attributes)
  )
    return reservationClaim(reused.entry);

  const grant = plan.reservation ? undefined : attempt.grant;
  const put = {
    key,
    value,
    ...(grant === undefined ? {} : { leaseId: grant.leaseId }),
    conditions: conditionsOf(context, plan, key, list),
    removedKeys: plan.removed.map(({ entry }) => entry.key),
  };
  try {
    const outcome = await conditionalPut(context, put, signal);
    if (outcome.done) {
      const done = { key, value, modRevision: outcome.modRevision };
      return grant === undefined
        ? reservationClaim(done)
        : leasedClaim(context, done, grants.use());
    }
    // A request that may still be carried out would claim this key: without its lease it cannot.
    if (outcome.open) await grants.giveBack();
    return undefined;
  } catch (error) {
    // What became of the last request is unknown: the lease may hold a key that the next start will find and use.
    grants.forget();
    if (error instanceof AgentError && error.code === "lease-lost") return undefined;
    throw error;
  }
}

function conditionsOf(
  context: StoreContext,
  { reused, removed }: ClaimPlan,
  key: string,
  list: RangeResult,
): readonly Compare[] {
  const ours = removed.flatMap(({ entry }) => unchanged(entry));
  return reused === undefined
    ? [...ours, ...stillFree(context, key, list.revision)]
    : [...ours, ...unchanged(reused.entry)];
}

/** Gives back the etcd leases of what the claim replaced, except those that hold another key too. */
async function revokeReplaced(
  context: StoreContext,
  { reused, removed }: ClaimPlan,
  stored: StoredLeases,
  claim: Claim,
): Promise<void> {
  const replaced = reused === undefined ? removed : [reused, ...removed];
  const replacedKeys = new Set(replaced.map(({ entry }) => entry.key));
  const inUse = new Set([claim.leaseId]);
  for (const { key, leaseId } of stored.entries) if (!replacedKeys.has(key)) inUse.add(leaseId);
  const unused = new Set(replaced.map(({ entry }) => entry.leaseId));
  for (const leaseId of unused)
    if (leaseId !== undefined && !inUse.has(leaseId)) await revokeLease(context, leaseId);
}

/**
 * Two nodes with one public IP would share a lease and overwrite each other's data. A restart finds an older lease, or its own
 * data in it (spec 10, E9).
 */
async function warnOfNamesake(
  context: StoreContext,
  { reused }: ClaimPlan,
  { attributes }: Wish,
  signal: AbortSignal,
): Promise<void> {
  const leaseId = reused?.entry.leaseId;
  if (reused === undefined || leaseId === undefined) return;
  if (equalAttributes(reused.lease, attributes)) return;
  let leftSeconds: number | undefined;
  try {
    leftSeconds = await context.store.timeToLive(leaseId, { signal });
  } catch (error) {
    signal.throwIfAborted();
    if (!isOutage(error)) throw error;
    // It only serves a warning, and must not hold up the claim (invariant C8).
    context.log.debug({ err: error, leaseId }, "the age of our lease is not known");
    return;
  }
  const ageSeconds = context.leaseTtlSeconds - (leftSeconds ?? 0);
  if (ageSeconds > FRESH_SECONDS) return;
  context.log.warn(
    { key: reused.entry.key, ageSeconds },
    `the lease of our public IP ${identityOf(attributes)} was written moments ago with other data; if another node has the same address, give each its own with --public-ip`,
  );
}

function announce({ log }: StoreContext, plan: ClaimPlan, { attributes, preferred }: Wish): void {
  const { 4: first, 6: second } = plan.subnets;
  const what = `lease (ip: ${first} ipv6: ${second ?? "::/0"})`;
  const publicIp = identityOf(attributes);
  for (const { entry } of plan.removed.filter(isReservation))
    log.warn(
      { key: entry.key },
      "the reservation does not fit the network configuration: replaced",
    );
  if (plan.reused !== undefined)
    log.info({}, `Found ${what} for current IP (${publicIp}), reusing`);
  else if (first !== undefined && first === preferred[4])
    log.info({}, `Found previously leased subnet (${first}), reusing`);
  else log.info({}, `Allocated ${what} to current node (${publicIp})`);
}
