import { isStopped } from "../agent-process.ts";
import { type AnyFault, defineFault } from "../fault.ts";
import { aimAtMember, goesOnWithout, MEMBER, type MemberTarget } from "../store-member.ts";

export const pauseMember: AnyFault = defineFault<MemberTarget>({
  name: "pause-member",
  summary:
    "Pauses one member of the store with SIGSTOP until it is healed: who is connected to it hears nothing.",
  place: "store",
  parameters: { member: MEMBER },
  membersMin: 2,
  timeLimitMs: 10_000,
  aim: aimAtMember,
  inject: async (_site, { member }) => {
    member.pause();
  },
  verify: async (site, target) => {
    const { pid } = target.identity;
    const others = isStopped(pid) ? await goesOnWithout(site, target) : undefined;
    return others === undefined
      ? undefined
      : { saw: `the process table has ${pid} stopped, the ${target.member.name}, and ${others}` };
  },
  heal: async (_site, { member }) => {
    member.continue();
  },
  verifyHealed: async ({ store }, { identity }) =>
    !isStopped(identity.pid) && (await store.isHealthy())
      ? { saw: "all members have one leader" }
      : undefined,
});
