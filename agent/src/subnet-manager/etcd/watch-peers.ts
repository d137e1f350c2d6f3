import { Latest } from "../../core/latest.ts";
import { LeaseTable } from "../../core/lease-table.ts";
import type { Lease } from "../../core/lease.ts";
import { formatSubnetKey } from "../../core/subnet-key.ts";
import { identityOf } from "./claim-plan.ts";
import type { StoreContext } from "./context.ts";
import { type RangeFollower, followRange } from "./follow-range.ts";
import type { Publication } from "./publication.ts";

/**
 * Every peer's lease, at once and after each change of the set or of what a peer publishes. A renewal changes nothing. A slow
 * reader gets the newest set, not a queue of old ones.
 */
export async function* watchPeers(
  context: StoreContext,
  own: Lease,
  publications: Latest<Publication>,
  signal: AbortSignal,
): AsyncGenerator<readonly Lease[], void> {
  const ownKey = context.keys.subnets + formatSubnetKey(own.subnets);
  const stop = new AbortController();
  const over = AbortSignal.any([signal, stop.signal]);
  const table = new Latest<LeaseTable>();
  const fail = (error: unknown): void => table.fail(error);
  const following = Promise.all([
    followRange(context, { prefix: context.keys.subnets }, intoTable(context, table), over).catch(
      fail,
    ),
    lookAgain(publications, table, over).catch(fail),
  ]);
  try {
    let shown: readonly Lease[] | undefined;
    for (let version = 0; ;) {
      await table.changedSince(version, signal);
      ({ version } = table);
      if (table.value === undefined) continue;
      const { attributes: present = own } = publications.value ?? {};
      const peers = table.value.snapshot(ownKey).filter((peer) => !isSameNode(peer, present));
      if (shown !== undefined && equalPeers(shown, peers)) continue;
      shown = peers;
      yield peers;
    }
  } finally {
    stop.abort(new Error("nobody reads the peers any more"));
    await following;
  }
}

/** What this node publishes decides whose lease is its own. One wait for all publications: one for each lease would cost as much as reading that. */
async function lookAgain(
  publications: Latest<Publication>,
  table: Latest<LeaseTable>,
  signal: AbortSignal,
): Promise<never> {
  for (;;) {
    await publications.changedSince(publications.version, signal);
    if (table.value !== undefined) table.set(table.value);
  }
}

/** Keeps the table of all leases. An entry that cannot be read is no lease, as if its key were not there. */
function intoTable(context: StoreContext, latest: Latest<LeaseTable>): RangeFollower {
  const table = new LeaseTable();
  const { leases: reader } = context;
  return {
    list: async ({ entries, revision }) => {
      const { leases } = await reader.all(entries);
      table.reset(
        leases.map(({ entry: { key, modRevision }, lease }) => ({ key, lease, modRevision })),
        revision,
      );
      latest.set(table);
    },
    change: (events) => {
      for (const event of events) {
        const lease = event.type === "put" ? reader.one(event.entry) : undefined;
        if (event.type === "delete") table.remove(event.key, event.modRevision);
        else if (lease === undefined) table.remove(event.entry.key, event.entry.modRevision);
        else table.put(event.entry.key, lease, event.entry.modRevision);
      }
      latest.set(table);
    },
  };
}

/** A second entry with our public IP is one that we or a namesake left: packets for it must not be sent to ourselves. */
function isSameNode(peer: Lease, own: Pick<Lease, "publicIps">): boolean {
  const identity = identityOf(own);
  return identity !== undefined && identityOf(peer) === identity;
}

/** Leases that say the same are the same objects, as the table keeps them. */
function equalPeers(a: readonly Lease[], b: readonly Lease[]): boolean {
  return a.length === b.length && a.every((lease, index) => lease === b[index]);
}
