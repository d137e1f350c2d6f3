import type { CapturedPacket, PacketRing } from "linux";
import { messageOf } from "../../errors.ts";
import type { Clock } from "../../system/clock.ts";
import { formatPcapng, type RecordedPacket } from "../pcapng.ts";

/** The ring has room for what comes in many times this. */
const ADVANCE_EVERY_MS = 100;
/** Ports of hosts and of the store's members, whose other ends are the hosts' own links. */
const PORT_KIND = "veth";

const NOT_RECORDED = "packets were not recorded at this moment";

export interface PacketRecorderOptions {
  readonly clock: Clock;
  /** Path of the namespace that the ports of all hosts are in. */
  readonly namespace: string;
}

/** What was on the wire: the last packets at each port of the lab's switch, in both directions. */
export class PacketRecorder {
  readonly #options: PacketRecorderOptions;
  readonly #ports: Map<number, string> = new Map();
  #ring: PacketRing | undefined;
  #trouble: string | undefined = NOT_RECORDED;

  constructor(options: PacketRecorderOptions) {
    this.#options = options;
  }

  /** Why there is no record. */
  get trouble(): string | undefined {
    return this.#trouble;
  }

  /** Records until the signal aborts. A machine that cannot is no trouble but the record's. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, namespace } = this.#options;
    const { NetlinkError, PacketRing: Ring } = await import("linux");
    try {
      this.#ring = Ring.open({ namespace });
    } catch (error) {
      if (!(error instanceof NetlinkError)) {
        throw error;
      }
      this.#trouble = `${NOT_RECORDED}: ${error.message}`;
      return;
    }
    this.#trouble = undefined;
    using ring = this.#ring;
    while (!signal.aborted) {
      ring.advance();
      await clock.sleep(ADVANCE_EVERY_MS, signal);
    }
    this.#ring = undefined;
    this.#trouble = NOT_RECORDED;
  }

  /** To be called before a port is taken away: what went through it is still in the ring. */
  async learnPorts(): Promise<void> {
    const { RouteSocket } = await import("linux");
    using socket = RouteSocket.open({ namespace: this.#options.namespace });
    for (const { index, name } of await socket.links({ kind: PORT_KIND })) {
      this.#ports.set(index, name);
    }
  }

  /** What is in the ring at this moment, as a pcapng file; or why there is none. @throws NetlinkError of `linux` */
  async freeze(comment: string): Promise<Uint8Array | string> {
    const found = this.#ring?.read();
    if (found === undefined) {
      return `${this.#trouble ?? NOT_RECORDED}\n`;
    }
    try {
      await this.learnPorts();
    } catch (error) {
      return this.#format(found, `${comment}; ports are those of before: ${messageOf(error)}`);
    }
    return this.#format(found, comment);
  }

  #format(
    { packets, lost }: { readonly packets: readonly CapturedPacket[]; readonly lost: number },
    comment: string,
  ): Uint8Array {
    const ports = [...this.#ports];
    const indexes = new Map(ports.map(([linkIndex], index) => [linkIndex, index]));
    return formatPcapng({
      comment: lost === 0 ? comment : `${comment}; ${lost} packets of this run were not recorded`,
      interfaces: ports.map(([, name]) => ({
        name,
        description: `the switch's port of ${name}: inbound is what ${name} sent`,
      })),
      packets: packets.flatMap((packet): readonly RecordedPacket[] => {
        const interfaceIndex = indexes.get(packet.linkIndex);
        return interfaceIndex === undefined
          ? []
          : [
              {
                interfaceIndex,
                seconds: packet.seconds,
                nanoseconds: packet.nanoseconds,
                direction: packet.isOutgoing ? "outbound" : "inbound",
                bytes: packet.bytes,
                lengthBytes: packet.lengthBytes,
              },
            ];
      }),
    });
  }
}
