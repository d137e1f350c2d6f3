import { type AnyFault, defineFault } from "../fault.ts";

interface Target {
  /** Older than the compaction. */
  readonly revision: number;
}

/** Written to give the store a revision to compact; no agent looks there. */
const MARK = "/twill-lab/compaction";

export const compactStore: AnyFault = defineFault<Target>({
  name: "compact-store",
  summary:
    "Compacts etcd at its newest revision: whoever watches from an older one must read anew.",
  place: "store",
  parameters: {},
  timeLimitMs: 2000,
  aim: async ({ store, id }) => {
    const { revision } = await store.gateway.range(MARK);
    await store.gateway.put(MARK, id);
    return { revision };
  },
  inject: ({ store }, { revision }) => store.gateway.compact(revision + 1),
  verify: async ({ store }, { revision }) =>
    (await store.gateway.isCompacted(revision))
      ? { saw: `etcd has no revision ${revision} any more` }
      : undefined,
  // What is compacted stays so.
  heal: async () => undefined,
  verifyHealed: async ({ store }) =>
    (await store.gateway.isHealthy()) ? { saw: "etcd says that it is healthy" } : undefined,
});
