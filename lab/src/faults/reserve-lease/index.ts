import { type AnyFault, defineFault } from "../fault.ts";
import { aimAtLease, entryOf, type LeaseTarget } from "../held-lease.ts";

export const reserveLease: AnyFault = defineFault<LeaseTarget>({
  name: "reserve-lease",
  summary:
    "Makes a reservation of a host's lease, as an operator does: the same key and value, which never run out; healing deletes it.",
  place: "host",
  parameters: {},
  timeLimitMs: 2000,
  aim: aimAtLease,
  inject: ({ store }, { entry }) => store.gateway.put(entry.key, entry.value),
  // An agent that puts it on an etcd lease again at once does not make it unseen: that is what a scenario is to find out.
  verify: async (site, { entry }) => {
    const now = await entryOf(site, entry.key);
    return now === undefined || now.modRevision === entry.modRevision
      ? undefined
      : {
          saw:
            now.leaseId === undefined
              ? `the store has ${entry.key} without an etcd lease`
              : `the store has another ${entry.key} than before, and that on an etcd lease`,
        };
  },
  heal: async (site, { entry }) => {
    const now = await entryOf(site, entry.key);
    if (now?.createRevision === entry.createRevision && now.leaseId === undefined) {
      await site.store.gateway.remove(entry.key);
    }
  },
  // Its node has taken it again, or is about to.
  verifyHealed: async (site, { entry }) =>
    (await entryOf(site, entry.key))?.createRevision === entry.createRevision
      ? undefined
      : { saw: `the store has no ${entry.key} of revision ${entry.createRevision}` },
});
