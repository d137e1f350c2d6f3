import { CodecError } from "./errors.ts";
import { type Family, familyOfIp } from "./ip.ts";
import type { AttributeReader } from "./message-reader.ts";
import { type MessageWriter, checkInteger } from "./message-writer.ts";

/** Source: linux/if_link.h */
const IFLA_VXLAN_ID = 1;
const IFLA_VXLAN_GROUP = 2;
const IFLA_VXLAN_LINK = 3;
const IFLA_VXLAN_LOCAL = 4;
const IFLA_VXLAN_TTL = 5;
const IFLA_VXLAN_TOS = 6;
const IFLA_VXLAN_LEARNING = 7;
const IFLA_VXLAN_AGEING = 8;
const IFLA_VXLAN_LIMIT = 9;
const IFLA_VXLAN_PORT_RANGE = 10;
const IFLA_VXLAN_PROXY = 11;
const IFLA_VXLAN_RSC = 12;
const IFLA_VXLAN_L2MISS = 13;
const IFLA_VXLAN_L3MISS = 14;
const IFLA_VXLAN_PORT = 15;
const IFLA_VXLAN_GROUP6 = 16;
const IFLA_VXLAN_LOCAL6 = 17;
const IFLA_VXLAN_UDP_CSUM = 18;
const IFLA_VXLAN_UDP_ZERO_CSUM6_TX = 19;
const IFLA_VXLAN_UDP_ZERO_CSUM6_RX = 20;
const IFLA_VXLAN_GBP = 23;

/** The VNI field of the header has 24 bits. Source: RFC 7348 section 5. */
const MAX_VNI = 0xff_ffff;

/** Settings of a vxlan link, in the words of `ip link add … type vxlan`. What is absent is not sent. */
export interface Vxlan {
  /** The VNI. */
  readonly id: number;
  /** The link that carries the outer packets; 0 or absent for none. */
  readonly lowerIndex?: number;
  readonly local?: string;
  /** Multicast group or the one remote. */
  readonly group?: string;
  /** Destination port. 0 lets the kernel choose, absent means its default of 8472. */
  readonly port?: number;
  readonly learning?: boolean;
  /** 0 is automatic. */
  readonly ttl?: number;
  readonly tos?: number;
  readonly proxy?: boolean;
  readonly routeShortCircuit?: boolean;
  readonly l2miss?: boolean;
  readonly l3miss?: boolean;
  readonly udpChecksum?: boolean;
  /** Sends with a zero checksum over IPv6. */
  readonly zeroChecksumTransmit?: boolean;
  /** Accepts a zero checksum over IPv6. */
  readonly zeroChecksumReceive?: boolean;
  /** Group-based policy extension. Only `true` can be said to the kernel. */
  readonly gbp?: boolean;
  readonly ageingSeconds?: number;
  /** Most FDB entries; 0 is no limit. */
  readonly limit?: number;
  readonly sourcePorts?: { readonly first: number; readonly last: number };
}

type FlagName =
  | "learning"
  | "proxy"
  | "routeShortCircuit"
  | "l2miss"
  | "l3miss"
  | "udpChecksum"
  | "zeroChecksumTransmit"
  | "zeroChecksumReceive";

/** The settings that are a byte of 0 or 1, in the order they are sent. */
const FLAGS: readonly (readonly [number, FlagName])[] = [
  [IFLA_VXLAN_LEARNING, "learning"],
  [IFLA_VXLAN_PROXY, "proxy"],
  [IFLA_VXLAN_RSC, "routeShortCircuit"],
  [IFLA_VXLAN_L2MISS, "l2miss"],
  [IFLA_VXLAN_L3MISS, "l3miss"],
  [IFLA_VXLAN_UDP_CSUM, "udpChecksum"],
  [IFLA_VXLAN_UDP_ZERO_CSUM6_TX, "zeroChecksumTransmit"],
  [IFLA_VXLAN_UDP_ZERO_CSUM6_RX, "zeroChecksumReceive"],
];
const FLAG_NAMES: ReadonlyMap<number, FlagName> = new Map(FLAGS);

function checkFamilies(vxlan: Vxlan): void {
  if (vxlan.local === undefined || vxlan.group === undefined) return;
  if (familyOfIp(vxlan.local) !== familyOfIp(vxlan.group)) {
    throw new CodecError(`vxlan local ${vxlan.local} and group ${vxlan.group} mix families`);
  }
}

