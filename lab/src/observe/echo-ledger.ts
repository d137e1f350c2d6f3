import type { IpFamily } from "../addresses.ts";
import type { ProbeRecord } from "../checks/no-packet-lost.ts";

/** Type, code, checksum, identifier, sequence number. Source: RFC 792, RFC 4443. */
const HEADER_BYTES = 8;
const SEQUENCE_AT = 6;
/** Then the whole number of the packet, of which the sequence number is the last 16 bits. */
const PACKET_BYTES = HEADER_BYTES + 4;
const TYPES = {
  ipv4: { request: 8, reply: 0 },
  ipv6: { request: 128, reply: 129 },
} as const;

/** What becomes of numbered echo requests to one address. */
export class EchoLedger {
  readonly #family: IpFamily;
  /** Numbers that have no answer yet. */
  readonly #open: Set<number> = new Set();
  #sent = 0;
  #received = 0;
  #answeredAtMs: number | undefined;
  #longestGapMs = 0;

  constructor(family: IpFamily) {
    this.#family = family;
  }

  get isAnswered(): boolean {
    return this.#open.size === 0;
  }

  get figures(): Omit<ProbeRecord, "name"> {
    return { sent: this.#sent, received: this.#received, longestGapMs: this.#longestGapMs };
  }

  /** The next packet; the kernel fills in the identifier and the checksum. */
  ask(): Buffer {
    const packet = Buffer.alloc(PACKET_BYTES);
    packet[0] = TYPES[this.#family].request;
    packet.writeUInt16BE(this.#sent % 2 ** 16, SEQUENCE_AT);
    packet.writeUInt32BE(this.#sent, HEADER_BYTES);
    this.#open.add(this.#sent);
    this.#sent += 1;
    return packet;
  }

  /** Notes an answer. One that comes twice, or to nothing that was asked, tells nothing. */
  hear(packet: Buffer, atMs: number): void {
    const isReply = packet.length === PACKET_BYTES && packet[0] === TYPES[this.#family].reply;
    if (!isReply || !this.#open.delete(packet.readUInt32BE(HEADER_BYTES))) {
      return;
    }
    this.#received += 1;
    this.#longestGapMs = Math.max(this.#longestGapMs, atMs - (this.#answeredAtMs ?? atMs));
    this.#answeredAtMs = atMs;
  }
}
