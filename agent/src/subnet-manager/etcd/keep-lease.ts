import { Latest, firstOf } from "../../core/latest.ts";
import { formatLeaseValue } from "../../core/lease-json.ts";
import { type Lease, equalAttributes } from "../../core/lease.ts";
import { formatSubnetKey } from "../../core/subnet-key.ts";
import { jitteredMs } from "../../system/random.ts";
import { type Claim, leasedClaim, nothingWritten, reservationClaim, unchanged } from "./claim.ts";
import { identityOf } from "./claim-plan.ts";
import { type ConditionalPut, type PutOutcome, conditionalPut, tryPut } from "./conditional-put.ts";
import type { StoreContext } from "./context.ts";
import { followRange } from "./follow-range.ts";
import { type Grant, renewAfterMs, renewAgainMs, revokeLease } from "./grant.ts";
import type { KeyValue, LeaseId } from "./key-value-store.ts";
import type { StoredLeases } from "./lease-entries.ts";
import type { HeldLease } from "../subnet-manager.ts";
import { isOutage, untilAnswered } from "./outage.ts";
import { type Publication, planPublication } from "./publication.ts";
import { isLeaseGone, lostTo, takeAgain } from "./take-again.ts";

/** What is kept, and what is to be said in it from now on. */
export interface Kept {
  readonly lease: Lease;
  /** What `acquireLease` knows of it; undefined when another run acquired it. */
  readonly claim: Claim | undefined;
  readonly publications: Latest<Publication>;
  /** Told when the store has the lease no more, and when it has it again. */
  readonly onHeld: (held: boolean) => void;
  /** Set to what is known of the lease whenever that changes. */
  readonly held: Latest<HeldLease | undefined>;
  /** The etcd lease of our own making on which the key hung when another run wrote it last. */
  readonly formerId?: LeaseId;
}

/** Source: flannel pkg/subnet/etcd/subnet.go, spec 03 section 6. */
const RENEW_AGAIN_MS = 60_000;
/** Longest wait after a lost race for the revision. */
const RACE_WINDOW_MS = 100;

/**
 * Keeps a lease: renews it by the monotonic clock, whatever the watch says, and looks at once when its key changes.
 *
 *     kept ──time to renew──► renew ──written by somebody──► look
 *      │ ▲                      └──done──► kept                │ ours, or unreadable: kept
 *      │ └────────────────────────────────────────────────────┤
 *      ├──key changed──► look                                  │ gone: take the same subnet again, if still free
 *      │                  ▲                                    └ another's: lease-lost
 *      └──other data──► publish ──done──► kept
 *
 * There is one writer, so that a renewal and other data never overtake each other. Every write is conditional, so that nothing of
 * another owner is overwritten, however long this process was asleep (invariants A4, B3', B6).
 * @throws AgentError "lease-lost"
 */
export async function keepLease(
  context: StoreContext,
  { lease, claim, publications, onHeld, held, formerId }: Kept,
  signal: AbortSignal,
): Promise<never> {
  const stop = new AbortController();
  const stopped = AbortSignal.any([signal, stop.signal]);
  const key = context.keys.subnets + formatSubnetKey(lease.subnets);
  const seen = new Latest<KeyValue | undefined>();
  const keeper = new LeaseKeeper(context, { lease, publications, held, formerId }, key, seen);
  // From what is seen, since the keeper itself may be waiting for an answer to something else.
  const tell = onChange<boolean>(true, (isHeld) => {
    if (!isHeld) {
      context.figures.leaseEndsMs = undefined;
      held.set(undefined);
    }
    onHeld(isHeld);
  });
  const see = (entry: KeyValue | undefined): void => {
    seen.set(entry);
    tell(keeper.isOurs(entry));
  };
  const following = followRange(
    context,
    { key },
    {
      list: ({ entries }) => see(entries[0]),
      change: (events) => {
        const last = events.at(-1);
        see(last?.type === "put" ? last.entry : undefined);
      },
    },
    stopped,
  ).catch((error: unknown) => seen.fail(error));
  try {
    return await keeper.run(claim, signal);
  } finally {
    stop.abort(new Error("the lease is no longer kept"));
    await following;
  }
}

class LeaseKeeper {
  readonly #context: StoreContext;
  /** As published. */
  #lease: Lease;
  readonly #key: string;
  readonly #publications: Latest<Publication>;
  /** How many of them are done with. */
  #answered = 0;
  readonly #seen: Latest<KeyValue | undefined>;
  readonly #held: Latest<HeldLease | undefined>;
  readonly #formerId: LeaseId | undefined;
  /** The etcd lease of a renewal that nobody answered yet: asking again must be the same request. */
  #renewal: Grant | undefined;
  #complainedMs: number | undefined;

