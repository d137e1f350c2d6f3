/** What goes wrong with time, as wrapped clocks. */
import type { MutatedNode, PortMutation } from "./port-mutation.ts";
import { wrapped } from "./wrapped.ts";

/** Deadlines are reckoned by the wall clock: what sets it back puts every renewal off. */
export const goesByTheWallClock: PortMutation = {
  wrapClock: (clock) => ({
    nowMs: () => clock.wallClock().getTime(),
    wallClock: () => clock.wallClock(),
    sleep: (ms, signal) => clock.sleep(ms, signal),
    yield: () => clock.yield(),
  }),
};

/** A timer that fires this much too late was due while the process was asleep. */
const LATE_MS = 10_000;
const overslept = new WeakSet<MutatedNode>();

/**
 * The timer that fires at the end of a pause, before anything that arrived meanwhile is read, writes without a condition: the
 * lease must still be ours, since nobody said otherwise. Source: flannel registry.go updateSubnet, under Node's order of events.
 */
export const trustsTimersAfterAPause: PortMutation = {
  wrapClock: (clock, node) => ({
    nowMs: () => clock.nowMs(),
    wallClock: () => clock.wallClock(),
    sleep: async (ms, signal) => {
      const dueMs = clock.nowMs() + ms;
      await clock.sleep(ms, signal);
      if (clock.nowMs() > dueMs + LATE_MS) overslept.add(node);
    },
    yield: () => clock.yield(),
  }),
  wrapStore: (store, node) =>
    wrapped(store, {
      txn: (transaction, options) => {
        const compare = overslept.delete(node) ? [] : transaction.compare;
        return store.txn({ ...transaction, compare }, options);
      },
    }),
};
