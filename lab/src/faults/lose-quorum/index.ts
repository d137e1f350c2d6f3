import { LabError } from "../../errors.ts";
import { NO_LEADER } from "../../store/gateway.ts";
import type { Etcd } from "../../store/etcd.ts";
import { deadlineIn } from "../../system/clock.ts";
import {
  identifyProcess,
  isSameProcess,
  type ProcessIdentity,
} from "../../system/process-table.ts";
import { type AnyFault, defineFault } from "../fault.ts";

interface Target {
  readonly stopped: readonly { readonly member: Etcd; readonly identity: ProcessIdentity }[];
  readonly left: readonly Etcd[];
}

const TIME_LIMIT_MS = 10_000;

export const loseQuorum: AnyFault = defineFault<Target>({
  name: "lose-quorum",
  summary:
    "Kills so many members of the store that the others cannot lead: they answer, and can do nothing.",
  place: "store",
  parameters: {},
  membersMin: 2,
  timeLimitMs: TIME_LIMIT_MS,
  aim: async ({ store: { members } }) => {
    const left = members.slice(members.length - Math.floor(members.length / 2));
    const stopped = members
      .filter((member) => !left.includes(member))
      .map((member) => {
        const identity = member.pid === undefined ? undefined : identifyProcess(member.pid);
        if (identity === undefined) {
          throw new LabError("wrong-state", `${member.name} does not run`);
        }
        return { member, identity };
      });
    return { stopped, left };
  },
  inject: async (_site, { stopped }) => {
    await Promise.all(stopped.map(({ member }) => member.stop()));
  },
  verify: async ({ store }, { stopped, left }) => {
    const statuses = await Promise.all(left.map((member) => store.statusOf(member)));
    return stopped.some(({ identity }) => isSameProcess(identity)) ||
      statuses.some((status) => status?.leader !== NO_LEADER)
      ? undefined
      : {
          saw: `the process table has no ${stopped.map(({ identity }) => identity.pid).join(", ")}, and ${left.map(({ name }) => name).join(", ")} no leader`,
        };
  },
  heal: ({ store, clock }) =>
    store.start(clock, deadlineIn(clock, TIME_LIMIT_MS), new AbortController().signal),
  verifyHealed: async ({ store }) =>
    (await store.isWhole()) ? { saw: "all members have one leader" } : undefined,
});
