import { type StoreEvent, type WatchBatch, revisionOf } from "./key-value-store.ts";

/** How a server cuts what it has to say into responses; a client must cope with any way. */
export interface Framing {
  /** How many of the revisions that wait the next response holds: from 1 to all. */
  revisions(waiting: number): number;
  /**
   * Into how many responses one revision is cut: from 1 to the number of its events. etcd does so for large ones when asked to.
   * Source: etcd api/etcdserverpb/rpc.proto, WatchCreateRequest.fragment.
   */
  fragments(events: number): number;
}

/** Everything that waits, in one response: what a client sees that keeps up. */
export const WHOLE: Framing = { revisions: (waiting) => waiting, fragments: () => 1 };

/**
 * The next responses: several revisions in one, or one revision in several.
 * @param head the server's revision, which the last response reports
 */
export function nextBatches(
  events: readonly StoreEvent[],
  head: number,
  framing: Framing,
): readonly WatchBatch[] {
  const waiting = [...new Set(events.map(revisionOf))];
  const count = within(framing.revisions(waiting.length), waiting.length);
  const last = waiting[count - 1] ?? head;
  const revision = count === waiting.length ? Math.max(head, last) : last;
  const taken = events.filter((event) => revisionOf(event) <= last);
  const pieces = count === 1 ? within(framing.fragments(taken.length), taken.length) : 1;
  const size = Math.ceil(taken.length / pieces);
  const batches: WatchBatch[] = [];
  for (let from = 0; from < taken.length; from += size) {
    const complete = from + size >= taken.length;
    // Until all of a revision is delivered, only the ones before it are.
    batches.push({
      revision: complete ? revision : last - 1,
      events: taken.slice(from, from + size),
    });
  }
  return batches;
}

function within(wished: number, most: number): number {
  return Math.max(1, Math.min(most, wished));
}
