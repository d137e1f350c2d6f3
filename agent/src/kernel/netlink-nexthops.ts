/** Nexthop objects between netlink and the port. */
import { NetlinkError, type NexthopState, type Request, putNexthop, removeNexthop } from "linux";
import type { Change, Nexthop } from "./kernel.ts";
import { type LinkNames, readIp } from "./netlink-objects.ts";

/** Of a group, a blackhole and their like only what the port knows: that the id is taken, and by whom. */
export function nexthopOf(state: NexthopState, names: LinkNames): Nexthop {
  const { id, onlink, protocol } = state;
  const gateway = readIp(state.gateway ?? "");
  return {
    kind: "nexthop",
    id,
    link: names.of(state.linkIndex),
    ...(gateway === undefined ? {} : { gateway }),
    onlink,
    protocol,
  };
}

/** A removal names the id alone. @param linkIndex only read for a put */
export function nexthopRequest(
  action: Change["action"],
  { id, gateway, onlink, protocol }: Nexthop,
  linkIndex: number,
): Request {
  if (action === "remove") return removeNexthop({ id });
  return gateway === undefined
    ? putNexthop({ id, linkIndex, onlink, protocol })
    : putNexthop({ id, gateway, linkIndex, onlink, protocol });
}

/**
 * What was read; undefined where the kernel does not know what it was asked for, as one before Linux 5.3 does not know nexthop objects.
 * Source: net/core/rtnetlink.c rtnetlink_rcv_msg.
 */
export async function unlessUnsupported<T>(read: () => Promise<T>): Promise<T | undefined> {
  try {
    return await read();
  } catch (error) {
    if (error instanceof NetlinkError && error.code === "EOPNOTSUPP") return undefined;
    throw error;
  }
}
