import { CodecError } from "./errors.ts";
import { AF_UNSPEC, type Family, familyNumber, familyOf, familyOfText } from "./ip.ts";
import type { AttributeReader, MessageReader } from "./message-reader.ts";
import { LITTLE_ENDIAN, type MessageWriter, checkInteger } from "./message-writer.ts";
import {
  ADD,
  type Codec,
  NLM_F_REQUEST,
  ObjectRequest,
  PUT,
  type Request,
  words,
} from "./request.ts";
import { RTNH_F_ONLINK } from "./route-hop.ts";
import { BOOT_PROTOCOL } from "./route.ts";

/** Source: linux/rtnetlink.h */
export const RTM_NEWNEXTHOP = 104;
export const RTM_DELNEXTHOP = 105;
export const RTM_GETNEXTHOP = 106;

/** Source: linux/nexthop.h */
const NHA_ID = 1;
const NHA_GROUP = 2;
const NHA_BLACKHOLE = 4;
const NHA_OIF = 5;
const NHA_GATEWAY = 6;
const NHA_GROUPS = 9;

/** Length of `struct nhmsg` and of `struct nexthop_grp`, bytes. */
const HEADER_BYTES = 8;
const GROUP_MEMBER_BYTES = 8;

/** One of a group's nexthops. */
export interface NexthopMember {
  readonly id: number;
  /** Share of the traffic, from 1 to 256. */
  readonly weight: number;
}

/** A nexthop object (kernel 5.3 and newer): the way of many routes, stated once. */
export interface Nexthop {
  readonly id: number;
  readonly gateway?: string;
  readonly linkIndex?: number;
  /** Only read from where there is no gateway; a group has none. */
  readonly family?: Family;
  readonly onlink?: boolean;
  readonly blackhole?: boolean;
  readonly protocol?: number;
  readonly group?: readonly NexthopMember[];
}

/** A nexthop as the kernel reports it. */
export interface NexthopState extends Nexthop {
  readonly protocol: number;
  readonly onlink: boolean;
  readonly blackhole: boolean;
}

function nexthopFamily(nexthop: Nexthop): number {
  if (nexthop.group !== undefined) return AF_UNSPEC;
  const family = nexthop.gateway === undefined ? nexthop.family : familyOfText(nexthop.gateway);
  if (family === undefined) {
    throw new CodecError(`nexthop ${nexthop.id} has no gateway, so its family must be stated`);
  }
  if (nexthop.family !== undefined && nexthop.family !== family) {
    throw new CodecError(`nexthop ${nexthop.id} is ${nexthop.family} via ${nexthop.gateway}`);
  }
  return familyNumber(family);
}

function encodeHeader(
  writer: MessageWriter,
  family: number,
  protocol: number,
  onlink: boolean,
): void {
  writer.u8("family", family);
  writer.zeros(1);
  writer.u8("protocol", protocol);
  writer.zeros(1);
  writer.u32("flags", onlink ? RTNH_F_ONLINK : 0);
}

function encodeId(writer: MessageWriter, id: number): void {
  if (id === 0) throw new CodecError("nexthop id 0 names no nexthop");
  writer.u32Attribute(NHA_ID, "nexthop id", id);
}

function encodeGroup(writer: MessageWriter, group: readonly NexthopMember[]): void {
  const bytes = new Uint8Array(group.length * GROUP_MEMBER_BYTES);
  const view = new DataView(bytes.buffer);
  for (const [index, member] of group.entries()) {
    const at = index * GROUP_MEMBER_BYTES;
    view.setUint32(at, checkInteger("nexthop id", member.id, 0xffff_ffff), LITTLE_ENDIAN);
    view.setUint8(at + 4, checkInteger("weight less one", member.weight - 1, 0xff));
  }
  writer.bytesAttribute(NHA_GROUP, bytes);
}

function encodeNexthop(writer: MessageWriter, nexthop: Nexthop): void {
  const protocol = nexthop.protocol ?? BOOT_PROTOCOL;
  encodeHeader(writer, nexthopFamily(nexthop), protocol, nexthop.onlink === true);
  encodeId(writer, nexthop.id);
  if (nexthop.group !== undefined) encodeGroup(writer, nexthop.group);
  if (nexthop.blackhole === true) writer.flagAttribute(NHA_BLACKHOLE);
  if (nexthop.gateway !== undefined) writer.ipAttribute(NHA_GATEWAY, nexthop.gateway);
  if (nexthop.linkIndex !== undefined) {
    writer.u32Attribute(NHA_OIF, "link index", nexthop.linkIndex);
  }
}

