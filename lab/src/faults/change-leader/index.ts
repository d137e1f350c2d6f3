import { type AnyFault, defineFault } from "../fault.ts";
import { aimAtMember, goesOnWithout, type MemberTarget } from "../store-member.ts";

interface Target {
  readonly from: MemberTarget;
  readonly to: MemberTarget;
}

export const changeLeader: AnyFault = defineFault<Target>({
  name: "change-leader",
  summary: "Makes another member of the store its leader; all of them go on.",
  place: "store",
  parameters: {},
  membersMin: 2,
  timeLimitMs: 5000,
  aim: async (site, request) => {
    const meant = (member: string): Promise<MemberTarget> =>
      aimAtMember(site, { ...request, parameters: { member } });
    return { from: await meant("leader"), to: await meant("follower") };
  },
  inject: ({ store }, { from, to }) => store.gateway.moveLeader(from.member.endpoint, to.memberId),
  verify: async (site, { from }) => {
    const others = await goesOnWithout(site, from);
    return others === undefined
      ? undefined
      : { saw: `${others}, who was ${from.memberId} (${from.member.name})` };
  },
  // Whoever leads, nothing is wrong with it.
  heal: async () => undefined,
  verifyHealed: async ({ store }) =>
    (await store.isHealthy()) ? { saw: "all members have one leader" } : undefined,
});
