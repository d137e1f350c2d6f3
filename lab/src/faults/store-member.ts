import { LabError } from "../errors.ts";
import type { FaultRequest } from "../lab.ts";
import type { Etcd } from "../store/etcd.ts";
import { NO_LEADER } from "../store/gateway.ts";
import { MEMBER_WORDS } from "../store/store.ts";
import { identifyProcess, type ProcessIdentity } from "../system/process-table.ts";
import type { FaultSite, Parameter } from "./fault.ts";

export interface MemberTarget {
  readonly member: Etcd;
  readonly identity: ProcessIdentity;
  /** As members call each other. */
  readonly memberId: string;
}

/** A member that leads, once this is over. */
const FEWEST_MEMBERS = 2;

export const MEMBER: Parameter = {
  help: "which one: the leader or a follower, as things are then, or by its number (default leader)",
  byDefault: "leader",
  value: { kind: "word", words: MEMBER_WORDS },
};

/**
 * The member that a request means.
 * @throws LabError "wrong-state" when it does not answer, or the store has no other
 */
export async function aimAtMember(
  { store }: FaultSite,
  { fault, parameters }: FaultRequest,
): Promise<MemberTarget> {
  wantMembers(store.members, fault);
  const member = await store.memberMeant(parameters["member"] ?? "leader");
  const identity = member.pid === undefined ? undefined : identifyProcess(member.pid);
  const status = await store.statusOf(member);
  if (identity === undefined || status === undefined) {
    throw new LabError("wrong-state", `${member.name} does not answer`);
  }
  return { member, identity, memberId: status.memberId };
}

/** @throws LabError "wrong-state" for a store of one */
export function wantMembers(members: readonly Etcd[], fault: string): void {
  if (members.length < FEWEST_MEMBERS) {
    throw new LabError(
      "wrong-state",
      `fault ${fault} wants a store of several members: lab up --store-members 3`,
    );
  }
}

/** What a member says of a cluster that has a leader, and another one than this; undefined when none says so. */
export async function goesOnWithout(
  { store }: FaultSite,
  { member, memberId }: MemberTarget,
): Promise<string | undefined> {
  for (const other of store.members.filter((one) => one !== member)) {
    const status = await store.statusOf(other);
    if (status !== undefined && ![memberId, NO_LEADER].includes(status.leader)) {
      return `${other.name} has the leader ${status.leader}`;
    }
  }
  return undefined;
}
