import { CodecError } from "./errors.ts";
import { formatIp } from "./ip.ts";
import {
  ATTRIBUTE_HEADER_BYTES,
  LITTLE_ENDIAN,
  MESSAGE_HEADER_BYTES,
  align,
} from "./message-writer.ts";

/** The upper two bits of an attribute's type are flags. Source: linux/netlink.h NLA_TYPE_MASK. */
const NLA_TYPE_MASK = 0x3fff;

/** Reads numbers and attributes out of one message, never past its end. */
class BoundedReader {
  protected readonly bytes: Uint8Array;
  protected readonly view: DataView;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }
}

/**
 * Walks the messages of a buffer:
 * `while (message.next()) switch (message.type) { … message.u8(0) … message.attributes(12) }`
 */
export class MessageReader extends BoundedReader {
  type = 0;
  flags = 0;
  sequence = 0;
  #bodyStart = 0;
  #bodyEnd = 0;
  #nextStart = 0;

  /** Moves to the next message; false at the end. @throws CodecError when it is cut off */
  next(): boolean {
    const start = this.#nextStart;
    if (start >= this.bytes.length) return false;
    if (start + MESSAGE_HEADER_BYTES > this.bytes.length) {
      throw new CodecError("a message is cut off inside its header");
    }
    const length = this.view.getUint32(start, LITTLE_ENDIAN);
    if (length < MESSAGE_HEADER_BYTES || start + length > this.bytes.length) {
      throw new CodecError(`a message says it has ${length} bytes and does not`);
    }
    this.type = this.view.getUint16(start + 4, LITTLE_ENDIAN);
    this.flags = this.view.getUint16(start + 6, LITTLE_ENDIAN);
    this.sequence = this.view.getUint32(start + 8, LITTLE_ENDIAN);
    this.#bodyStart = start + MESSAGE_HEADER_BYTES;
    this.#bodyEnd = start + length;
    this.#nextStart = start + align(length);
    return true;
  }

  get bodyBytes(): number {
    return this.#bodyEnd - this.#bodyStart;
  }

  /** The byte at an offset in the body. @throws CodecError */
  u8(offset: number): number {
    return this.view.getUint8(this.#at(offset, 1));
  }

  u16(offset: number): number {
    return this.view.getUint16(this.#at(offset, 2), LITTLE_ENDIAN);
  }

  u32(offset: number): number {
    return this.view.getUint32(this.#at(offset, 4), LITTLE_ENDIAN);
  }

  i32(offset: number): number {
    return this.view.getInt32(this.#at(offset, 4), LITTLE_ENDIAN);
  }

  /** The attributes from an offset in the body to its end. @throws CodecError */
  attributes(offset: number): AttributeReader {
    return new AttributeReader(this.bytes.subarray(this.#at(offset, 0), this.#bodyEnd));
  }

  #at(offset: number, length: number): number {
    const at = this.#bodyStart + offset;
    if (at + length > this.#bodyEnd) throw new CodecError("a message is cut off");
    return at;
  }
}

/** Walks attributes: `while (attribute.next()) switch (attribute.type) { … attribute.u32() … }` */
export class AttributeReader extends BoundedReader {
  type = 0;
  #start = 0;
  #end = 0;
  #nextStart = 0;

  /** Moves to the next attribute; false at the end. @throws CodecError when it is cut off */
  next(): boolean {
    const start = this.#nextStart;
    if (start >= this.bytes.length) return false;
    if (start + ATTRIBUTE_HEADER_BYTES > this.bytes.length) {
      throw new CodecError("an attribute is cut off inside its header");
    }
    const length = this.view.getUint16(start, LITTLE_ENDIAN);
    if (length < ATTRIBUTE_HEADER_BYTES || start + length > this.bytes.length) {
      throw new CodecError(`an attribute says it has ${length} bytes and does not`);
    }
    this.type = this.view.getUint16(start + 2, LITTLE_ENDIAN) & NLA_TYPE_MASK;
    this.#start = start + ATTRIBUTE_HEADER_BYTES;
    this.#end = start + length;
    this.#nextStart = start + align(length);
    return true;
  }

  u8(): number {
    return this.view.getUint8(this.#at(0, 1));
  }

  u16(): number {
    return this.view.getUint16(this.#at(0, 2), LITTLE_ENDIAN);
  }

  /** A 16-bit number in network order at an offset, as ports are. */
  port(offset = 0): number {
    return this.view.getUint16(this.#at(offset, 2), false);
  }

  u32(): number {
    return this.view.getUint32(this.#at(0, 4), LITTLE_ENDIAN);
  }

  /** The attribute's content; shares memory with the buffer. */
  content(): Uint8Array {
    return this.bytes.subarray(this.#start, this.#end);
  }

  /** @throws CodecError when the content is not 4 or 16 bytes long */
  ip(): string {
    return formatIp(this.content());
  }

  /** Text up to its first zero byte. */
  text(): string {
    const content = this.content();
    const zero = content.indexOf(0);
    return new TextDecoder().decode(zero < 0 ? content : content.subarray(0, zero));
  }

  /** The attributes inside this one. */
  attributes(): AttributeReader {
    return new AttributeReader(this.content());
  }

  #at(offset: number, length: number): number {
    const at = this.#start + offset;
    if (at + length > this.#end) throw new CodecError(`attribute ${this.type} is cut off`);
    return at;
  }
}
