import { AgentError } from "../../core/errors.ts";
import { FAMILIES, overlaps } from "../../core/ip.ts";
import { formatLeaseValue } from "../../core/lease-json.ts";
import type { Lease } from "../../core/lease.ts";
import { type Claim, leasedClaim, stillFree } from "./claim.ts";
import { identityOf, ownLeases } from "./claim-plan.ts";
import { conditionalPut } from "./conditional-put.ts";
import type { StoreContext } from "./context.ts";
import { SpareGrant } from "./grant.ts";
import type { StoredLeases } from "./lease-entries.ts";
import { untilAnswered } from "./outage.ts";

/** Longest wait after a lost race for our own subnet, at first and in the end. */
const RACE_WINDOW_MS = 100;
const RACE_WINDOW_LAST_MS = 1000;

/** What to write under our key, which is not there any more. */
export interface Wish {
  readonly key: string;
  /** As it is to be beside the leases that are stored. */
  lease(stored: StoredLeases): Lease;
}

/**
 * Claims the subnet of a key that was deleted or ran out anew, unless somebody else took it meanwhile; undefined when the key is there
 * again.
 * @throws AgentError "lease-lost"
 */
export async function takeAgain(
  context: StoreContext,
  wish: Wish,
  signal: AbortSignal,
): Promise<{ readonly claim: Claim; readonly lease: Lease } | undefined> {
  const { clock, random } = context;
  const grants = new SpareGrant(context);
  try {
    for (let windowMs = RACE_WINDOW_MS; ;) {
      const round = await tryTaking(context, wish, grants, signal);
      if (round.done) return round.taken;
      // After a restore all nodes race at once, and one of them wins a round.
      await clock.sleep(random.integer(windowMs), signal);
      windowMs = Math.min(2 * windowMs, RACE_WINDOW_LAST_MS);
    }
  } finally {
    await grants.giveBack();
  }
}

type Round =
  | { readonly done: false }
  | {
      readonly done: true;
      readonly taken: { readonly claim: Claim; readonly lease: Lease } | undefined;
    };

async function tryTaking(
  context: StoreContext,
  wish: Wish,
  grants: SpareGrant,
  signal: AbortSignal,
): Promise<Round> {
  const { store, keys } = context;
  const { key } = wish;
  // Older than the list, as for a first claim: a store restored in between refuses it then.
  while (grants.fresh === undefined) await grants.take(signal);
  const { leaseId } = grants.fresh;
  const list = await untilAnswered(
    context,
    () => store.range({ prefix: keys.subnets }, { signal }),
    signal,
  );
  if (list.entries.some((entry) => entry.key === key)) return { done: true, taken: undefined };
  const stored = await context.leases.all(list.entries);
  const lease = wish.lease(stored);
  refuseIfTaken(stored, lease);
  const value = formatLeaseValue(lease);
  const conditions = stillFree(context, key, list.revision);
  const put = { key, value, leaseId, conditions, removedKeys: [] };
  const outcome = await conditionalPut(context, put, signal).catch((error: unknown) => {
    grants.forget();
    if (isLeaseGone(error)) return { done: false, open: false } as const;
    throw error;
  });
  if (outcome.done) {
    const done = { key, modRevision: outcome.modRevision, value };
    return { done: true, taken: { claim: leasedClaim(context, done, grants.use()), lease } };
  }
  if (outcome.open) await grants.giveBack();
  return { done: false };
}

function refuseIfTaken(stored: StoredLeases, lease: Lease): void {
  const ours = lease.subnets;
  const taken = stored.taken.find(({ subnets }) =>
    FAMILIES.some((family) => {
      const [mine, other] = [ours[family], subnets[family]];
      return mine !== undefined && other !== undefined && overlaps(mine, other);
    }),
  );
  if (taken !== undefined) {
    const owner = stored.leases.find(({ entry }) => entry.key === taken.key);
    throw lostTo(taken.key, owner?.lease);
  }
  const identity = identityOf(lease);
  const other = identity === undefined ? undefined : ownLeases(stored, identity)[0];
  if (other !== undefined) throw lostTo(other.entry.key, other.lease);
}

/** Whether an error says that the etcd lease is gone that a key was to hang on. */
export function isLeaseGone(error: unknown): boolean {
  return error instanceof AgentError && error.code === "lease-lost";
}

/** The end of an agent whose key is another node's, or nobody's that can be read. */
export function lostTo(key: string, owner: Lease | undefined): AgentError {
  const who = owner === undefined ? "an entry that cannot be read" : `node ${identityOf(owner)}`;
  return new AgentError(
    "lease-lost",
    `lost our subnet: ${key} belongs to ${who} now; start again to lease another subnet`,
  );
}
