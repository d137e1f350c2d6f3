import { type RingHandle, loadAddon } from "./addon.ts";
import { NetlinkError } from "./errors.ts";

/** A packet as it was seen at a link; its beginning, where there was no room for more. */
export interface CapturedPacket {
  /** Of the wall clock, seconds since 1970. */
  readonly seconds: number;
  readonly nanoseconds: number;
  readonly linkIndex: number;
  /** Leaves the namespace's network through the link; else it came in. */
  readonly isOutgoing: boolean;
  /** From its link layer's header on. */
  readonly bytes: Uint8Array;
  /** Of the whole packet. */
  readonly lengthBytes: number;
}

export interface PacketRingOptions {
  /** Path of the network namespace to watch; absent for the process's own. */
  readonly namespace?: string;
  /** Of 64 KiB, and 128 packets each; 128 (8 MiB) when absent. */
  readonly blocks?: number;
}

const BLOCKS = 128;
/** Of the numbers that come before each packet. */
const HEAD_BYTES = 24;
/** Source: linux/if_packet.h PACKET_OUTGOING */
const PACKET_OUTGOING = 4;
const LITTLE_ENDIAN = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1;

/**
 * The last packets of every link of a network namespace, in memory that the kernel writes them into by itself. Not before
 * `advance` makes room is anything forgotten: what comes when three quarters are kept and the last one is full is lost, and
 * counted.
 */
export class PacketRing {
  readonly #handle: RingHandle;

  private constructor(handle: RingHandle) {
    this.#handle = handle;
  }

  /** @throws NetlinkError when there is no such namespace, or no right to see its packets */
  static open({ namespace, blocks = BLOCKS }: PacketRingOptions = {}): PacketRing {
    const handle = loadAddon().openPacketRing(namespace ?? null, blocks);
    if (typeof handle === "number") {
      const where = namespace === undefined ? "" : ` in ${namespace}`;
      throw new NetlinkError(`watch packets${where}`, handle);
    }
    return new PacketRing(handle);
  }

  /** Forgets the oldest packets beyond three quarters of the ring. */
  advance(): void {
    loadAddon().advancePacketRing(this.#handle);
  }

  /** What is in the ring, oldest first, and how many were lost since it was opened. @throws NetlinkError */
  read(): { readonly packets: readonly CapturedPacket[]; readonly lost: number } {
    const answer = loadAddon().readPacketRing(this.#handle);
    if (typeof answer === "number") throw new NetlinkError("read packets", answer);
    return { packets: [...packetsIn(answer.bytes)], lost: answer.lost };
  }

  close(): void {
    loadAddon().closePacketRing(this.#handle);
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

function* packetsIn(bytes: Uint8Array): Generator<CapturedPacket, void> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const number = (at: number): number => view.getUint32(at, LITTLE_ENDIAN);
  for (let at = 0; at < bytes.length;) {
    const end = at + HEAD_BYTES + number(at + 20);
    yield {
      seconds: number(at),
      nanoseconds: number(at + 4),
      linkIndex: number(at + 8),
      isOutgoing: number(at + 12) === PACKET_OUTGOING,
      bytes: bytes.subarray(at + HEAD_BYTES, end),
      lengthBytes: number(at + 16),
    };
    at = end;
  }
}