const CODEC: Codec<Nexthop> = {
  describe: (verb, nexthop) =>
    words(
      `${verb} nexthop ${nexthop.id}`,
      ["via", nexthop.gateway],
      ["dev", nexthop.linkIndex],
      ["group", nexthop.group?.map((member) => member.id).join("/")],
      nexthop.blackhole === true ? "blackhole" : undefined,
      nexthop.onlink === true ? "onlink" : undefined,
    ),
  encode: encodeNexthop,
};

/** Equivalent to `ip nexthop add id ID …`. */
export function addNexthop(nexthop: Nexthop): Request {
  return new ObjectRequest(CODEC, RTM_NEWNEXTHOP, ADD, nexthop);
}

/**
 * Makes or changes a nexthop. Changing one costs about 100 µs, so write differences only.
 * Equivalent to `ip nexthop replace id ID …`.
 */
export function putNexthop(nexthop: Nexthop): Request {
  return new ObjectRequest(CODEC, RTM_NEWNEXTHOP, PUT, nexthop);
}

/** Removes a nexthop and every route over it. Equivalent to `ip nexthop delete id ID`. */
export function removeNexthop(nexthop: { readonly id: number }): Request {
  return {
    messageType: RTM_DELNEXTHOP,
    flags: NLM_F_REQUEST,
    describe: () => `remove nexthop ${nexthop.id}`,
    encode(writer) {
      encodeHeader(writer, AF_UNSPEC, 0, false);
      encodeId(writer, nexthop.id);
    },
  };
}

/** Which nexthops to dump; the kernel filters by all of them. */
export interface NexthopFilter {
  readonly family?: Family;
  readonly linkIndex?: number;
  /** Only groups. */
  readonly groups?: boolean;
}

export function encodeNexthopFilter(writer: MessageWriter, filter: NexthopFilter): void {
  const family = filter.family === undefined ? AF_UNSPEC : familyNumber(filter.family);
  encodeHeader(writer, family, 0, false);
  if (filter.linkIndex !== undefined) {
    writer.u32Attribute(NHA_OIF, "link index", filter.linkIndex);
  }
  if (filter.groups === true) writer.flagAttribute(NHA_GROUPS);
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

function decodeGroup(attribute: AttributeReader): readonly NexthopMember[] {
  const bytes = attribute.content();
  if (bytes.length % GROUP_MEMBER_BYTES !== 0) throw new CodecError("a nexthop group is cut off");
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const group: NexthopMember[] = [];
  for (let at = 0; at < bytes.length; at += GROUP_MEMBER_BYTES) {
    group.push({ id: view.getUint32(at, LITTLE_ENDIAN), weight: view.getUint8(at + 4) + 1 });
  }
  return group;
}

/** Reads RTM_NEWNEXTHOP and RTM_DELNEXTHOP; undefined for other families. @throws CodecError */
export function decodeNexthop(message: MessageReader): NexthopState | undefined {
  const familyByte = message.u8(0);
  const family = familyOf(familyByte);
  if (family === undefined && familyByte !== AF_UNSPEC) return undefined;
  const nexthop: Mutable<NexthopState> = {
    id: 0,
    ...(family === undefined ? {} : { family }),
    protocol: message.u8(2),
    onlink: (message.u32(4) & RTNH_F_ONLINK) !== 0,
    blackhole: false,
  };
  const attribute = message.attributes(HEADER_BYTES);
  while (attribute.next()) {
    if (attribute.type === NHA_ID) nexthop.id = attribute.u32();
    else if (attribute.type === NHA_GATEWAY) nexthop.gateway = attribute.ip();
    else if (attribute.type === NHA_OIF) nexthop.linkIndex = attribute.u32();
    else if (attribute.type === NHA_BLACKHOLE) nexthop.blackhole = true;
    else if (attribute.type === NHA_GROUP) nexthop.group = decodeGroup(attribute);
  }
  return nexthop;
}
