import { CodecError } from "./errors.ts";
import { AF_UNSPEC } from "./ip.ts";
import { formatMac } from "./mac.ts";
import type { AttributeReader, MessageReader } from "./message-reader.ts";
import { type MessageWriter, checkInteger } from "./message-writer.ts";
import { ADD, NLM_F_REQUEST, type Request } from "./request.ts";
import { type Vxlan, decodeVxlan, encodeVxlan } from "./vxlan.ts";

/** Source: linux/rtnetlink.h */
export const RTM_NEWLINK = 16;
export const RTM_DELLINK = 17;
export const RTM_GETLINK = 18;

/** Source: linux/if_link.h */
const IFLA_ADDRESS = 1;
export const IFLA_IFNAME = 3;
const IFLA_MTU = 4;
const IFLA_LINK = 5;
export const IFLA_MASTER = 10;
const IFLA_TXQLEN = 13;
export const IFLA_LINKINFO = 18;
const IFLA_NET_NS_PID = 19;
const IFLA_NET_NS_FD = 28;
export const IFLA_EXT_MASK = 29;
export const IFLA_INFO_KIND = 1;
const IFLA_INFO_DATA = 2;
const VETH_INFO_PEER = 1;

/** Source: linux/if.h */
const IFF_UP = 0x1;
const IFF_LOOPBACK = 0x8;
const IFF_POINTOPOINT = 0x10;
const IFF_LOWER_UP = 0x1_0000;

/** Length of `struct ifinfomsg`, bytes. */
const HEADER_BYTES = 16;
/** IFNAMSIZ without the zero byte at its end. Source: linux/if.h. */
const MAX_NAME_BYTES = 15;
const MAX_INDEX = 0x7fff_ffff;

/** A network namespace, named by a process in it or by an open file of it. */
export type NamespaceReference = { readonly pid: number } | { readonly descriptor: number };

/** Which link: the kernel knows it by index and by name. */
export type LinkReference = { readonly index: number } | { readonly name: string };

/** What can be said about a link of any kind. What is absent is left to the kernel. */
export interface LinkSettings {
  readonly mtu?: number;
  readonly mac?: string;
  readonly up?: boolean;
  /** Packets that may wait; 0 is none. */
  readonly transmitQueueLength?: number;
  /** The bridge it is a port of; 0 takes it out. */
  readonly masterIndex?: number;
  /** Where it shall live; absent for the socket's own namespace. */
  readonly namespace?: NamespaceReference;
}

/** The other end of a veth. It can be set up only after both ends are there. */
export interface VethPeer extends Omit<LinkSettings, "masterIndex" | "up"> {
  readonly name: string;
}

/** A link to be made. */
export type NewLink = LinkSettings & { readonly name: string } & (
    | { readonly kind: "bridge" | "dummy" }
    | { readonly kind: "veth"; readonly peer: VethPeer }
    | { readonly kind: "vxlan"; readonly vxlan: Vxlan }
  );

/** A link as the kernel reports it. */
export interface Link {
  readonly index: number;
  readonly name: string;
  /** `veth`, `bridge`, `vxlan` …; absent for hardware and loopback. */
  readonly kind?: string;
  readonly mtu: number;
  /** Absent where the link layer is not Ethernet. */
  readonly mac?: string;
  /** Set up by the administrator. */
  readonly up: boolean;
  /** Its carrier is there. */
  readonly lowerUp: boolean;
  readonly loopback: boolean;
  readonly pointToPoint: boolean;
  readonly transmitQueueLength: number;
  readonly masterIndex?: number;
  /** The link below (vxlan) or the other end (veth, in its own namespace's numbers). */
  readonly lowerIndex?: number;
  /** Present when the kind is `vxlan`. */
  readonly vxlan?: Vxlan;
}

/**
 * Source: net/core/dev.c dev_valid_name; `%` would make the kernel choose a number.
 * @throws CodecError
 */
export function checkLinkName(name: string): string {
  const bytes = new TextEncoder().encode(name).length;
  // oxlint-disable-next-line no-control-regex -- control characters are what it looks for
  const bad = /[/:%\s\u0000-\u001f\u007f]/.test(name) || name === "." || name === "..";
  if (bytes === 0 || bytes > MAX_NAME_BYTES || bad) {
    throw new CodecError(
      `${JSON.stringify(name)} is not a link name (1 to ${MAX_NAME_BYTES} bytes, no "/", ":", "%" or white space)`,
    );
  }
  return name;
}

