import type { ProbeRecord } from "../checks/no-packet-lost.ts";
import { LabError } from "../errors.ts";
import type { ExecResult, Lab } from "../lab.ts";
import { type Clock, deadlineIn, poll } from "../system/clock.ts";

/** Numbered packets from a pod to addresses, until told to stop. */
export interface Probe {
  /** Ends it once so many packets were sent in all. @throws LabError "command-failed" when they are not sent in time */
  stop(packets: number): Promise<readonly ProbeRecord[]>;
}

/**
 * ping(8) does not sleep between packets that follow within 10 ms: two that sent one a millisecond took both processors of a machine, twenty that
 * send nearly as many together take a fiftieth. Source: iputils ping, measured.
 */
const INTERVAL_SECONDS = 0.011;
/** Pings side by side to each address, 1,800 packets a second. */
const LANES = 20;
/** Source: RFC 792, echo. */
const SEQUENCE_NUMBERS = 65_536;
const COUNT_EVERY_MS = 50;
const PACKETS_WITHIN_MS = 60_000;

/** Starts pings in the pod of a host; stopping them reads which numbers were answered, and when. */
export async function startProbe(
  lab: Lab,
  clock: Clock,
  from: string,
  addresses: readonly string[],
): Promise<Probe> {
  const before = await sentSoFar(lab, from);
  const controller = new AbortController();
  const probes = addresses.map((address) => ({
    name: `${from} → ${address}`,
    lanes: Array.from({ length: LANES }, () => {
      const argv = ["ping", "-n", "-D", "-i", String(INTERVAL_SECONDS), address];
      const ended = lab.exec({ host: from, place: "pod", argv }, { signal: controller.signal });
      // Looked at in stop(); a ping that died before must not be an unhandled rejection meanwhile.
      ended.catch(() => undefined);
      return ended;
    }),
  }));
  return {
    async stop(packets) {
      const deadline = deadlineIn(clock, PACKETS_WITHIN_MS);
      // The last packet of each ping may not count.
      const wanted = packets + addresses.length * LANES;
      const enough = await poll(clock, { everyMs: COUNT_EVERY_MS, deadline }, async () =>
        (await sentSoFar(lab, from)) - before >= wanted ? true : undefined,
      );
      controller.abort();
      const records = await Promise.all(
        probes.map(async ({ name, lanes }) => recordOf(name, await Promise.all(lanes))),
      );
      if (enough === undefined) {
        throw new LabError("command-failed", `${from} sent less than ${packets} packets in time`);
      }
      return records;
    },
  };
}

function recordOf(name: string, results: readonly ExecResult[]): ProbeRecord {
  const lanes = results.map(({ stdout, stderr }) => {
    const lane = parseProbe(stdout);
    if (lane === undefined) {
      throw new LabError("command-failed", `${name}: ${stderr.trim() || "ping said no summary"}`);
    }
    return lane;
  });
  return { name, ...together(lanes) };
}

/** What the pings of one address saw in all: a gap is one in which none had an answer. */
export function together(lanes: readonly ProbeLane[]): Omit<ProbeRecord, "name"> {
  const sum = (of: (lane: ProbeLane) => number): number =>
    lanes.reduce((total, lane) => total + of(lane), 0);
  const timesMs = lanes.flatMap(({ answeredAtMs }) => answeredAtMs).toSorted((a, b) => a - b);
  return {
    sent: sum(({ sent }) => sent),
    received: sum(({ received }) => received),
    longestGapMs: longestGapMs(timesMs),
  };
}

/** The pod's own count of the echo requests it sent. Source: proc(5), /proc/net/snmp and /proc/net/snmp6. */
async function sentSoFar(lab: Lab, from: string): Promise<number> {
  const argv = ["cat", "/proc/net/snmp", "/proc/net/snmp6"];
  const { stdout } = await lab.exec({ host: from, place: "pod", argv });
  return parseSent(stdout);
}

/** Reads the count of sent echo requests of both families; 0 where there is none. */
export function parseSent(text: string): number {
  const [names = [], values = []] = text
    .split("\n")
    .filter((line) => line.startsWith("Icmp: "))
    .map((line) => line.split(" "));
  const ipv4 = Number(values[names.indexOf("OutEchos")] ?? 0);
  return ipv4 + Number(/^Icmp6OutEchos\s+(\d+)$/m.exec(text)?.[1] ?? 0);
}

/** What one ping saw. */
export interface ProbeLane {
  readonly sent: number;
  readonly received: number;
  /** Milliseconds since 1970; none where ping printed no times. */
  readonly answeredAtMs: readonly number[];
}

/**
 * Counts the packets of a `ping -D` that was interrupted; undefined without its summary. The last packets are left out when
 * they have no answer: they may have been on their way. An answer that came twice counts once.
 */
export function parseProbe(output: string): ProbeLane | undefined {
  const summary = /^(\d+) packets transmitted,/m.exec(output);
  if (summary === null) {
    return undefined;
  }
  const sent = Number(summary[1]);
  const answers = [...output.matchAll(/^(?:\[([\d.]+)\] )?\d+ bytes from .* icmp_seq=(\d+) /gm)];
  const answered = new Set(unwrapped(answers.map((match) => Number(match[2]))));
  const counted = answered.has(sent) ? sent : Math.max(0, sent - 1);
  const answeredAtMs = answers.flatMap(([, time]) =>
    time === undefined ? [] : [Number(time) * 1000],
  );
  return { sent: counted, received: answered.size, answeredAtMs };
}

/** ICMP numbers packets with 16 bits; answers come nearly in order. */
function unwrapped(numbers: readonly number[]): number[] {
  let rounds = 0;
  let last = 0;
  return numbers.map((number) => {
    if (number - last < -SEQUENCE_NUMBERS / 2) {
      rounds += 1;
    }
    const late = number - last > SEQUENCE_NUMBERS / 2 ? 1 : 0;
    last = late === 1 ? last : number;
    return (rounds - late) * SEQUENCE_NUMBERS + number;
  });
}

/** Between two answers; an answer that came at the end tells nothing of the time after it. */
function longestGapMs(timesMs: readonly number[]): number {
  return timesMs.reduce(
    (longest, time, index) => Math.max(longest, time - (timesMs[index - 1] ?? time)),
    0,
  );
}
