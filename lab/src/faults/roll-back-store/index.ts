import { deadlineIn } from "../../system/clock.ts";
import type { Waiting } from "../../store/store.ts";
import { type AnyFault, defineFault, type FaultSite } from "../fault.ts";

interface Target {
  /** Written after the backup: gone when the store is what it was. */
  readonly mark: string;
}

const TIME_LIMIT_MS = 15_000;
/** No agent looks there. */
const MARKS = "/twill-lab/after-backup/";

export const rollBackStore: AnyFault = defineFault<Target>({
  name: "roll-back-store",
  summary:
    "Takes a backup of etcd; healing starts it with that: what was written meanwhile is lost, and revisions come twice.",
  place: "store",
  parameters: {},
  timeLimitMs: TIME_LIMIT_MS,
  aim: async ({ id }) => ({ mark: `${MARKS}${id}` }),
  inject: async (site, { mark }) => {
    await site.store.backUp(waiting(site));
    await site.store.gateway.put(mark, "");
  },
  verify: async ({ store }, { mark }) => {
    const { entries, revision } = await store.gateway.range(mark);
    return entries.some(({ key }) => key === mark)
      ? { saw: `the store has ${mark} at revision ${revision}, which the backup has not` }
      : undefined;
  },
  heal: (site) => site.store.rollBack(waiting(site)),
  verifyHealed: async ({ store }, { mark }) => {
    const { entries, revision } = await store.gateway.range(mark);
    return entries.some(({ key }) => key === mark)
      ? undefined
      : { saw: `the store has no ${mark} any more, and is at revision ${revision}` };
  },
});

function waiting({ clock }: FaultSite): Waiting {
  return {
    clock,
    deadline: deadlineIn(clock, TIME_LIMIT_MS),
    signal: new AbortController().signal,
  };
}
