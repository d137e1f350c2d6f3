import type { ProbeRecord } from "../checks/no-packet-lost.ts";
import { LabError } from "../errors.ts";
import { type Clock, deadlineIn, poll } from "../system/clock.ts";
import { EchoLane } from "./echo-lane.ts";

/** Between two packets to one address: 2,000 a second. */
const PACKET_EVERY_MS = 0.5;
const TICK_MS = 1;
/**
 * So much of what a pause of this process kept from being sent is sent after it. Node takes 32 packets of a socket in a row before it does
 * something else: answers to more than that would pile up until the kernel drops some. Source: libuv, uv__udp_recvmsg.
 */
const CATCH_UP_MS = 8;
const SENT_WITHIN_MS = 60_000;
const LOOK_EVERY_MS = 10;
/** At the end answers may be on their way for so long. */
const ANSWERED_WITHIN_MS = 1000;

export interface ProbedFrom {
  readonly name: string;
  /** A process in the pod. */
  readonly pid: number;
}

/**
 * Numbered echo requests from a pod to addresses, answered by the kernels that have them, until told to stop. They are sent by this process, from
 * sockets in the pod: ping(8) sends so many only from twenty processes, each of which is given the answers to all.
 */
export class PodProbe {
  readonly #clock: Clock;
  readonly #from: string;
  readonly #lanes: readonly EchoLane[];
  readonly #stop: AbortController = new AbortController();
  readonly #sending: Promise<void>;

  /** @throws LabError "command-failed" when the pod cannot be entered */
  static async start(
    clock: Clock,
    { name, pid }: ProbedFrom,
    addresses: readonly string[],
  ): Promise<PodProbe> {
    return new PodProbe(clock, name, await EchoLane.openAll(clock, pid, addresses));
  }

  private constructor(clock: Clock, from: string, lanes: readonly EchoLane[]) {
    this.#clock = clock;
    this.#from = from;
    this.#lanes = lanes;
    this.#sending = this.#send();
  }

  /** Ends it once so many packets were sent in all. @throws LabError "command-failed" when they are not sent in time */
  async stop(packets: number): Promise<readonly ProbeRecord[]> {
    const sent = (): number => this.#lanes.reduce((sum, lane) => sum + lane.figures.sent, 0);
    try {
      const isEnough = (): true | undefined => (sent() >= packets ? true : undefined);
      if (this.#lanes.length > 0 && !(await this.#within(SENT_WITHIN_MS, isEnough))) {
        throw new LabError("command-failed", `less than ${packets} packets were sent in time`);
      }
      this.#stop.abort();
      await this.#sending;
      const isAnswered = (): true | undefined =>
        this.#lanes.every((lane) => lane.isAnswered) ? true : undefined;
      await this.#within(ANSWERED_WITHIN_MS, isAnswered);
      return this.#lanes.map(({ address, figures: { sent: count, received, longestGapMs } }) => ({
        name: `${this.#from} → ${address}`,
        sent: count,
        received,
        longestGapMs,
      }));
    } finally {
      this.#stop.abort();
      for (const lane of this.#lanes) {
        lane.close();
      }
    }
  }

  async #within(ms: number, look: () => true | undefined): Promise<boolean> {
    const deadline = deadlineIn(this.#clock, ms);
    return (await poll(this.#clock, { everyMs: LOOK_EVERY_MS, deadline }, look)) === true;
  }

  async #send(): Promise<void> {
    let dueMs = this.#clock.nowMs();
    while (!this.#stop.signal.aborted) {
      const nowMs = this.#clock.nowMs();
      for (dueMs = Math.max(dueMs, nowMs - CATCH_UP_MS); dueMs <= nowMs; dueMs += PACKET_EVERY_MS) {
        for (const lane of this.#lanes) {
          lane.ask();
        }
      }
      await this.#clock.sleep(TICK_MS, this.#stop.signal);
    }
  }
}
