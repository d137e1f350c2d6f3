import { CodecError } from "./errors.ts";
import { type Family, addressBits, familyNumber, familyOf, parseIp } from "./ip.ts";
import type { MessageReader } from "./message-reader.ts";
import { type MessageWriter, checkInteger } from "./message-writer.ts";
import { ADD, NLM_F_REQUEST, PUT, type Request } from "./request.ts";

/** Source: linux/rtnetlink.h */
export const RTM_NEWADDR = 20;
export const RTM_DELADDR = 21;
export const RTM_GETADDR = 22;

/** Source: linux/if_addr.h */
const IFA_ADDRESS = 1;
const IFA_LOCAL = 2;
const IFA_BROADCAST = 4;
const IFA_FLAGS = 8;
const IFA_F_SECONDARY = 0x01;
const IFA_F_NODAD = 0x02;
const IFA_F_DADFAILED = 0x08;
const IFA_F_DEPRECATED = 0x20;
const IFA_F_TENTATIVE = 0x40;
const IFA_F_PERMANENT = 0x80;
const IFA_F_NOPREFIXROUTE = 0x200;

/** Length of `struct ifaddrmsg`, bytes. */
const HEADER_BYTES = 8;
const U32_MAX = 0xffff_ffff;

/** How far an address or a route reaches. Source: linux/rtnetlink.h rt_scope_t. */
export const SCOPE: Readonly<Record<"global" | "site" | "link" | "host" | "nowhere", number>> = {
  global: 0,
  site: 200,
  link: 253,
  host: 254,
  nowhere: 255,
};

/** An address of a link. */
export interface Address {
  readonly linkIndex: number;
  readonly address: string;
  readonly prefixLength: number;
  /** Other end of a point-to-point link. */
  readonly peer?: string;
  readonly broadcast?: string;
  /** One of SCOPE, global when absent. The kernel derives it for IPv6. */
  readonly scope?: number;
  /** Usable at once, without duplicate address detection (IPv6). */
  readonly noDad?: boolean;
  /** Does not bring the route to its prefix. */
  readonly noPrefixRoute?: boolean;
}

/** An address as the kernel reports it. */
export interface AddressState extends Address {
  readonly scope: number;
  /** Has no lifetime that runs out. */
  readonly permanent: boolean;
  /** Duplicate address detection has not ended. */
  readonly tentative: boolean;
  readonly dadFailed: boolean;
  readonly deprecated: boolean;
  /** A further address in a prefix (IPv4), or a temporary one (IPv6). */
  readonly secondary: boolean;
}

function encodeAddress(writer: MessageWriter, address: Address): void {
  const local = parseIp(address.address);
  const other = address.peer === undefined ? local : parseIp(address.peer);
  const broadcast = address.broadcast === undefined ? undefined : parseIp(address.broadcast);
  if (other.length !== local.length || (broadcast?.length ?? local.length) !== local.length) {
    throw new CodecError(`address ${address.address} with peer or broadcast of the other family`);
  }
  const family: Family = local.length === 4 ? "inet" : "inet6";
  const flags =
    (address.noDad === true ? IFA_F_NODAD : 0) |
    (address.noPrefixRoute === true ? IFA_F_NOPREFIXROUTE : 0);
  writer.u8("family", familyNumber(family));
  writer.u8(
    "prefix length",
    checkInteger("prefix length", address.prefixLength, addressBits(family)),
  );
  writer.u8("flags", flags & 0xff);
  writer.u8("scope", address.scope ?? SCOPE.global);
  writer.u32("link index", address.linkIndex);
  writer.bytesAttribute(IFA_LOCAL, local);
  writer.bytesAttribute(IFA_ADDRESS, other);
  if (broadcast !== undefined) writer.bytesAttribute(IFA_BROADCAST, broadcast);
  // The header has room for the first eight flags only.
  if (flags > 0xff) writer.u32Attribute(IFA_FLAGS, "flags", flags);
}

function addressRequest(verb: string, type: number, flags: number, address: Address): Request {
  return {
    messageType: type,
    flags,
    describe: () =>
      `${verb} address ${address.address}/${address.prefixLength} of link ${address.linkIndex}`,
    encode(writer) {
      encodeAddress(writer, address);
    },
  };
}

/** Equivalent to `ip address add ADDRESS dev LINK`. */
export function addAddress(address: Address): Request {
  return addressRequest("add", RTM_NEWADDR, ADD, address);
}

/** Equivalent to `ip address replace ADDRESS dev LINK`. */
export function putAddress(address: Address): Request {
  return addressRequest("put", RTM_NEWADDR, PUT, address);
}

/** Equivalent to `ip address delete ADDRESS dev LINK`. */
export function removeAddress(address: Address): Request {
  return addressRequest("remove", RTM_DELADDR, NLM_F_REQUEST, address);
}

/** Which addresses to dump; the kernel filters by both. */
export interface AddressFilter {
  readonly family?: Family;
  readonly linkIndex?: number;
}

export function encodeAddressFilter(writer: MessageWriter, filter: AddressFilter): void {
  writer.u8("family", filter.family === undefined ? 0 : familyNumber(filter.family));
  writer.zeros(3);
  writer.u32("link index", checkInteger("link index", filter.linkIndex ?? 0, U32_MAX));
}

/** Reads RTM_NEWADDR and RTM_DELADDR; undefined for other families. @throws CodecError */
export function decodeAddress(message: MessageReader): AddressState | undefined {
  if (familyOf(message.u8(0)) === undefined) return undefined;
  let flags = message.u8(2);
  let local: string | undefined;
  let other: string | undefined;
  let broadcast: string | undefined;
  const attribute = message.attributes(HEADER_BYTES);
  while (attribute.next()) {
    if (attribute.type === IFA_LOCAL) local = attribute.ip();
    else if (attribute.type === IFA_ADDRESS) other = attribute.ip();
    else if (attribute.type === IFA_BROADCAST) broadcast = attribute.ip();
    else if (attribute.type === IFA_FLAGS) flags = attribute.u32();
  }
  // IPv6 leaves IFA_LOCAL out where there is no peer.
  const address = local ?? other;
  if (address === undefined) throw new CodecError("an address message without an address");
  return {
    linkIndex: message.u32(4),
    address,
    prefixLength: message.u8(1),
    ...(other === undefined || other === address ? {} : { peer: other }),
    ...(broadcast === undefined ? {} : { broadcast }),
    scope: message.u8(3),
    noDad: (flags & IFA_F_NODAD) !== 0,
    noPrefixRoute: (flags & IFA_F_NOPREFIXROUTE) !== 0,
    permanent: (flags & IFA_F_PERMANENT) !== 0,
    tentative: (flags & IFA_F_TENTATIVE) !== 0,
    dadFailed: (flags & IFA_F_DADFAILED) !== 0,
    deprecated: (flags & IFA_F_DEPRECATED) !== 0,
    secondary: (flags & IFA_F_SECONDARY) !== 0,
  };
}
