import { deadlineIn } from "../../system/clock.ts";
import { isSameProcess } from "../../system/process-table.ts";
import { type AnyFault, defineFault } from "../fault.ts";
import { aimAtMember, goesOnWithout, MEMBER, type MemberTarget } from "../store-member.ts";

const TIME_LIMIT_MS = 10_000;

export const stopMember: AnyFault = defineFault<MemberTarget>({
  name: "stop-member",
  summary: "Kills one member of the store; healing starts it with the data it had.",
  place: "store",
  parameters: { member: MEMBER },
  membersMin: 2,
  timeLimitMs: TIME_LIMIT_MS,
  aim: aimAtMember,
  inject: (_site, { member }) => member.stop(),
  verify: async (site, target) => {
    const others = isSameProcess(target.identity) ? undefined : await goesOnWithout(site, target);
    return others === undefined
      ? undefined
      : {
          saw: `the process table has no ${target.identity.pid}, the ${target.member.name}, and ${others}`,
        };
  },
  heal: ({ store, clock }, { member }) =>
    store.startMember(member, {
      clock,
      deadline: deadlineIn(clock, TIME_LIMIT_MS),
      signal: new AbortController().signal,
    }),
  verifyHealed: async ({ store }, { member }) =>
    member.pid !== undefined && (await store.isHealthy())
      ? { saw: `all members that run, ${member.name} too, have one leader` }
      : undefined,
});
