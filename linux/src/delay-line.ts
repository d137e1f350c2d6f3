import { type LineHandle, loadAddon } from "./addon.ts";
import { NetlinkError } from "./errors.ts";

/** Source: linux/addon/delay-lines.c. */
const NO_BIT = 0xffff_ffff;
const DIRECT = 1;
const GROUP_SOURCE = 2;

/** What becomes of a frame of a delay line. */
export interface FrameFate {
  /** Microseconds. */
  readonly delayUs: number;
  /**
   * To be turned around: counted from behind the two addresses, modulo how many there are, so below 2^32 - 1. None when absent,
   * and none of an ARP packet, which has no checksum that would tell.
   */
  readonly bit?: number;
}

export interface DelayLineOptions {
  /** Name of the TAP device that frames come in at, made in the process's own namespace. It is down at first. */
  readonly tap: string;
  /** Name of the link that they leave at. */
  readonly link: string;
  /** Path of the network namespace of that link; absent for the process's own. */
  readonly namespace?: string;
  /** What the kernel is to know them by, there: `SO_MARK` of socket(7). */
  readonly mark: number;
  /** Past the link's queue, and unseen by who captures there: `PACKET_QDISC_BYPASS` of packet(7). */
  readonly direct: boolean;
  /** The first bit of the source address, which is only a group's, is set on the way: a mark that crosses a veth link. */
  readonly groupSource: boolean;
  /** Of one frame after the other; after the last comes the first again. */
  readonly fates: readonly FrameFate[];
}

export interface DelayLineCounts {
  readonly received: number;
  readonly sent: number;
  /** By the link: it was down, or a rule or queue of its own dropped it. */
  readonly refused: number;
  /** By the line itself, which had no room for them. What the device had no room for is among its own `tx_dropped`. */
  readonly dropped: number;
}

/**
 * Carries the frames that are sent to a TAP device to another link, each after a time of its own, by a thread of its own: a busy
 * process delays none of them. None leaves too early; those with the same time keep their order.
 */
export class DelayLine {
  readonly #handle: LineHandle;

  private constructor(handle: LineHandle) {
    this.#handle = handle;
  }

  /** @throws NetlinkError without /dev/net/tun, without the right to make devices, and where there is no such link */
  static open(options: DelayLineOptions): DelayLine {
    const { tap, link, namespace, mark, direct, groupSource, fates } = options;
    const flags = (direct ? DIRECT : 0) + (groupSource ? GROUP_SOURCE : 0);
    const table = new Uint8Array(
      Uint32Array.from(fates.flatMap(({ delayUs, bit = NO_BIT }) => [delayUs, bit])).buffer,
    );
    const handle = loadAddon().openDelayLine(tap, link, namespace ?? null, mark, flags, table);
    if (typeof handle === "number") {
      throw new NetlinkError(`make the delay line ${tap} to ${link}`, handle);
    }
    return new DelayLine(handle);
  }

  counts(): DelayLineCounts {
    return loadAddon().countDelayLine(this.#handle);
  }

  /** What waits is sent at once, in its order, and the TAP device goes. */
  close(): void {
    loadAddon().closeDelayLine(this.#handle);
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
