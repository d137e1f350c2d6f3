import type { Socket } from "node:dgram";
import type { IpFamily } from "../addresses.ts";
import type { PingPair } from "../lab.ts";
import type { Clock, Deadline } from "../system/clock.ts";
import { closeAll, openSocketsIn } from "../system/pod-sockets.ts";
import type { PingEnd, PingPlan, PingTarget } from "./ping-matrix.ts";

/** Any port that neither an agent nor the probes of a watched run listen on. */
const PORT = 41_924;
/** A pair whose route is not there yet loses its packet: ask again soon. */
const ASK_AGAIN_MS = 50;
/** Mark, kind, pair: tells our packets from strangers'. */
const PACKET_BYTES = 12;
const PACKET_MARK = 0x7477_6c65;
const QUESTION = 1;
const ANSWER = 2;

/** Of a pod that is there. */
interface Speaker {
  readonly pid: number;
  readonly sockets: ReadonlyMap<IpFamily, Socket>;
}

interface Question {
  readonly from: string;
  readonly target: PingTarget;
  /** When it was last asked; undefined while one of the pods is not there. */
  askedMs?: number;
  /** The round trip; undefined without an answer. */
  tookMs?: number;
}

/**
 * Sends a packet from pod to pod and back, for each expected pair, until all have been answered once or the deadline has passed, and returns
 * what became of every pair. All are asked by this process from sockets in the pods: a ping(8) for each pair would be the longest part of a
 * start.
 * @throws LabError "command-failed" when a pod cannot be entered
 */
export async function askUntilAnswered(
  makePlans: () => readonly PingPlan[],
  clock: Clock,
  deadline: Deadline,
  signal: AbortSignal,
): Promise<PingPair[]> {
  const echo = new PodEcho(clock);
  try {
    for (;;) {
      await echo.ask(makePlans());
      await echo.answered(Math.min(ASK_AGAIN_MS, deadline.remainingMs()), signal);
      signal.throwIfAborted();
      if (echo.open === 0 || deadline.passed()) {
        return echo.pairs();
      }
    }
  } finally {
    echo.close();
  }
}

class PodEcho {
  readonly #clock: Clock;
  /** By the name of the pod's host. */
  readonly #speakers: Map<string, Speaker> = new Map();
  /** By their numbers in packets. */
  readonly #questions: Question[] = [];
  readonly #numbers: Map<string, number> = new Map();
  #wake: AbortController = new AbortController();
  #open = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** How many have not answered. */
  get open(): number {
    return this.#open;
  }

  /** Asks whoever has not answered yet. */
  async ask(plans: readonly PingPlan[]): Promise<void> {
    for (const { from } of plans) {
      await this.#enter(from);
    }
    this.#open = 0;
    for (const { from, targets } of plans) {
      for (const target of targets.filter(({ expected }) => expected)) {
        this.#askOne(from.name, target);
      }
    }
  }

  /** Resolves when all have answered, or the time is over. */
  async answered(timeoutMs: number, signal: AbortSignal): Promise<void> {
    this.#wake = new AbortController();
    if (this.#open > 0) {
      await this.#clock.sleep(timeoutMs, AbortSignal.any([signal, this.#wake.signal]));
    }
  }

  pairs(): PingPair[] {
    return this.#questions.map(({ from, target: { to, family, expected }, tookMs }) => ({
      from,
      to,
      family,
      sent: 1,
      received: tookMs === undefined ? 0 : 1,
      ...(tookMs === undefined ? {} : { averageMs: tookMs }),
      expected,
    }));
  }

  close(): void {
    for (const { sockets } of this.#speakers.values()) {
      closeAll(sockets);
    }
  }

  /** A pod that was made anew is another one. */
  async #enter({ name, pid, addresses }: PingEnd): Promise<void> {
    const before = this.#speakers.get(name);
    if (before?.pid === pid) {
      return;
    }
    if (before !== undefined) {
      closeAll(before.sockets);
      this.#speakers.delete(name);
    }
    if (pid === undefined) {
      return;
    }
    const families = addresses.map(({ family }) => family);
    const sockets = await openSocketsIn(pid, PORT, families);
    this.#speakers.set(name, { pid, sockets });
    for (const socket of sockets.values()) {
      socket.on("message", (packet, { address, port }) => {
        this.#hear(name, socket, packet, { address, port });
      });
      // Unreachable now: asked again.
      socket.on("error", () => undefined);
    }
  }

  #askOne(from: string, target: PingTarget): void {
    const key = `${from} ${target.to} ${target.family}`;
    const number = this.#numbers.get(key) ?? this.#questions.length;
    this.#numbers.set(key, number);
    const question: Question = { ...this.#questions[number], from, target };
    this.#questions[number] = question;
    if (question.tookMs !== undefined) {
      return;
    }
    this.#open += 1;
    const socket = this.#speakers.get(from)?.sockets.get(target.family);
    if (socket !== undefined && target.address !== undefined) {
      question.askedMs = this.#clock.nowMs();
      say(socket, QUESTION, number, PORT, target.address);
    }
  }

  #hear(
    host: string,
    socket: Socket,
    packet: Buffer,
    sender: { readonly address: string; readonly port: number },
  ): void {
    if (packet.length !== PACKET_BYTES || packet.readUInt32BE(0) !== PACKET_MARK) {
      return;
    }
    const number = packet.readUInt32BE(8);
    const question = this.#questions[number];
    const kind = packet.readUInt32BE(4);
    if (kind === QUESTION && question?.target.to === host) {
      say(socket, ANSWER, number, sender.port, sender.address);
    }
    const isFirst = kind === ANSWER && question?.from === host;
    if (!isFirst || question.tookMs !== undefined || question.askedMs === undefined) {
      return;
    }
    question.tookMs = this.#clock.nowMs() - question.askedMs;
    this.#open -= 1;
    if (this.#open === 0) {
      this.#wake.abort();
    }
  }
}

function say(socket: Socket, kind: number, number: number, port: number, address: string): void {
  const packet = Buffer.alloc(PACKET_BYTES);
  packet.writeUInt32BE(PACKET_MARK, 0);
  packet.writeUInt32BE(kind, 4);
  packet.writeUInt32BE(number, 8);
  // What cannot be sent is lost like what does not arrive.
  socket.send(packet, port, address, () => undefined);
}
