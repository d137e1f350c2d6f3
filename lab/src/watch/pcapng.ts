/**
 * Packets as a file that tcpdump(8) and Wireshark read. Source: draft-ietf-opsawg-pcapng, sections 3 and 4; link types are
 * those of draft-ietf-opsawg-pcaplinktype.
 */
export interface RecordedPacket {
  /** Which of the interfaces, counted from 0. */
  readonly interfaceIndex: number;
  /** Since 1970. */
  readonly seconds: number;
  readonly nanoseconds: number;
  readonly direction: "inbound" | "outbound";
  /** From the Ethernet header on; the beginning, where not all of it was kept. */
  readonly bytes: Uint8Array;
  readonly lengthBytes: number;
}

export interface PacketFile {
  /** For whoever opens it. */
  readonly comment: string;
  readonly interfaces: readonly { readonly name: string; readonly description: string }[];
  readonly packets: readonly RecordedPacket[];
}

/** Whether a file's name says that it is one of these. */
export function isPacketFile(file: string): boolean {
  return file.endsWith(".pcapng");
}

const SECTION_HEADER = 0x0a0d_0d0a;
const INTERFACE_DESCRIPTION = 1;
const ENHANCED_PACKET = 6;
const BYTE_ORDER_MAGIC = 0x1a2b_3c4d;
const LINKTYPE_ETHERNET = 1;
const OPTION = { end: 0, comment: 1, name: 2, packetFlags: 2, description: 3, resolution: 9 };
/** Times are nanoseconds: 10 to the power of minus 9. */
const RESOLUTION = 9;
const DIRECTIONS = { inbound: 1, outbound: 2 };
const NANOSECONDS = 1_000_000_000n;
const WORD_BYTES = 4;
/** Type, length before, and length after the body. */
const FRAME_BYTES = 12;
/** Type, length, interface, time in two words, captured and whole length. */
const PACKET_HEAD_BYTES = 28;
/** An option with one word in it, and the one that ends all. */
const FLAGS_BYTES = 12;
const LOW_WORD = 0xffff_ffffn;

export function formatPcapng({ comment, interfaces, packets }: PacketFile): Uint8Array {
  return Buffer.concat([
    block(SECTION_HEADER, [
      words(BYTE_ORDER_MAGIC),
      // Version 1.0; a section whose length is not said.
      halves(1, 0),
      words(0xffff_ffff, 0xffff_ffff),
      option(OPTION.comment, Buffer.from(comment, "utf8")),
      option(OPTION.end),
    ]),
    ...interfaces.map(({ name, description }) =>
      block(INTERFACE_DESCRIPTION, [
        // No limit of lengths is said: each packet has its own.
        halves(LINKTYPE_ETHERNET, 0),
        words(0),
        option(OPTION.name, Buffer.from(name, "utf8")),
        option(OPTION.description, Buffer.from(description, "utf8")),
        option(OPTION.resolution, Buffer.of(RESOLUTION)),
        option(OPTION.end),
      ]),
    ),
    ...packets.map(packetBlock),
  ]);
}

/** In one piece: there can be thousands, while packets are sent that must not wait. */
function packetBlock(packet: RecordedPacket): Buffer {
  const { interfaceIndex, seconds, nanoseconds, direction, bytes, lengthBytes } = packet;
  const time = BigInt(seconds) * NANOSECONDS + BigInt(nanoseconds);
  const flagsAt = PACKET_HEAD_BYTES + bytes.length + paddingOf(bytes);
  const length = flagsAt + FLAGS_BYTES + WORD_BYTES;
  const buffer = Buffer.alloc(length);
  const head = [
    ENHANCED_PACKET,
    length,
    interfaceIndex,
    Number(time >> 32n),
    Number(time & LOW_WORD),
  ];
  // A link that puts several packets into one says more than it has.
  const lengths = [bytes.length, Math.max(lengthBytes, bytes.length)];
  [...head, ...lengths].forEach((value, index) => buffer.writeUInt32LE(value, index * WORD_BYTES));
  buffer.set(bytes, PACKET_HEAD_BYTES);
  buffer.writeUInt16LE(OPTION.packetFlags, flagsAt);
  buffer.writeUInt16LE(WORD_BYTES, flagsAt + 2);
  buffer.writeUInt32LE(DIRECTIONS[direction], flagsAt + WORD_BYTES);
  buffer.writeUInt32LE(length, length - WORD_BYTES);
  return buffer;
}

function block(type: number, body: readonly Uint8Array[]): Buffer {
  const length = body.reduce((sum, part) => sum + part.length, FRAME_BYTES);
  return Buffer.concat([words(type, length), ...body, words(length)]);
}

function option(code: number, value: Uint8Array = Buffer.alloc(0)): Buffer {
  return Buffer.concat([halves(code, value.length), padded(value)]);
}

/** With zeros up to a whole word. */
function padded(bytes: Uint8Array): Uint8Array {
  const rest = paddingOf(bytes);
  return rest === 0 ? bytes : Buffer.concat([bytes, Buffer.alloc(rest)]);
}

function paddingOf(bytes: Uint8Array): number {
  return (WORD_BYTES - (bytes.length % WORD_BYTES)) % WORD_BYTES;
}

function words(...values: readonly number[]): Buffer {
  const buffer = Buffer.alloc(values.length * WORD_BYTES);
  values.forEach((value, index) => buffer.writeUInt32LE(value, index * WORD_BYTES));
  return buffer;
}

function halves(...values: readonly number[]): Buffer {
  const buffer = Buffer.alloc(values.length * 2);
  values.forEach((value, index) => buffer.writeUInt16LE(value, index * 2));
  return buffer;
}
