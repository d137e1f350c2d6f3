import type { StoreContext } from "./context.ts";
import type { Compare, KeyValue, LeaseId } from "./key-value-store.ts";
import { Backoff, isOutage } from "./outage.ts";

/** One key written under conditions, and keys that go in the same transaction. */
export interface ConditionalPut {
  readonly key: string;
  readonly value: string;
  readonly leaseId?: LeaseId;
  readonly conditions: readonly Compare[];
  readonly removedKeys: readonly string[];
}

export type PutOutcome =
  | { readonly done: true; readonly modRevision: number }
  | {
      readonly done: false;
      /** What the key holds instead. */
      readonly found: KeyValue | undefined;
      /** Whether an earlier request whose answer was lost may still be carried out. */
      readonly open: boolean;
    };

/**
 * Asks for the put until it is known what became of it. Asking again is safe: the conditions hold once at most, and the
 * value with its lease shows whose write it was.
 * @throws AgentError "lease-lost" when the etcd lease has run out
 */
export async function conditionalPut(
  context: StoreContext,
  put: ConditionalPut,
  signal: AbortSignal,
): Promise<PutOutcome> {
  const backoff = new Backoff(context.random);
  let open = false;
  for (;;) {
    signal.throwIfAborted();
    try {
      const outcome = await tryPut(context, put, signal);
      return outcome.done ? outcome : { ...outcome, open };
    } catch (error) {
      signal.throwIfAborted();
      if (!isOutage(error)) throw error;
      open = true;
      context.outage.failed(error);
    }
    await context.clock.sleep(backoff.nextMs(), signal);
  }
}

/** Asks once. @throws AgentError "store-unavailable" when nobody knows whether it was done */
export async function tryPut(
  { store, outage }: StoreContext,
  put: ConditionalPut,
  signal: AbortSignal,
): Promise<PutOutcome> {
  const { key, value, leaseId } = put;
  const result = await store.txn(
    {
      compare: put.conditions,
      success: [
        ...put.removedKeys.map((removed) => ({ action: "delete", key: removed }) as const),
        { action: "put", key, value, ...(leaseId === undefined ? {} : { leaseId }) },
      ],
      failure: [{ action: "range", range: { key } }],
    },
    { signal },
  );
  outage.answered();
  if (result.succeeded) return { done: true, modRevision: result.revision };
  const found = result.reads[0]?.[0];
  if (found !== undefined && found.value === value && found.leaseId === leaseId)
    return { done: true, modRevision: found.modRevision };
  return { done: false, found, open: false };
}
