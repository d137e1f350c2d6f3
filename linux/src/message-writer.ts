import { endianness } from "node:os";
import { CodecError } from "./errors.ts";
import { addressBytes, familyOfText, writeIp, writePrefix } from "./ip.ts";
import { MAC_BYTES, writeMac } from "./mac.ts";

/** Netlink integers are in the machine's own order. */
export const LITTLE_ENDIAN: boolean = endianness() === "LE";

/** Length of `struct nlmsghdr` and of `struct nlattr`, bytes. Source: linux/netlink.h. */
export const MESSAGE_HEADER_BYTES = 16;
export const ATTRIBUTE_HEADER_BYTES = 4;

/** Attribute holds attributes. Source: linux/netlink.h. */
const NLA_F_NESTED = 0x8000;

/** An attribute's length field has 16 bits. */
const MAX_ATTRIBUTE_BYTES = 0xffff;

const U32_MAX = 0xffff_ffff;
const INITIAL_BYTES = 4096;

/** Rounds up to the 4 bytes that messages and attributes are aligned to. */
export function align(length: number): number {
  return (length + 3) & ~3;
}

/** @throws CodecError unless `value` is a whole number from 0 to `max` */
export function checkInteger(what: string, value: number, max: number): number {
  if (!Number.isInteger(value) || value < 0 || value > max) {
    throw new CodecError(`${what} ${value} is not a whole number from 0 to ${max}`);
  }
  return value;
}

/** Writes netlink messages one after the other into one growing buffer. */
export class MessageWriter {
  #bytes = new Uint8Array(INITIAL_BYTES);
  #view: DataView = new DataView(this.#bytes.buffer);
  #length = 0;
  #messageStart = 0;

  /** What was written so far; valid until the next write. */
  get bytes(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }

  beginMessage(type: number, flags: number, sequence: number): void {
    this.#messageStart = this.#length;
    const at = this.#claim(MESSAGE_HEADER_BYTES);
    this.#view.setUint16(at + 4, type, LITTLE_ENDIAN);
    this.#view.setUint16(at + 6, flags, LITTLE_ENDIAN);
    this.#view.setUint32(at + 8, sequence, LITTLE_ENDIAN);
  }

  endMessage(): void {
    const length = this.#length - this.#messageStart;
    this.#view.setUint32(this.#messageStart, length, LITTLE_ENDIAN);
    this.#claim(align(length) - length);
  }

  /** Takes back what was written since the last `beginMessage`. */
  abandonMessage(): void {
    this.#bytes.fill(0, this.#messageStart, this.#length);
    this.#length = this.#messageStart;
  }

  u8(what: string, value: number): void {
    checkInteger(what, value, 0xff);
    const at = this.#claim(1);
    this.#view.setUint8(at, value);
  }

  u16(what: string, value: number): void {
    checkInteger(what, value, 0xffff);
    const at = this.#claim(2);
    this.#view.setUint16(at, value, LITTLE_ENDIAN);
  }

  u32(what: string, value: number): void {
    checkInteger(what, value, U32_MAX);
    const at = this.#claim(4);
    this.#view.setUint32(at, value, LITTLE_ENDIAN);
  }

  zeros(count: number): void {
    this.#claim(count);
  }

  flagAttribute(type: number): void {
    this.#attribute(type, 0);
  }

  u8Attribute(type: number, what: string, value: number): void {
    checkInteger(what, value, 0xff);
    const at = this.#attribute(type, 1);
    this.#view.setUint8(at, value);
  }

  /** A 16-bit number in network order, as ports are. */
  portAttribute(type: number, what: string, value: number): void {
    checkInteger(what, value, 0xffff);
    const at = this.#attribute(type, 2);
    this.#view.setUint16(at, value, false);
  }

  u32Attribute(type: number, what: string, value: number): void {
    checkInteger(what, value, U32_MAX);
    const at = this.#attribute(type, 4);
    this.#view.setUint32(at, value, LITTLE_ENDIAN);
  }

  bytesAttribute(type: number, value: Uint8Array): void {
    const at = this.#attribute(type, value.length);
    this.#bytes.set(value, at);
  }

  /** @throws CodecError for text that is not an address */
  ipAttribute(type: number, text: string): void {
    const at = this.#attribute(type, addressBytes(familyOfText(text)));
    writeIp(text, this.#bytes, at);
  }

  /** The address of a prefix. @throws CodecError for text that is not a prefix, or has host bits set */
  prefixAttribute(type: number, text: string): void {
    const at = this.#attribute(type, addressBytes(familyOfText(text)));
    writePrefix(text, this.#bytes, at);
  }

  /** @throws CodecError for text that is not a MAC */
  macAttribute(type: number, text: string): void {
    const at = this.#attribute(type, MAC_BYTES);
    writeMac(text, this.#bytes, at);
  }

  /** Text and a zero byte, as names are. */
  textAttribute(type: number, text: string): void {
    this.bytesAttribute(type, new TextEncoder().encode(`${text}\0`));
  }

  /** Text alone, as iproute2 sends kinds. */
  bareTextAttribute(type: number, text: string): void {
    this.bytesAttribute(type, new TextEncoder().encode(text));
  }

  /**
   * Writes an attribute whose content is what `body` writes.
   * @param nested whether to set NLA_F_NESTED, which newer kernel interfaces demand
   */
  nest(type: number, body: () => void, nested = false): void {
    const start = this.#claim(ATTRIBUTE_HEADER_BYTES);
    body();
    const length = this.#length - start;
    this.#attributeHeader(start, nested ? type | NLA_F_NESTED : type, length);
  }

  /** Writes two bytes of length, patched afterwards, before what `body` writes. Source: struct rtnexthop. */
  patchLength(body: () => void): void {
    const start = this.#claim(2);
    body();
    this.#view.setUint16(start, this.#length - start, LITTLE_ENDIAN);
  }

  #attribute(type: number, payloadBytes: number): number {
    const length = ATTRIBUTE_HEADER_BYTES + payloadBytes;
    const start = this.#claim(align(length));
    this.#attributeHeader(start, type, length);
    return start + ATTRIBUTE_HEADER_BYTES;
  }

  #attributeHeader(start: number, type: number, length: number): void {
    if (length > MAX_ATTRIBUTE_BYTES) throw new CodecError(`an attribute of ${length} bytes`);
    this.#view.setUint16(start, length, LITTLE_ENDIAN);
    this.#view.setUint16(start + 2, type, LITTLE_ENDIAN);
  }

  /** The offset of `count` fresh zero bytes. */
  #claim(count: number): number {
    const at = this.#length;
    const needed = at + count;
    if (needed > this.#bytes.length) {
      const grown = new Uint8Array(Math.max(needed, this.#bytes.length * 2));
      grown.set(this.#bytes);
      this.#bytes = grown;
      this.#view = new DataView(grown.buffer);
    }
    this.#length = needed;
    return at;
  }
}
