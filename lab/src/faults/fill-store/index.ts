import { LabError } from "../../errors.ts";
import { type AnyFault, defineFault } from "../fault.ts";

interface Target {
  readonly memberId: string;
}

/** Written to see whether it can be; no agent looks there. */
const MARK = "/twill-lab/disk";

export const fillStore: AnyFault = defineFault<Target>({
  name: "fill-store",
  summary:
    "Raises etcd's alarm of a full disk (NOSPACE): it answers, renews and deletes, and refuses every write until it is healed.",
  place: "store",
  parameters: {},
  timeLimitMs: 5000,
  aim: async ({ store }) => {
    const [status] = await Promise.all(
      store.members.filter(({ answers }) => answers).map((member) => store.statusOf(member)),
    );
    if (status === undefined) {
      throw new LabError("wrong-state", "no etcd answers");
    }
    return status;
  },
  inject: ({ store }, { memberId }) => store.gateway.setFull(memberId, true),
  verify: async ({ store }) =>
    (await store.gateway.isFull(MARK))
      ? { saw: `etcd refuses to write ${MARK}: database space exceeded` }
      : undefined,
  heal: ({ store }, { memberId }) => store.gateway.setFull(memberId, false),
  verifyHealed: async ({ store }) =>
    (await store.gateway.isFull(MARK)) ? undefined : { saw: `etcd has written ${MARK}` },
});
