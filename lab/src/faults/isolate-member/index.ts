import { NO_LEADER } from "../../store/gateway.ts";
import { storeAddresses } from "../../topology.ts";
import { MAX_STORE_MEMBERS } from "../../options.ts";
import { type AnyFault, defineFault } from "../fault.ts";
import { addFilter, type FilterPlan, removeFilter } from "../packet-filter.ts";
import { aimAtMember, goesOnWithout, MEMBER, type MemberTarget } from "../store-member.ts";

interface Target extends MemberTarget {
  readonly plan: FilterPlan;
}

export const isolateMember: AnyFault = defineFault<Target>({
  name: "isolate-member",
  summary:
    "Cuts one member of the store off from the others: it answers its clients, leads nobody, and hears of no change.",
  place: "store",
  parameters: { member: MEMBER },
  // Of three; of two none would lead.
  membersMin: 3,
  needs: "packet-filter",
  timeLimitMs: 10_000,
  aim: async (site, request) => {
    const target = await aimAtMember(site, request);
    return {
      ...target,
      plan: {
        table: `lab_${site.id}`,
        port: target.member.name,
        direction: "both",
        from: { macs: [], addresses: storeAddresses(MAX_STORE_MEMBERS) },
        routers: [],
        verdict: "counter drop",
      },
    };
  },
  inject: async (_site, { plan, member }) => {
    await addFilter(plan);
    member.isIsolated = true;
  },
  verify: async (site, target) => {
    const { leader } = (await site.store.statusOf(target.member)) ?? {};
    const others = leader === NO_LEADER ? await goesOnWithout(site, target) : undefined;
    return others === undefined
      ? undefined
      : { saw: `${target.member.name} says that it has no leader, and ${others}` };
  },
  heal: async (_site, { plan, member }) => {
    await removeFilter(plan);
    member.isIsolated = false;
  },
  verifyHealed: async ({ store }) =>
    (await store.isHealthy()) ? { saw: "all members that run have one leader" } : undefined,
});
