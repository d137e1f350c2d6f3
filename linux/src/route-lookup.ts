import { type Family, addressBits, familyNumber, parseIp } from "./ip.ts";
import type { MessageReader } from "./message-reader.ts";
import { NLM_F_REQUEST, type Request } from "./request.ts";
import { RTA_DST, RTM_GETROUTE, type RouteType, decodeRoute } from "./route.ts";

/** Asks for the table's number instead of 0. Source: linux/rtnetlink.h. */
const RTM_F_LOOKUP_TABLE = 0x1000;

/** The way a packet to an address would take. */
export interface RouteLookup {
  readonly address: string;
  readonly type: RouteType;
  readonly linkIndex?: number;
  /** Absent when the address is on the link itself. */
  readonly gateway?: string;
  readonly preferredSource?: string;
  /** Only where the route or the path has one of its own. */
  readonly mtu?: number;
}

/** Asks which way a packet to an address would take. Equivalent to `ip route get ADDRESS`. */
export function getRoute(address: string): Request {
  return {
    messageType: RTM_GETROUTE,
    flags: NLM_F_REQUEST,
    describe: () => `find the route to ${address}`,
    encode(writer) {
      const bytes = parseIp(address);
      const family: Family = bytes.length === 4 ? "inet" : "inet6";
      writer.u8("family", familyNumber(family));
      writer.u8("prefix length", addressBits(family));
      writer.zeros(6);
      // For IPv6 the kernel refuses this flag under strict checking.
      writer.u32("flags", family === "inet" ? RTM_F_LOOKUP_TABLE : 0);
      writer.bytesAttribute(RTA_DST, bytes);
    },
  };
}

/** Reads the answer. @throws CodecError */
export function decodeRouteLookup(
  address: string,
  message: MessageReader,
): RouteLookup | undefined {
  const route = decodeRoute(message);
  if (route === undefined) return undefined;
  const { type, linkIndex, gateway, preferredSource, mtu } = route;
  return {
    address,
    type,
    ...(linkIndex === undefined ? {} : { linkIndex }),
    ...(gateway === undefined ? {} : { gateway }),
    ...(preferredSource === undefined ? {} : { preferredSource }),
    ...(mtu === undefined ? {} : { mtu }),
  };
}
