import type { IpFamily } from "../addresses.ts";

/** Type, code, checksum, identifier, sequence number. Source: RFC 792, RFC 4443. */
const HEADER_BYTES = 8;
const SEQUENCE_AT = 6;
/** Then the whole number of the packet, of which the sequence number is the last 16 bits. */
const PACKET_BYTES = HEADER_BYTES + 4;
const TYPES = {
  ipv4: { request: 8, reply: 0 },
  ipv6: { request: 128, reply: 129 },
} as const;

export interface EchoFigures {
  readonly sent: number;
  readonly received: number;
  /** Between two answers. */
  readonly longestGapMs: number;
  /** From a request to its answer; undefined without any. */
  readonly averageMs: number | undefined;
}

/** What becomes of numbered echo requests to one address. */
export class EchoLedger {
  readonly #family: IpFamily;
  /** When each number was sent that has no answer yet. */
  readonly #open: Map<number, number> = new Map();
  #sent = 0;
  #received = 0;
  #tripsMs = 0;
  #answeredAtMs: number | undefined;
  #longestGapMs = 0;

  constructor(family: IpFamily) {
    this.#family = family;
  }

  get isAnswered(): boolean {
    return this.#open.size === 0;
  }

  get figures(): EchoFigures {
    return {
      sent: this.#sent,
      received: this.#received,
      longestGapMs: this.#longestGapMs,
      averageMs: this.#received === 0 ? undefined : this.#tripsMs / this.#received,
    };
  }

  /** The next packet; the kernel fills in the identifier and the checksum. */
  ask(atMs: number): Buffer {
    const packet = Buffer.alloc(PACKET_BYTES);
    packet[0] = TYPES[this.#family].request;
    packet.writeUInt16BE(this.#sent % 2 ** 16, SEQUENCE_AT);
    packet.writeUInt32BE(this.#sent, HEADER_BYTES);
    this.#open.set(this.#sent, atMs);
    this.#sent += 1;
    return packet;
  }

  /** Notes an answer. One that comes twice, or to nothing that was asked, tells nothing. */
  hear(packet: Buffer, atMs: number): void {
    const isReply = packet.length === PACKET_BYTES && packet[0] === TYPES[this.#family].reply;
    const number = isReply ? packet.readUInt32BE(HEADER_BYTES) : -1;
    const askedMs = this.#open.get(number);
    if (askedMs === undefined) {
      return;
    }
    this.#open.delete(number);
    this.#tripsMs += atMs - askedMs;
    this.#received += 1;
    this.#longestGapMs = Math.max(this.#longestGapMs, atMs - (this.#answeredAtMs ?? atMs));
    this.#answeredAtMs = atMs;
  }
}
