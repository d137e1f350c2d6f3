import { LabError } from "../../errors.ts";
import { deadlineIn, poll } from "../../system/clock.ts";
import { type AnyFault, defineFault, type FaultSite } from "../fault.ts";
import { aimAtMember, goesOnWithout, type MemberTarget } from "../store-member.ts";

const TIME_LIMIT_MS = 5000;
const ASK_AGAIN_MS = 50;
/** A leader gives up after an election timeout, 500 ms here; etcd does not say so, and waits for what cannot come any more. */
const PATIENCE_MS = 1000;

export const changeLeader: AnyFault = defineFault<MemberTarget>({
  name: "change-leader",
  summary: "Makes another member of the store its leader; all of them go on.",
  place: "store",
  parameters: {},
  membersMin: 2,
  timeLimitMs: TIME_LIMIT_MS,
  aim: async (site, request) => {
    const leader = await aimAtMember(site, { ...request, parameters: { member: "leader" } });
    await site.store.memberMeant("follower");
    return leader;
  },
  inject: async (site, from) => {
    const { clock } = site;
    let refusal: LabError | undefined;
    const deadline = deadlineIn(clock, TIME_LIMIT_MS);
    const hasMoved = await poll(clock, { everyMs: ASK_AGAIN_MS, deadline }, async () => {
      refusal = await handOver(site, from);
      return refusal === undefined || (await goesOnWithout(site, from)) !== undefined || undefined;
    });
    if (hasMoved === undefined && refusal !== undefined) {
      throw refusal;
    }
  },
  verify: async (site, from) => {
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

/** Asks the leader once to make way for the follower that is best able to. Returns why it did not. */
async function handOver(site: FaultSite, from: MemberTarget): Promise<LabError | undefined> {
  try {
    const request = { fault: "change-leader", parameters: { member: "follower" } };
    const { memberId } = await aimAtMember(site, request);
    await site.store.gateway.moveLeader(from.member.endpoint, memberId, PATIENCE_MS);
    return undefined;
  } catch (error) {
    if (!(error instanceof LabError)) {
      throw error;
    }
    return error;
  }
}
