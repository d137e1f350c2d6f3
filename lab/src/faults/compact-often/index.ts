import { LabError } from "../../errors.ts";
import { parseDuration } from "../durations.ts";
import { type AnyFault, defineFault, type FaultSite } from "../fault.ts";

interface Target {
  readonly everyMs: number;
  readonly stop: AbortController;
  /** The revisions that were compacted at, oldest first. */
  readonly compacted: number[];
  /** Until the last one is done. */
  loop: Promise<void>;
  /** What was written after the heal, and when: it would be forgotten before long. */
  after?: { readonly revision: number; readonly atMs: number };
}

/** Written to give the store a revision to compact; no agent looks there. */
const MARK = "/twill-lab/compaction";

/** On a busy machine a compaction is later than it should be. */
const LONG_ENOUGH_MS = 1000;

export const compactOften: AnyFault = defineFault<Target>({
  name: "compact-often",
  summary:
    "Compacts etcd at its newest revision again and again: whoever lost a watch finds that it cannot be resumed.",
  place: "store",
  parameters: {
    every: {
      help: "how often (default 100ms)",
      byDefault: "100ms",
      value: { kind: "time", minMs: 10, maxMs: 60_000 },
    },
  },
  timeLimitMs: 130_000,
  aim: async (_site, { parameters }) => ({
    everyMs: parseDuration("--every", parameters["every"] ?? ""),
    stop: new AbortController(),
    compacted: [],
    loop: Promise.resolve(),
  }),
  inject: async (site, target) => {
    target.loop = compactUntil(target.stop.signal, site, target);
  },
  verify: async ({ store }, { compacted }) => {
    const [first, second] = compacted;
    return first !== undefined &&
      second !== undefined &&
      (await store.gateway.isCompacted(second - 1))
      ? { saw: `etcd forgot what was before revision ${first}, and then before ${second}` }
      : undefined;
  },
  heal: async (_site, { stop, loop }) => {
    stop.abort();
    await loop;
  },
  verifyHealed: async ({ store, clock }, target) => {
    const nowMs = clock.nowMs();
    if (target.after === undefined || (await store.gateway.isCompacted(target.after.revision))) {
      const { revision } = await store.gateway.range(MARK);
      await store.gateway.put(MARK, "");
      target.after = { revision, atMs: nowMs };
    }
    return nowMs - target.after.atMs > Math.max(2 * target.everyMs, LONG_ENOUGH_MS)
      ? { saw: `etcd still has revision ${target.after.revision}` }
      : undefined;
  },
});

async function compactUntil(
  signal: AbortSignal,
  { store, clock }: FaultSite,
  { everyMs, compacted }: Target,
): Promise<void> {
  while (!signal.aborted) {
    try {
      await store.gateway.put(MARK, String(compacted.length));
      const { revision } = await store.gateway.range(MARK);
      await store.gateway.compact(revision);
      compacted.push(revision);
    } catch (error) {
      // Another fault may have taken the store away: it is compacted again when it is back.
      if (!(error instanceof LabError)) {
        throw error;
      }
    }
    await clock.sleep(everyMs, signal);
  }
}
