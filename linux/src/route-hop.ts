/** The gateways of a route: one of the same family, one of the other, or several at once. */
import { CodecError } from "./errors.ts";
import { type Family, familyNumber, familyOf, familyOfText, formatIp, parseIp } from "./ip.ts";
import { AttributeReader } from "./message-reader.ts";
import { LITTLE_ENDIAN, type MessageWriter, align, checkInteger } from "./message-writer.ts";

/** Source: linux/rtnetlink.h */
export const RTA_GATEWAY = 5;
export const RTA_VIA = 18;
export const RTNH_F_ONLINK = 4;

/** Length of `struct rtnexthop`, bytes. */
const HOP_HEADER_BYTES = 8;

/** One of the ways of a multipath route. */
export interface RouteHop {
  readonly linkIndex: number;
  readonly gateway?: string;
  /** Share of the traffic, from 1 to 256; 1 when absent. */
  readonly weight?: number;
  readonly onlink?: boolean;
}

/** Writes RTA_GATEWAY, or RTA_VIA for an IPv6 gateway of an IPv4 route. @throws CodecError */
export function encodeVia(writer: MessageWriter, family: Family, gateway: string): void {
  const gatewayFamily = familyOfText(gateway);
  if (gatewayFamily === family) {
    writer.ipAttribute(RTA_GATEWAY, gateway);
    return;
  }
  const bytes = parseIp(gateway);
  if (family === "inet6") throw new CodecError(`gateway ${gateway} for an IPv6 route`);
  const via = new Uint8Array(2 + bytes.length);
  new DataView(via.buffer).setUint16(0, familyNumber(gatewayFamily), LITTLE_ENDIAN);
  via.set(bytes, 2);
  writer.bytesAttribute(RTA_VIA, via);
}

/** Reads RTA_VIA. @throws CodecError */
export function decodeVia(attribute: AttributeReader): string {
  const family = familyOf(attribute.u16());
  if (family === undefined) throw new CodecError("a gateway of an unknown family");
  return formatIp(attribute.content().subarray(2));
}

/** Writes the content of RTA_MULTIPATH. @throws CodecError */
export function encodeHops(writer: MessageWriter, family: Family, hops: readonly RouteHop[]): void {
  for (const hop of hops) {
    const weight = checkInteger("weight less one", (hop.weight ?? 1) - 1, 0xff);
    writer.patchLength(() => {
      writer.u8("flags", hop.onlink === true ? RTNH_F_ONLINK : 0);
      writer.u8("weight", weight);
      writer.u32("link index", hop.linkIndex);
      if (hop.gateway !== undefined) encodeVia(writer, family, hop.gateway);
    });
  }
}

function decodeHop(bytes: Uint8Array): RouteHop {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let gateway: string | undefined;
  const attribute = new AttributeReader(bytes.subarray(HOP_HEADER_BYTES));
  while (attribute.next()) {
    if (attribute.type === RTA_GATEWAY) gateway = attribute.ip();
    else if (attribute.type === RTA_VIA) gateway = decodeVia(attribute);
  }
  return {
    linkIndex: view.getInt32(4, LITTLE_ENDIAN),
    ...(gateway === undefined ? {} : { gateway }),
    weight: view.getUint8(3) + 1,
    onlink: (view.getUint8(2) & RTNH_F_ONLINK) !== 0,
  };
}

/** Reads the content of RTA_MULTIPATH. @throws CodecError */
export function decodeHops(bytes: Uint8Array): readonly RouteHop[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const hops: RouteHop[] = [];
  for (let start = 0; start < bytes.length;) {
    if (start + HOP_HEADER_BYTES > bytes.length) throw new CodecError("a hop is cut off");
    const length = view.getUint16(start, LITTLE_ENDIAN);
    if (length < HOP_HEADER_BYTES || start + length > bytes.length) {
      throw new CodecError(`a hop says it has ${length} bytes and does not`);
    }
    hops.push(decodeHop(bytes.subarray(start, start + length)));
    start += align(length);
  }
  return hops;
}
