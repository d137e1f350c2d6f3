/** Faults of the network between nodes and store, and of what the store's servers do to connections. */
import type { Lag, MemoryMember } from "agent/subnet-manager/etcd/memory-member.ts";
import type { FaultContext } from "./fault-context.ts";
import type { Fault } from "./plan.ts";
import type { Strike, Strikes } from "./strikes.ts";

export const NETWORK_STRIKES: Strikes<
  | "refuse"
  | "silence"
  | "store-refuse"
  | "store-silence"
  | "lose-replies"
  | "lose-requests"
  | "late-requests"
  | "repeat-requests"
  | "reset-connections"
  | "expire-token"
  | "progress"
  | "lag"
  | "lag-stale"
  | "fail-over"
  | "change-leader"
> = {
  refuse: (context, fault, node) => {
    node.uplink.set("refused");
    context.later(fault.seconds, () => context.mend(node));
    return true;
  },
  silence: (context, fault, node) => {
    node.uplink.set("silent");
    context.later(fault.seconds, () => context.mend(node));
    return true;
  },
  "store-refuse": partition("refused"),
  "store-silence": partition("silent"),
  "lose-replies"(_context, { variant }, { uplink }) {
    uplink.lostReplies += 1 + (variant % 4);
    return true;
  },
  "lose-requests"(_context, { variant }, { uplink }) {
    uplink.lostRequests += 1 + (variant % 4);
    return true;
  },
  "late-requests"(_context, { variant }, { uplink }) {
    uplink.lateRequests += 1 + (variant % 3);
    return true;
  },
  "repeat-requests"(_context, { variant }, { uplink }) {
    uplink.repeatedRequests += 1 + (variant % 4);
    return true;
  },
  "reset-connections"(_context, _fault, { uplink }) {
    uplink.reset();
    return true;
  },
  "expire-token"(_context, _fault, { agent }) {
    if (agent?.running !== true) return false;
    agent.connection.expireToken();
    return true;
  },
  /** The servers tell every watch how far it is. */
  progress(context) {
    for (const { agent } of context.world.nodes) agent?.connection.notifyProgress();
    return true;
  },
  lag: (context, fault) => lag(context, fault, false),
  "lag-stale": (context, fault) => lag(context, fault, true),
  "fail-over"(context, { variant }, node) {
    const { members } = context.world;
    if (members.length === 0) return false;
    node.failOver(1 + (variant % (members.length - 1)));
    return true;
  },
  /** Watches end everywhere, and every lease lives its whole time again. */
  "change-leader"(context) {
    for (const each of context.world.nodes) context.touch(each);
    context.operate(() => context.world.database.changeLeader());
    return true;
  },
};

function partition(state: "refused" | "silent"): Strike {
  return (context, { seconds }) => {
    const { nodes } = context.world;
    context.storeDown = true;
    for (const each of nodes) {
      context.touch(each);
      each.uplink.set(state);
    }
    context.later(seconds, () => {
      context.storeDown = false;
      for (const each of nodes) context.mend(each);
    });
    return true;
  };
}

/** The longest that a member is behind: twice what a request waits for. */
const LAG_MS = 10_000;

/** What was read from a stale member is acted on within this time. */
const ACTED_ON_MS = 10_000;

/** A member falls behind, in time or in revisions, and catches up. */
function lag(context: FaultContext, { variant, seconds }: Fault, staleReads: boolean): boolean {
  const { members, nodes } = context.world;
  const member = members[variant % Math.max(1, members.length)];
  if (member === undefined) return false;
  const behind: Lag =
    variant % 2 === 0
      ? { revisions: 1 + (variant % 5), staleReads }
      : { ms: 100 + (LAG_MS * variant) / 256, staleReads };
  const touch = (): void => {
    for (const each of nodes) if (each.member === member) context.touch(each);
  };
  touch();
  context.late.add(member);
  if (staleReads) context.staleUntilMs.set(member, Number.POSITIVE_INFINITY);
  member.lag(behind);
  context.later(seconds, () => catchUp(context, member, touch));
  return true;
}

function catchUp(context: FaultContext, member: MemoryMember, touch: () => void): void {
  context.late.delete(member);
  if (context.staleUntilMs.has(member))
    context.staleUntilMs.set(member, context.world.time.nowMs + ACTED_ON_MS);
  member.catchUp();
  touch();
}
