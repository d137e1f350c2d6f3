import type { Socket } from "node:dgram";
import type { IpFamily } from "../../addresses.ts";
import type { ProbeFigures } from "../../report/events.ts";
import type { Clock } from "../../system/clock.ts";
import { closeAll, openSocketsIn } from "../../system/pod-sockets.ts";
import type { ProbeSighting } from "../sightings.ts";
import { type LedgerGap, LOST_AFTER_MS, ProbeLedger } from "./probe-ledger.ts";

/** A pair that had fewer packets a second than this was not looked at. Source: invariant F3. */
const FLOOR_PER_SECOND = 50;
/** More than the floor, so that a machine that is busy for a moment does not fall below it. */
const SEND_EVERY_MS = 16;
/**
 * What a pause of this process of half a second kept from being sent is sent at once after it: a machine that is busy with
 * agents makes such pauses all the time. Longer ones take packets from the floor.
 */
const MAX_BURST = 31;
const PROGRESS_EVERY_MS = 1000;
/** When this process itself was away for so long, what arrived meanwhile is read before anything is taken for lost. */
const AWAY_MS = 100;
/** Any port that no agent listens on. */
const PORT = 41_923;
/** Mark, pair, number: tells our packets from strangers'. */
const PACKET_BYTES = 12;
const PACKET_MARK = 0x7477_6c70;

export interface ProbedPod {
  readonly host: string;
  /** A process in the pod's namespaces. */
  readonly pid: number;
  readonly addresses: Readonly<Partial<Record<IpFamily, string>>>;
}

interface OpenPod extends ProbedPod {
  readonly sockets: ReadonlyMap<IpFamily, Socket>;
}

interface Pair {
  readonly from: string;
  readonly to: string;
  readonly family: IpFamily;
  readonly ledger: ProbeLedger;
  told: { sent: number; received: number };
  /** Since when both pods are there; undefined while one is not. */
  since?: number;
  /** Milliseconds that both were there before, and the floor counted. */
  probedMs: number;
  /** Packets sent while it did not; and, as long as it does not, how many there were before. */
  uncounted: number;
  uncountedFrom?: number;
}

export interface ProbeTrafficOptions {
  readonly clock: Clock;
  /** Milliseconds since the run began. */
  readonly now: () => number;
  readonly see: (sighting: ProbeSighting) => void;
  /** At most so many pairs of hosts are probed. */
  readonly maxPairs: number;
  /** Whether two hosts' pods are to reach each other in this network. */
  readonly isExpected: (from: string, to: string) => boolean;
}

/** Numbered packets between pods, in one process: who receives them is known, so that a wrong receiver is seen, too. */
export class ProbeTraffic {
  readonly #options: ProbeTrafficOptions;
  readonly #pods: Map<string, OpenPod> = new Map();
  /** The pods that are, or are about to be, probed. */
  readonly #wanted: Map<string, ProbedPod> = new Map();
  readonly #pairs: Pair[] = [];
  #countsFloor = true;

  constructor(options: ProbeTrafficOptions) {
    this.#options = options;
  }

  /**
   * Probes from and to a pod from now on, in a chain with the pod that came before it as long as there is room; not one that
   * was removed, or made anew, before it could be entered.
   * @throws LabError "command-failed" when the pod cannot be entered
   */
  async setPod(pod: ProbedPod): Promise<void> {
    this.removePod(pod.host);
    this.#wanted.set(pod.host, pod);
    const families = Object.keys(pod.addresses) as IpFamily[];
    let sockets: OpenPod["sockets"];
    try {
      sockets = await openSocketsIn(pod.pid, PORT, families);
    } catch (error) {
      if (this.#wanted.get(pod.host) === pod) {
        throw error;
      }
      return;
    }
    if (this.#wanted.get(pod.host) === pod) {
      this.#probe(pod, sockets);
    } else {
      closeAll(sockets);
    }
  }

  #probe(pod: ProbedPod, sockets: OpenPod["sockets"]): void {
    const families = Object.keys(pod.addresses) as IpFamily[];
    for (const socket of sockets.values()) {
      socket.on("message", (packet) => {
        this.#receive(pod.host, packet);
      });
      // Unreachable now: the ledger tells it as loss.
      socket.on("error", () => undefined);
    }
    const others = [...this.#pods.keys()];
    const before = others.findLast((other) => this.#options.isExpected(other, pod.host));
    this.#pods.set(pod.host, { ...pod, sockets });
    for (const family of families) {
      this.#addPair(before, pod.host, family);
      // Two pods: there and back. More: each to the next, so that every pod is in a pair.
      if (this.#pods.size === 2) {
        this.#addPair(pod.host, before, family);
      }
    }
    this.#countOn();
  }

  /** Whether from now on there have to be so many packets as the floor says. Where the lab itself has no time for them there need not. */
  countFloor(counts: boolean): void {
    if (counts === this.#countsFloor) {
      return;
    }
    this.#countsFloor = counts;
    for (const pair of this.#pairs) {
      if (counts) {
        pair.uncounted += pair.ledger.begun - (pair.uncountedFrom ?? 0);
        delete pair.uncountedFrom;
      } else {
        pair.uncountedFrom = pair.ledger.begun;
        this.#countOff(pair, this.#options.now());
      }
    }
    this.#countOn();
  }

  #countOn(): void {
    for (const pair of this.#pairs) {
      if (this.#countsFloor && this.#pods.has(pair.from) && this.#pods.has(pair.to)) {
        pair.since ??= this.#options.now();
      }
    }
  }