function encodeIp(writer: MessageWriter, types: Record<Family, number>, text?: string): void {
  if (text !== undefined) writer.ipAttribute(types[familyOfIp(text)], text);
}

function encodeSourcePorts(writer: MessageWriter, ports: Vxlan["sourcePorts"]): void {
  if (ports === undefined) return;
  const bytes = new Uint8Array(4);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, checkInteger("vxlan source port", ports.first, 0xffff));
  view.setUint16(2, checkInteger("vxlan source port", ports.last, 0xffff));
  writer.bytesAttribute(IFLA_VXLAN_PORT_RANGE, bytes);
}

/** Writes the content of IFLA_INFO_DATA. @throws CodecError */
export function encodeVxlan(writer: MessageWriter, vxlan: Vxlan): void {
  checkFamilies(vxlan);
  writer.u32Attribute(IFLA_VXLAN_ID, "VNI", checkInteger("VNI", vxlan.id, MAX_VNI));
  if (vxlan.lowerIndex !== undefined) {
    writer.u32Attribute(IFLA_VXLAN_LINK, "vxlan lower link", vxlan.lowerIndex);
  }
  encodeIp(writer, { inet: IFLA_VXLAN_LOCAL, inet6: IFLA_VXLAN_LOCAL6 }, vxlan.local);
  encodeIp(writer, { inet: IFLA_VXLAN_GROUP, inet6: IFLA_VXLAN_GROUP6 }, vxlan.group);
  if (vxlan.ttl !== undefined) writer.u8Attribute(IFLA_VXLAN_TTL, "vxlan ttl", vxlan.ttl);
  if (vxlan.tos !== undefined) writer.u8Attribute(IFLA_VXLAN_TOS, "vxlan tos", vxlan.tos);
  for (const [type, name] of FLAGS) {
    const value = vxlan[name];
    if (value !== undefined) writer.u8Attribute(type, name, value ? 1 : 0);
  }
  if (vxlan.gbp === true) writer.flagAttribute(IFLA_VXLAN_GBP);
  if (vxlan.ageingSeconds !== undefined) {
    writer.u32Attribute(IFLA_VXLAN_AGEING, "vxlan ageing", vxlan.ageingSeconds);
  }
  if (vxlan.limit !== undefined) {
    writer.u32Attribute(IFLA_VXLAN_LIMIT, "vxlan limit", vxlan.limit);
  }
  if (vxlan.port !== undefined) writer.portAttribute(IFLA_VXLAN_PORT, "vxlan port", vxlan.port);
  encodeSourcePorts(writer, vxlan.sourcePorts);
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/** Reads the content of IFLA_INFO_DATA. The lower link is absent when there is none. @throws CodecError */
export function decodeVxlan(attribute: AttributeReader): Vxlan {
  const vxlan: Mutable<Vxlan> = { id: 0, gbp: false };
  while (attribute.next()) {
    const flag = FLAG_NAMES.get(attribute.type);
    if (flag === undefined) decodeAttribute(attribute, vxlan);
    else vxlan[flag] = attribute.u8() !== 0;
  }
  return vxlan;
}

function decodeAttribute(attribute: AttributeReader, vxlan: Mutable<Vxlan>): void {
  switch (attribute.type) {
    case IFLA_VXLAN_ID:
      vxlan.id = attribute.u32();
      break;
    case IFLA_VXLAN_LINK:
      if (attribute.u32() !== 0) vxlan.lowerIndex = attribute.u32();
      break;
    case IFLA_VXLAN_LOCAL:
    case IFLA_VXLAN_LOCAL6:
      vxlan.local = attribute.ip();
      break;
    case IFLA_VXLAN_GROUP:
    case IFLA_VXLAN_GROUP6:
      vxlan.group = attribute.ip();
      break;
    case IFLA_VXLAN_TTL:
      vxlan.ttl = attribute.u8();
      break;
    case IFLA_VXLAN_TOS:
      vxlan.tos = attribute.u8();
      break;
    case IFLA_VXLAN_AGEING:
      vxlan.ageingSeconds = attribute.u32();
      break;
    case IFLA_VXLAN_LIMIT:
      vxlan.limit = attribute.u32();
      break;
    case IFLA_VXLAN_PORT:
      vxlan.port = attribute.port();
      break;
    case IFLA_VXLAN_PORT_RANGE:
      vxlan.sourcePorts = { first: attribute.port(0), last: attribute.port(2) };
      break;
    case IFLA_VXLAN_GBP:
      vxlan.gbp = true;
      break;
    default:
  }
}
