import type { Socket } from "node:dgram";
import type { IpFamily } from "../../addresses.ts";
import type { ProbeFigures } from "../../report/events.ts";
import type { Clock } from "../../system/clock.ts";
import type { ProbeSighting } from "../sightings.ts";
import { openSocketsIn, type SocketType } from "./pod-sockets.ts";
import { ProbeLedger } from "./probe-ledger.ts";

/** 50 packets a second and pair. */
const SEND_EVERY_MS = 20;
/** After a pause of this process so many packets are sent at once, at most. */
const MAX_BURST = 5;
const PROGRESS_EVERY_MS = 1000;
/** Any port that no agent listens on. */
const PORT = 41_923;
/** Mark, pair, number: tells our packets from strangers'. */
const PACKET_BYTES = 12;
const PACKET_MARK = 0x7477_6c70;
/** Fewer packets than this say nothing about a gap. */
const FLOOR_PACKETS = 100;

const TYPES: Readonly<Record<IpFamily, SocketType>> = { ipv4: "udp4", ipv6: "udp6" };

export interface ProbedPod {
  readonly host: string;
  /** A process in the pod's namespaces. */
  readonly pid: number;
  readonly addresses: Readonly<Partial<Record<IpFamily, string>>>;
}

interface OpenPod extends ProbedPod {
  readonly sockets: ReadonlyMap<SocketType, Socket>;
}

interface Pair {
  readonly from: string;
  readonly to: string;
  readonly family: IpFamily;
  readonly ledger: ProbeLedger;
  told: { sent: number; received: number };
}

export interface ProbeTrafficOptions {
  readonly clock: Clock;
  /** Milliseconds since the run began. */
  readonly now: () => number;
  readonly see: (sighting: ProbeSighting) => void;
  /** At most so many pairs of hosts are probed. */
  readonly maxPairs: number;
}

/** Numbered packets between pods, in one process: who receives them is known, so that a wrong receiver is seen, too. */
export class ProbeTraffic {
  readonly #options: ProbeTrafficOptions;
  readonly #pods: Map<string, OpenPod> = new Map();
  readonly #pairs: Pair[] = [];

  constructor(options: ProbeTrafficOptions) {
    this.#options = options;
  }

  /**
   * Probes from and to a pod from now on, in a chain with the pod that came before it as long as there is room.
   * @throws LabError "command-failed" when the pod cannot be entered
   */
  async setPod(pod: ProbedPod): Promise<void> {
    this.removePod(pod.host);
    const families = Object.keys(pod.addresses) as IpFamily[];
    const sockets = await openSocketsIn(
      pod.pid,
      PORT,
      families.map((family) => TYPES[family]),
    );
    for (const socket of sockets.values()) {
      socket.on("message", (packet) => {
        this.#receive(pod.host, packet);
      });
      // Unreachable now: the ledger tells it as loss.
      socket.on("error", () => undefined);
    }
    const before = [...this.#pods.keys()].at(-1);
    this.#pods.set(pod.host, { ...pod, sockets });
    for (const family of families) {
      this.#addPair(before, pod.host, family);
      // Two pods: there and back. More: each to the next, so that every pod is in a pair.
      if (this.#pods.size === 2) {
        this.#addPair(pod.host, before, family);
      }
    }
  }

  /** No packets go to or from a host's pod any more; what was counted stays. */
  removePod(host: string): void {
    this.#pods.get(host)?.sockets.forEach((socket) => {
      socket.close();
    });
    this.#pods.delete(host);
  }

  /** Sends until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, now } = this.#options;
    let dueAt = now();
    let progressAt = now() + PROGRESS_EVERY_MS;
    while (!signal.aborted) {
      for (let burst = 0; burst < MAX_BURST && dueAt <= now(); burst += 1) {
        this.#sendAll();
        dueAt += SEND_EVERY_MS;
      }
      dueAt = Math.max(dueAt, now());
      if (now() >= progressAt) {
        this.#settle();
        progressAt = now() + PROGRESS_EVERY_MS;
      }
      await clock.sleep(Math.max(1, dueAt - now()), signal);
    }
  }

  /** Ends all probing. The figures of every pair. */
  finish(): readonly ProbeFigures[] {
    this.#settle((ledger, at) => ledger.finish(at));
    [...this.#pods.keys()].forEach((host) => {
      this.removePod(host);
    });
    const at = this.#options.now();
    return this.#pairs.map(({ from, to, family, ledger }) => ({
      type: "probe-figures",
      at,
      from,
      to,
      family,
      sent: ledger.sent,
      received: ledger.received,
      floor: FLOOR_PACKETS,
      duplicates: ledger.duplicates,
      reordered: ledger.reordered,
      misdelivered: ledger.misdelivered,
      gaps: ledger.gaps,
    }));
  }

  #addPair(from: string | undefined, to: string | undefined, family: IpFamily): void {
    const known = this.#pairs.some(
      (pair) => pair.from === from && pair.to === to && pair.family === family,
    );
    const hosts = new Set(this.#pairs.map((pair) => `${pair.from} ${pair.to}`));
    const full = hosts.size >= this.#options.maxPairs && !hosts.has(`${from} ${to}`);
    if (from !== undefined && to !== undefined && !known && !full) {
      const told = { sent: 0, received: 0 };
      this.#pairs.push({ from, to, family, ledger: new ProbeLedger(), told });
    }
  }

  #sendAll(): void {
    for (const [index, { from, to, family, ledger }] of this.#pairs.entries()) {
      const socket = this.#pods.get(from)?.sockets.get(TYPES[family]);
      const address = this.#pods.get(to)?.addresses[family];
      if (socket !== undefined && address !== undefined) {
        const packet = Buffer.alloc(PACKET_BYTES);
        packet.writeUInt32BE(PACKET_MARK, 0);
        packet.writeUInt32BE(index, 4);
        packet.writeUInt32BE(ledger.send(this.#options.now()), 8);
        // What cannot be sent is lost like what does not arrive.
        socket.send(packet, PORT, address, () => undefined);
      }
    }
  }

  #receive(host: string, packet: Buffer): void {
    const ours = packet.length === PACKET_BYTES && packet.readUInt32BE(0) === PACKET_MARK;
    const pair = ours ? this.#pairs[packet.readUInt32BE(4)] : undefined;
    if (pair === undefined) {
      return;
    }
    const { from, to, family, ledger } = pair;
    const number = packet.readUInt32BE(8);
    if (to === host) {
      ledger.receive(number);
      return;
    }
    ledger.misdelivered += 1;
    const { now, see } = this.#options;
    const address = this.#pods.get(to)?.addresses[family] ?? "";
    const sentAt = ledger.sentAt(number) ?? now();
    see({
      witness: "probe",
      kind: "misdelivered",
      at: now(),
      from,
      to,
      family,
      sentAt,
      address,
      receivedBy: host,
    });
  }

  #settle(
    step: (ledger: ProbeLedger, at: number) => ReturnType<ProbeLedger["settle"]> = (ledger, at) =>
      ledger.settle(at),
  ): void {
    const { now, see } = this.#options;
    for (const pair of this.#pairs) {
      const { from, to, family, ledger, told } = pair;
      const at = now();
      const of = { witness: "probe", at, from, to, family } as const;
      for (const { beginMs, lengthMs, lost } of step(ledger, at)) {
        see({ ...of, kind: "gap", beginAt: beginMs, endAt: beginMs + lengthMs, lost });
      }
      see({
        ...of,
        kind: "progress",
        sent: ledger.sent - told.sent,
        received: ledger.received - told.received,
      });
      pair.told = { sent: ledger.sent, received: ledger.received };
    }
  }
}
