import { CodecError } from "./errors.ts";
import { type Family, familyNumber, familyOf, familyOfText } from "./ip.ts";
import { formatMac } from "./mac.ts";
import type { MessageReader } from "./message-reader.ts";
import type { MessageWriter } from "./message-writer.ts";
import {
  ADD,
  type Codec,
  NLM_F_REQUEST,
  ObjectRequest,
  PUT,
  type Request,
  words,
} from "./request.ts";

/** Source: linux/rtnetlink.h */
export const RTM_NEWNEIGH = 28;
export const RTM_DELNEIGH = 29;
export const RTM_GETNEIGH = 30;

/** Source: linux/neighbour.h */
export const NDA_DST = 1;
export const NDA_LLADDR = 2;
export const NDA_IFINDEX = 8;
const NTF_PROXY = 0x08;
const NTF_EXT_LEARNED = 0x10;
const NTF_ROUTER = 0x80;

/** Length of `struct ndmsg`, bytes. */
export const NEIGHBOUR_HEADER_BYTES = 12;
/** Source: linux/rtnetlink.h RTN_UNICAST */
const RTN_UNICAST = 1;

/** Source: linux/neighbour.h NUD_NONE … */
const STATES = {
  none: 0x00,
  incomplete: 0x01,
  reachable: 0x02,
  stale: 0x04,
  delay: 0x08,
  probe: 0x10,
  failed: 0x20,
  noarp: 0x40,
  permanent: 0x80,
} as const;

/** In the words of ip-neighbour(8). */
export type NeighbourStateName = keyof typeof STATES;

const STATE_NAMES = Object.keys(STATES).toReversed() as readonly NeighbourStateName[];

export function stateNumber(state: NeighbourStateName): number {
  return STATES[state];
}

/** The most lasting of the states: bridge(8) marks an FDB entry `noarp` and `permanent` at once. */
export function stateName(bits: number): NeighbourStateName {
  return STATE_NAMES.find((name) => (bits & STATES[name]) !== 0) ?? "none";
}

/** An ARP or NDP entry: the MAC behind an address on a link. */
export interface Neighbour {
  readonly linkIndex: number;
  readonly address: string;
  /** Absent while it is being resolved, and for a proxy entry. */
  readonly mac?: string;
  /** `permanent` when absent. */
  readonly state?: NeighbourStateName;
  readonly router?: boolean;
  /** Answers for the address itself. */
  readonly proxy?: boolean;
  /** Put there by a control plane; the kernel then neither ages nor probes it. */
  readonly externallyLearned?: boolean;
}

/** A neighbour as the kernel reports it. */
export interface NeighbourEntry extends Neighbour {
  readonly state: NeighbourStateName;
  readonly router: boolean;
  readonly proxy: boolean;
  readonly externallyLearned: boolean;
}

export interface NeighbourHeader {
  readonly family: number;
  readonly linkIndex: number;
  readonly state: number;
  readonly flags: number;
  readonly type: number;
}

/** Writes `struct ndmsg`. */
export function encodeNeighbourHeader(writer: MessageWriter, header: NeighbourHeader): void {
  writer.u8("family", header.family);
  writer.zeros(3);
  writer.u32("link index", header.linkIndex);
  writer.u16("state", header.state);
  writer.u8("flags", header.flags);
  writer.u8("type", header.type);
}

function encodeNeighbour(writer: MessageWriter, neighbour: Neighbour): void {
  encodeNeighbourHeader(writer, {
    family: familyNumber(familyOfText(neighbour.address)),
    linkIndex: neighbour.linkIndex,
    state: STATES[neighbour.state ?? "permanent"],
    flags:
      (neighbour.router === true ? NTF_ROUTER : 0) |
      (neighbour.proxy === true ? NTF_PROXY : 0) |
      (neighbour.externallyLearned === true ? NTF_EXT_LEARNED : 0),
    type: RTN_UNICAST,
  });
  writer.ipAttribute(NDA_DST, neighbour.address);
  if (neighbour.mac !== undefined) writer.macAttribute(NDA_LLADDR, neighbour.mac);
}

const CODEC: Codec<Neighbour> = {
  describe: (verb, { address, linkIndex, mac, proxy }) =>
    words(
      `${verb} neighbour ${address} dev ${linkIndex}`,
      ["lladdr", mac],
      proxy === true ? "proxy" : undefined,
    ),
  encode: encodeNeighbour,
};

/** Equivalent to `ip neighbour add ADDRESS lladdr MAC dev LINK nud permanent`. */
export function addNeighbour(neighbour: Neighbour): Request {
  return new ObjectRequest(CODEC, RTM_NEWNEIGH, ADD, neighbour);
}

/** Equivalent to `ip neighbour replace ADDRESS lladdr MAC dev LINK nud permanent`. */
export function putNeighbour(neighbour: Neighbour): Request {
  return new ObjectRequest(CODEC, RTM_NEWNEIGH, PUT, neighbour);
}

/** Removes by address and link, whatever the MAC. Equivalent to `ip neighbour delete ADDRESS dev LINK`. */
export function removeNeighbour(neighbour: Neighbour): Request {
  return new ObjectRequest(CODEC, RTM_DELNEIGH, NLM_F_REQUEST, neighbour);
}

/** Which neighbours to dump; the kernel filters by both. */
export interface NeighbourFilter {
  readonly family?: Family;
  readonly linkIndex?: number;
}

export function encodeNeighbourFilter(writer: MessageWriter, filter: NeighbourFilter): void {
  const family = filter.family === undefined ? 0 : familyNumber(filter.family);
  encodeNeighbourHeader(writer, { family, linkIndex: 0, state: 0, flags: 0, type: 0 });
  if (filter.linkIndex !== undefined) {
    writer.u32Attribute(NDA_IFINDEX, "link index", filter.linkIndex);
  }
}

/** Reads RTM_NEWNEIGH and RTM_DELNEIGH; undefined for other families, FDB entries among them. @throws CodecError */
export function decodeNeighbour(message: MessageReader): NeighbourEntry | undefined {
  if (familyOf(message.u8(0)) === undefined) return undefined;
  const flags = message.u8(10);
  let address: string | undefined;
  let mac: string | undefined;
  const attribute = message.attributes(NEIGHBOUR_HEADER_BYTES);
  while (attribute.next()) {
    if (attribute.type === NDA_DST) address = attribute.ip();
    else if (attribute.type === NDA_LLADDR) mac = formatMac(attribute.content());
  }
  if (address === undefined) throw new CodecError("a neighbour message without an address");
  return {
    linkIndex: message.u32(4),
    address,
    ...(mac === undefined ? {} : { mac }),
    state: stateName(message.u16(8)),
    router: (flags & NTF_ROUTER) !== 0,
    proxy: (flags & NTF_PROXY) !== 0,
    externallyLearned: (flags & NTF_EXT_LEARNED) !== 0,
  };
}