  constructor(
    context: StoreContext,
    {
      lease,
      publications,
      held,
      formerId,
    }: Pick<Kept, "lease" | "publications" | "held"> & { readonly formerId: LeaseId | undefined },
    key: string,
    seen: Latest<KeyValue | undefined>,
  ) {
    this.#context = context;
    this.#lease = lease;
    this.#key = key;
    this.#publications = publications;
    this.#seen = seen;
    this.#held = held;
    this.#formerId = formerId;
  }

  async run(known: Claim | undefined, signal: AbortSignal): Promise<never> {
    let claim = known ?? (await this.#look(undefined, signal));
    for (let version = 0; ;) {
      this.#context.figures.claimed(claim);
      noteHeld(this.#held, this.#lease, claim);
      await this.#wait(version, claim.renewAtMs, signal);
      const changed = this.#seen.version > version;
      ({ version } = this.#seen);
      if (changed && !isAsClaimed(this.#seen.value, claim)) claim = await this.#look(claim, signal);
      else if (this.#context.clock.nowMs() >= claim.renewAtMs)
        claim = await this.#renew(claim, signal);
      else if (this.#publications.version > this.#answered)
        claim = await this.#publish(claim, signal);
    }
  }

  /** Whether an entry under our key says that it is ours; one that names no owner is nobody's, and is replaced. */
  isOurs(entry: KeyValue | undefined): boolean {
    if (entry === undefined) return false;
    const read = this.#context.leases.one(entry);
    const owner = read === undefined ? undefined : identityOf(read);
    return owner === undefined || this.#identities.includes(owner);
  }

  /** As published, and as it is about to be. */
  get #identities(): readonly (string | undefined)[] {
    const { attributes } = this.#publications.value ?? {};
    return [identityOf(this.#lease), attributes === undefined ? undefined : identityOf(attributes)];
  }

  /** Until the key changed, other data are to be published, or it is time. */
  async #wait(version: number, untilMs: number, signal: AbortSignal): Promise<void> {
    const { clock } = this.#context;
    await firstOf(signal, [
      (either) => this.#seen.changedSince(version, either),
      (either) => this.#publications.changedSince(this.#answered, either),
      (either) => clock.sleep(Math.max(0, untilMs - clock.nowMs()), either),
    ]);
  }

  /** One try; without an answer, another in about a minute. */
  async #renew(claim: Claim, signal: AbortSignal): Promise<Claim> {
    const { clock, random, outage } = this.#context;
    let outcome: PutOutcome;
    let renewal: Grant;
    try {
      renewal = this.#renewal ??= await this.#grant(signal);
      outcome = await tryPut(this.#context, this.#put(claim, renewal.leaseId), signal);
    } catch (error) {
      signal.throwIfAborted();
      if (isLeaseGone(error)) this.#renewal = undefined;
      else if (isOutage(error)) outage.failed(error);
      else throw error;
      const againMs = renewAgainMs(this.#context);
      this.#complain(error, againMs);
      return { ...claim, renewAtMs: clock.nowMs() + jitteredMs(random, againMs) };
    }
    if (!outcome.done) return this.#look(claim, signal);
    return this.#renewed(claim, renewal, this.#done(outcome.modRevision));
  }

  /** At most once in the time the reference takes between two tries (invariant E5). */
  #complain(error: unknown, againMs: number): void {
    const { clock, log } = this.#context;
    const nowMs = clock.nowMs();
    if (this.#complainedMs !== undefined && nowMs - this.#complainedMs < RENEW_AGAIN_MS / 2) return;
    this.#complainedMs = nowMs;
    const wait = againMs < RENEW_AGAIN_MS ? `${Math.ceil(againMs / 1000)} s` : "1 min";
    log.warn({ err: error }, `Error renewing lease (trying again in ${wait})`);
  }

  async #grant(signal: AbortSignal): Promise<Grant> {
    const { store, clock, leaseTtlSeconds } = this.#context;
    const askedMs = clock.nowMs();
    return { ...(await store.grantLease(leaseTtlSeconds, { signal })), askedMs };
  }

  #put(over: Pick<KeyValue, "key" | "modRevision" | "leaseId">, leaseId?: LeaseId): ConditionalPut {
    return {
      key: this.#key,
      value: formatLeaseValue(this.#lease),
      ...(leaseId === undefined ? {} : { leaseId }),
      conditions: unchanged(over),
      removedKeys: [],
    };
  }

  /** A write of our lease as it is. */
  #done(modRevision: number): Pick<KeyValue, "key" | "modRevision" | "value"> {
    return { key: this.#key, modRevision, value: formatLeaseValue(this.#lease) };
  }

  async #renewed(
    before: Claim | undefined,
    renewal: Grant,
    done: Pick<KeyValue, "key" | "modRevision" | "value">,
  ): Promise<Claim> {
    const { clock, log, figures } = this.#context;
    this.#renewal = undefined;
    figures.renewals++;
    // The key hangs on the new lease now: the old one takes nothing with it.
    await this.#revokeOwn(before, renewal.leaseId);
    const leftMs = renewal.askedMs + renewal.ttlSeconds * 1000 - clock.nowMs();
    const expiration = new Date(clock.wallClock().getTime() + leftMs).toISOString();
    log.info({ key: this.#key }, `Lease renewed, new expiration: ${expiration}`);
    return leasedClaim(this.#context, done, renewal);
  }

  /**
   * One round: done, or to be done over. The condition is that nothing was written since the read, by nobody: of two nodes that come to
   * one address, one is told of the other. A renewal on its way can no longer be carried out after it; what it would have
   * used is left for the next one.
   */
  async #publish(claim: Claim, signal: AbortSignal): Promise<Claim> {
    const { store, keys, clock, random, log } = this.#context;
    const list = await untilAnswered(
      this.#context,
      () => store.range({ prefix: keys.subnets }, { signal }),
      signal,
    );
    const entry = list.entries.find(({ key }) => key === this.#key);
    if (entry === undefined || !isAsClaimed(entry, claim)) return this.#look(claim, signal);
    const { version, value: publication } = this.#publications;
    if (publication === undefined) return claim;
    const stored = await this.#context.leases.all(list.entries);
    const { attributes, rival } = this.#planned(stored);
    const lease = { ...attributes, subnets: this.#lease.subnets };
    const value = formatLeaseValue(lease);
    const answered = (): void => {
      this.#lease = lease;
      this.#answered = version;
      publication.answer(rival);
    };
    if (value === entry.value) {
      answered();
      return claim;
    }
    const put = {
      ...this.#put(entry, entry.leaseId),
      value,
      conditions: [...unchanged(entry), ...nothingWritten(this.#context, list.revision)],
    };
    const outcome = await conditionalPut(this.#context, put, signal).catch((error: unknown) => {
      if (isLeaseGone(error)) return { done: false } as const;
      throw error;
    });
    if (outcome.done) {
      log.info({ key: this.#key, publicIps: lease.publicIps }, "published our changed lease");
      answered();
      return { ...claim, value, modRevision: outcome.modRevision };
    }
    await clock.sleep(random.integer(RACE_WINDOW_MS), signal);
    return claim;
  }

  /** What is to be published, as far as no other lease of these has the same address. */
  #planned(stored: StoredLeases): ReturnType<typeof planPublication> {
    const others = stored.leases.filter(({ entry }) => entry.key !== this.#key);
    return planPublication(
      this.#lease,
      this.#publications.value?.attributes ?? this.#lease,
      others.map(({ lease }) => lease),
    );
  }

  /** Finds out what became of the key. @throws AgentError "lease-lost" when it is another owner's */
  async #look(claim: Claim | undefined, signal: AbortSignal): Promise<Claim> {
    const { store, log } = this.#context;
    const { entries } = await untilAnswered(
      this.#context,
      () => store.range({ key: this.#key }, { signal }),
      signal,
    );
    const [entry] = entries;
    const renewal = this.#renewal;
    if (entry !== undefined && entry.leaseId === renewal?.leaseId && renewal !== undefined)
      return this.#renewed(claim, renewal, entry);
    if (claim !== undefined && isAsClaimed(entry, claim)) return claim;

    // The key was written since: no renewal still on its way can be carried out any more.
    this.#renewal = undefined;
    if (renewal !== undefined) await revokeLease(this.#context, renewal.leaseId);
    await this.#revokeOwn(claim, entry?.leaseId);
    if (entry === undefined) {
      log.warn({ key: this.#key }, "our lease was removed from etcd, taking the same subnet again");
      return this.#takeAgain(signal);
    }
    const read = this.#context.leases.one(entry);
    const owner = read === undefined ? undefined : identityOf(read);
    if (owner !== undefined && owner !== identityOf(this.#lease)) throw lostTo(this.#key, read);
    // A value that names no owner is nobody's, like one that cannot be read.
    const found = owner === undefined ? undefined : read;
    return this.#adopt(claim, entry, found, signal);
  }

  /** Goes on with an entry of ours that somebody else wrote: an operator, or a node with the same public IP. */
  async #adopt(
    claim: Claim | undefined,
    entry: KeyValue,
    found: Lease | undefined,
    signal: AbortSignal,
  ): Promise<Claim> {
    const { clock, random, log } = this.#context;
    const { key, modRevision, value, leaseId } = entry;
    const asPublished = found !== undefined && equalAttributes(found, this.#lease);
    const { attributes: present = this.#lease } = this.#publications.value ?? {};
    // Our former address is another node's by now, and so is what it wrote.
    if (found !== undefined && !asPublished && identityOf(found) !== identityOf(present))
      throw lostTo(key, found);
    if (leaseId === undefined && found !== undefined) {
      log.info({ key }, "our subnet is reserved: the key never runs out and is not renewed");
      if (asPublished) return reservationClaim(entry);
      const outcome = await conditionalPut(this.#context, this.#put(entry), signal);
      return outcome.done
        ? reservationClaim(this.#done(outcome.modRevision))
        : this.#look(undefined, signal);
    }
    const nowMs = clock.nowMs();
    const adopted = { key, modRevision, value, ...(leaseId === undefined ? {} : { leaseId }) };
    if (claim === undefined || found === undefined)
      return { ...adopted, leaseIsOurs: this.#isFormer(leaseId), renewAtMs: nowMs };
    const leaseIsOurs = claim.leaseIsOurs && claim.leaseId === leaseId;
    if (asPublished) {
      if (leaseIsOurs) return { ...claim, ...adopted };
      return { ...adopted, leaseIsOurs, renewAtMs: await this.#renewTime(leaseId, signal) };
    }
    log.warn(
      { key, backendType: found.backendType },
      "somebody else writes our lease, perhaps a node with the same public IP: publishing our own data again in 1 min",
    );
    return { ...adopted, leaseIsOurs, renewAtMs: nowMs + jitteredMs(random, RENEW_AGAIN_MS) };
  }

  /** Whether an earlier run of this node made the etcd lease, for this key alone. */
  #isFormer(leaseId: LeaseId | undefined): boolean {
    return leaseId !== undefined && leaseId === this.#formerId;
  }

  /** When to renew a key that another etcd lease holds; at once when nobody can say how long that lives (invariant C8). */
  async #renewTime(leaseId: LeaseId | undefined, signal: AbortSignal): Promise<number> {
    const { store, clock } = this.#context;
    if (leaseId === undefined) return clock.nowMs();
    try {
      const ttlSeconds = await store.timeToLive(leaseId, { signal });
      return clock.nowMs() + renewAfterMs(ttlSeconds ?? 0, this.#context);
    } catch (error) {
      signal.throwIfAborted();
      if (!isOutage(error)) throw error;
      return clock.nowMs();
    }
  }

  /** Claims the same subnet anew unless somebody else took it meanwhile. @throws AgentError "lease-lost" */
  async #takeAgain(signal: AbortSignal): Promise<Claim> {
    const wish = {
      key: this.#key,
      lease: (stored: StoredLeases) => ({
        ...this.#planned(stored).attributes,
        subnets: this.#lease.subnets,
      }),
    };
    const taken = await takeAgain(this.#context, wish, signal);
    if (taken === undefined) return this.#look(undefined, signal);
    this.#lease = taken.lease;
    this.#context.log.info({ key: this.#key }, "took the same subnet again");
    return taken.claim;
  }

  /** Gives back the etcd lease of a claim that is over, unless the key still hangs on it. */
  async #revokeOwn(claim: Claim | undefined, inUse: LeaseId | undefined): Promise<void> {
    if (claim?.leaseId !== undefined && claim.leaseIsOurs && claim.leaseId !== inUse)
      await revokeLease(this.#context, claim.leaseId);
  }
}

/** Says what is known of our lease, if that is news. How long an etcd lease lives that is not of our making is not known before the next renewal. */
export function noteHeld(held: Latest<HeldLease | undefined>, lease: Lease, claim: Claim): void {
  const { expiresAtMs: endsMs, leaseId: id } = claim;
  const { value: before } = held;
  if (endsMs === undefined) return;
  if (before?.lease === lease && before.endsMs === endsMs && before.id === id) return;
  held.set({ lease, endsMs, ...(id === undefined ? {} : { id }) });
}

/** A restored store counts its revisions anew: the same one may be another write, and a reservation has no lease to tell it by. */
function isAsClaimed(entry: KeyValue | undefined, claim: Claim): boolean {
  return (
    entry?.modRevision === claim.modRevision &&
    entry.leaseId === claim.leaseId &&
    entry.value === claim.value
  );
}

/** Passes on what is another value than the one before. */
function onChange<Value>(first: Value, told: (value: Value) => void): (value: Value) => void {
  let last = first;
  return (value) => {
    if (value === last) return;
    last = value;
    told(value);
  };
}