function encodeHeader(writer: MessageWriter, index: number, up: boolean | undefined): void {
  writer.u8("family", AF_UNSPEC);
  writer.zeros(3);
  writer.u32("link index", checkInteger("link index", index, MAX_INDEX));
  writer.u32("flags", up === true ? IFF_UP : 0);
  writer.u32("flags to change", up === undefined ? 0 : IFF_UP);
}

function encodeSettings(
  writer: MessageWriter,
  name: string | undefined,
  settings: LinkSettings,
): void {
  if (name !== undefined) writer.textAttribute(IFLA_IFNAME, checkLinkName(name));
  if (settings.mtu !== undefined) writer.u32Attribute(IFLA_MTU, "mtu", settings.mtu);
  if (settings.transmitQueueLength !== undefined) {
    writer.u32Attribute(IFLA_TXQLEN, "transmit queue length", settings.transmitQueueLength);
  }
  if (settings.mac !== undefined) writer.macAttribute(IFLA_ADDRESS, settings.mac);
  if (settings.masterIndex !== undefined) {
    writer.u32Attribute(IFLA_MASTER, "master index", settings.masterIndex);
  }
  const { namespace } = settings;
  if (namespace === undefined) return;
  if ("pid" in namespace) writer.u32Attribute(IFLA_NET_NS_PID, "namespace pid", namespace.pid);
  else writer.u32Attribute(IFLA_NET_NS_FD, "namespace descriptor", namespace.descriptor);
}

function encodeKind(writer: MessageWriter, link: NewLink): void {
  if (link.kind === "vxlan") return encodeVxlanKind(writer, link.vxlan);
  writer.nest(IFLA_LINKINFO, () => {
    writer.bareTextAttribute(IFLA_INFO_KIND, link.kind);
    if (link.kind === "veth") {
      const { peer } = link;
      writer.nest(IFLA_INFO_DATA, () => {
        writer.nest(VETH_INFO_PEER, () => {
          encodeHeader(writer, 0, undefined);
          encodeSettings(writer, peer.name, peer);
        });
      });
    }
  });
}

function encodeVxlanKind(writer: MessageWriter, vxlan: Vxlan): void {
  writer.nest(IFLA_LINKINFO, () => {
    writer.bareTextAttribute(IFLA_INFO_KIND, "vxlan");
    writer.nest(IFLA_INFO_DATA, () => {
      encodeVxlan(writer, vxlan);
    });
  });
}

function describeReference(link: LinkReference): string {
  return "index" in link ? `link ${link.index}` : `link ${link.name}`;
}

function encodeReference(writer: MessageWriter, link: LinkReference, up?: boolean): void {
  if ("index" in link && link.index === 0) throw new CodecError("link index 0 names no link");
  encodeHeader(writer, "index" in link ? link.index : 0, up);
  if ("name" in link) writer.textAttribute(IFLA_IFNAME, checkLinkName(link.name));
}

/** Makes a link that must not be there yet. Equivalent to `ip link add NAME type KIND …`. */
export function addLink(link: NewLink): Request {
  return {
    messageType: RTM_NEWLINK,
    flags: ADD,
    describe: () => `add link ${link.name} type ${link.kind}`,
    encode(writer) {
      encodeHeader(writer, 0, link.up);
      encodeSettings(writer, link.name, link);
      encodeKind(writer, link);
    },
  };
}

/** What can be changed of a link that is there. */
export interface LinkChanges extends LinkSettings {
  /** For a link that is referred to by its index. */
  readonly name?: string;
  /**
   * Of a vxlan link, with its own VNI: learning, ttl, ageing, the local address within its family and the lower link change in
   * place, the kernel refuses others. Source: drivers/net/vxlan/vxlan_core.c vxlan_nl2conf.
   */
  readonly vxlan?: Vxlan;
}