  #countOff(pair: Pair, at: number): void {
    pair.probedMs += Math.max(0, at - (pair.since ?? at));
    delete pair.since;
  }

  /** What was on its way counts neither as sent nor as time in which to send. */
  #interrupt(pair: Pair, at: number): void {
    this.#tell(pair, at, pair.ledger.interrupt(at));
    this.#countOff(pair, pair.ledger.forgottenSince ?? at);
  }

  /** No packets go to or from a host's pod any more; what was counted stays. */
  removePod(host: string): void {
    this.#wanted.delete(host);
    const pod = this.#pods.get(host);
    if (pod === undefined) {
      return;
    }
    closeAll(pod.sockets);
    this.#pods.delete(host);
    const at = this.#options.now();
    for (const pair of this.#pairs.filter(({ from, to }) => from === host || to === host)) {
      this.#interrupt(pair, at);
    }
  }

  /** Sends until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, now } = this.#options;
    let dueAt = now();
    let lookedAt = now();
    let settleAt = now() + PROGRESS_EVERY_MS;
    while (!signal.aborted) {
      for (let burst = 0; burst < MAX_BURST && dueAt <= now(); burst += 1) {
        this.#sendAll();
        dueAt += SEND_EVERY_MS;
      }
      dueAt = Math.max(dueAt, now());
      if (now() - lookedAt > AWAY_MS) {
        settleAt = Math.max(settleAt, now() + AWAY_MS);
      }
      lookedAt = now();
      if (lookedAt >= settleAt) {
        this.#settle();
        settleAt = lookedAt + PROGRESS_EVERY_MS;
      }
      await clock.sleep(Math.max(1, dueAt - now()), signal);
    }
  }

  /** Ends all probing. The figures of every pair. */
  finish(): readonly ProbeFigures[] {
    const at = this.#options.now();
    this.countFloor(true);
    for (const pair of this.#pairs) {
      this.#interrupt(pair, at);
    }
    const figures = this.#pairs.map((pair): ProbeFigures => {
      const { from, to, family, ledger, probedMs, uncounted } = pair;
      const { sent, received, duplicates, reordered, misdelivered, gaps } = ledger;
      // Those of the last moment may be on their way.
      const judgedMs = Math.max(0, probedMs - LOST_AFTER_MS);
      const more = Math.max(0, uncounted - ledger.forgotten);
      const floor = Math.floor((FLOOR_PER_SECOND * judgedMs) / 1000) + more;
      const counts = { sent, received, floor, duplicates, reordered, misdelivered, gaps };
      return { type: "probe-figures", at, from, to, family, ...counts };
    });
    [...this.#pods.keys()].forEach((host) => {
      this.removePod(host);
    });
    return figures;
  }

  #addPair(from: string | undefined, to: string | undefined, family: IpFamily): void {
    const known = this.#pairs.some(
      (pair) => pair.from === from && pair.to === to && pair.family === family,
    );
    const hosts = new Set(this.#pairs.map((pair) => `${pair.from} ${pair.to}`));
    const full = hosts.size >= this.#options.maxPairs && !hosts.has(`${from} ${to}`);
    if (from !== undefined && to !== undefined && !known && !full) {
      const told = { sent: 0, received: 0 };
      this.#pairs.push({
        from,
        to,
        family,
        ledger: new ProbeLedger(),
        told,
        probedMs: 0,
        uncounted: 0,
      });
    }
  }

  #sendAll(): void {
    for (const [index, { from, to, family, ledger }] of this.#pairs.entries()) {
      const socket = this.#pods.get(from)?.sockets.get(family);
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

  #settle(): void {
    for (const pair of this.#pairs) {
      const at = this.#options.now();
      this.#tell(pair, at, pair.ledger.settle(at));
    }
  }

  #tell(pair: Pair, at: number, gaps: readonly LedgerGap[]): void {
    const { from, to, family, ledger, told } = pair;
    const { see } = this.#options;
    const of = { witness: "probe", at, from, to, family } as const;
    for (const { beginMs, lengthMs, lost, isFirst } of gaps) {
      see({ ...of, kind: "gap", beginAt: beginMs, endAt: beginMs + lengthMs, lost, isFirst });
    }
    const { sent, received } = ledger;
    see({ ...of, kind: "progress", sent: sent - told.sent, received: received - told.received });
    pair.told = { sent, received };
  }
}