/** Changes what is stated and leaves the rest. Equivalent to `ip link set NAME … [type vxlan …]`. */
export function changeLink(link: LinkReference, changes: LinkChanges): Request {
  return {
    messageType: RTM_NEWLINK,
    flags: NLM_F_REQUEST,
    describe: () => `change ${describeReference(link)} (${Object.keys(changes).join(", ")})`,
    encode(writer) {
      if ("name" in link && changes.name !== undefined) {
        throw new CodecError(`link ${link.name} can only be renamed by its index`);
      }
      encodeReference(writer, link, changes.up);
      encodeSettings(writer, changes.name, changes);
      if (changes.vxlan !== undefined) encodeVxlanKind(writer, changes.vxlan);
    },
  };
}

/** Equivalent to `ip link delete NAME`. */
export function removeLink(link: LinkReference): Request {
  return {
    messageType: RTM_DELLINK,
    flags: NLM_F_REQUEST,
    describe: () => `remove ${describeReference(link)}`,
    encode(writer) {
      encodeReference(writer, link);
    },
  };
}

/** Leaves statistics out of answers. Source: linux/rtnetlink.h RTEXT_FILTER_SKIP_STATS. */
const RTEXT_FILTER_SKIP_STATS = 8;

/** Which links to dump; the kernel filters by both. */
export interface LinkFilter {
  readonly kind?: string;
  readonly masterIndex?: number;
}

export function encodeLinkFilter(writer: MessageWriter, filter: LinkFilter): void {
  encodeHeader(writer, 0, undefined);
  writer.u32Attribute(IFLA_EXT_MASK, "filter", RTEXT_FILTER_SKIP_STATS);
  if (filter.masterIndex !== undefined) {
    writer.u32Attribute(IFLA_MASTER, "master index", filter.masterIndex);
  }
  const { kind } = filter;
  if (kind === undefined) return;
  writer.nest(IFLA_LINKINFO, () => {
    writer.bareTextAttribute(IFLA_INFO_KIND, kind);
  });
}

/** Asks for one link. */
export function getLink(link: LinkReference): Request {
  return {
    messageType: RTM_GETLINK,
    flags: NLM_F_REQUEST,
    describe: () => `read ${describeReference(link)}`,
    encode(writer) {
      encodeReference(writer, link);
      writer.u32Attribute(IFLA_EXT_MASK, "filter", RTEXT_FILTER_SKIP_STATS);
    },
  };
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

function decodeKind(attribute: AttributeReader, link: Mutable<Link>): void {
  while (attribute.next()) {
    // The kernel writes the kind before the data, whose meaning depends on it.
    if (attribute.type === IFLA_INFO_KIND) link.kind = attribute.text();
    else if (attribute.type === IFLA_INFO_DATA && link.kind === "vxlan") {
      link.vxlan = decodeVxlan(attribute.attributes());
    }
  }
}

function decodeAttribute(attribute: AttributeReader, link: Mutable<Link>): void {
  switch (attribute.type) {
    case IFLA_IFNAME:
      link.name = attribute.text();
      break;
    case IFLA_MTU:
      link.mtu = attribute.u32();
      break;
    case IFLA_ADDRESS: {
      const mac = formatMac(attribute.content());
      if (mac !== undefined) link.mac = mac;
      break;
    }
    case IFLA_TXQLEN:
      link.transmitQueueLength = attribute.u32();
      break;
    case IFLA_MASTER:
      link.masterIndex = attribute.u32();
      break;
    case IFLA_LINK:
      if (attribute.u32() !== 0) link.lowerIndex = attribute.u32();
      break;
    case IFLA_LINKINFO:
      decodeKind(attribute.attributes(), link);
      break;
    default:
  }
}

/**
 * Reads RTM_NEWLINK and RTM_DELLINK; undefined when it speaks of a bridge port or of IPv6 settings,
 * which use the same message with another family.
 * @throws CodecError
 */
export function decodeLink(message: MessageReader): Link | undefined {
  if (message.u8(0) !== AF_UNSPEC) return undefined;
  const flags = message.u32(8);
  const link: Mutable<Link> = {
    index: message.i32(4),
    name: "",
    mtu: 0,
    up: (flags & IFF_UP) !== 0,
    lowerUp: (flags & IFF_LOWER_UP) !== 0,
    loopback: (flags & IFF_LOOPBACK) !== 0,
    pointToPoint: (flags & IFF_POINTOPOINT) !== 0,
    transmitQueueLength: 0,
  };
  const attribute = message.attributes(HEADER_BYTES);
  while (attribute.next()) decodeAttribute(attribute, link);
  return link;
}
