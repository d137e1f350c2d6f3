/** Pods, which the simulated world has only as the subnets that subnet.env names, and the packets between them, hop by hop through the kernels. */
import { SUBNET_FILE } from "../actors.ts";
import { Forwarding, type Way } from "../forwarding.ts";
import { type Block, blockOf } from "../stored.ts";
import type { Machine } from "../world.ts";
import type { Ground } from "./ground.ts";

/** A pod of a machine, in one family. */
export interface Pod {
  readonly machine: Machine;
  readonly subnet: Block;
}

const VARIABLES = ["FLANNEL_SUBNET", "FLANNEL_IPV6_SUBNET"];
/** As the lab's two pings a millisecond send them to each address. */
const PACKET_EVERY_MS = 0.5;
const COUNT_EVERY_MS = 10;

/** The subnets that pods of a machine are in, one of each family in use; none before its agent was ready once. */
export function podSubnets({ files }: Machine): readonly Block[] {
  const lines = (files.texts.get(SUBNET_FILE) ?? "").split("\n");
  return VARIABLES.flatMap((variable) => {
    const line = lines.find((one) => one.startsWith(`${variable}=`));
    const block = line === undefined ? undefined : blockAround(line.slice(variable.length + 1));
    return block === undefined ? [] : [block];
  });
}

/** Pairs of pods of two machines, one for each family that both have. */
export function podPairs(from: Machine, to: Machine): readonly (readonly [Pod, Pod])[] {
  const sources = podSubnets(from);
  return podSubnets(to).flatMap((subnet) => {
    const source = sources.find(({ bits }) => bits === subnet.bits);
    return source === undefined
      ? []
      : [
          [
            { machine: from, subnet: source },
            { machine: to, subnet },
          ] as const,
        ];
  });
}

/** The prefix that an address with a length is in. */
function blockAround(text: string): Block | undefined {
  const [address = "", lengthText = ""] = text.split("/");
  const single = blockOf(`${address}/${address.includes(":") ? 128 : 32}`);
  if (single === undefined) return undefined;
  const length = Number(lengthText);
  const size = 1n << BigInt(single.bits - length);
  const first = single.first - (single.first % size);
  return { bits: single.bits, first, last: first + size - 1n, length, text };
}

/** Ways as they are until a kernel changes, or a machine comes or goes. */
export class PodWays {
  readonly #ground: Ground;
  readonly #forwarding: Forwarding;
  /** By machine and subnet. */
  readonly #ways = new Map<Machine, Map<Block, Way>>();

  constructor(ground: Ground) {
    this.#ground = ground;
    this.#forwarding = new Forwarding(ground.machines);
  }

  /** What keeps a ping between pods in these two subnets from being answered; undefined when nothing does. */
  obstacle(from: Pod, to: Pod): string | undefined {
    return this.#oneWay(from.machine, to) ?? this.#oneWay(to.machine, from);
  }

  #oneWay(from: Machine, { machine, subnet }: Pod): string | undefined {
    for (const { name } of [from, machine].filter((one) => this.#ground.offline.has(one)))
      return `the card of ${name} carries nothing`;
    const { arrives, path } = this.#wayTo(from, { machine, subnet });
    return arrives ? undefined : path;
  }

  #wayTo(from: Machine, { machine, subnet: block }: Pod): Way {
    const ways = this.#ways.get(from) ?? new Map<Block, Way>();
    this.#ways.set(from, ways);
    const publicIp = machine.addresses[block.bits === 32 ? 4 : 6];
    const way =
      ways.get(block) ?? this.#forwarding.way(from, { block, owner: machine.publicIp, publicIp });
    ways.set(block, way);
    return way;
  }
}

/** What came of the packets to one address. */
export interface ProbeRecord {
  readonly name: string;
  sent: number;
  received: number;
  /** The longest time between two answers. */
  longestGapMs: number;
}

interface Stream {
  readonly pods: readonly [Pod, Pod];
  readonly record: ProbeRecord;
  /** When the last answer came, or the first packet was sent. */
  answeredMs: number;
}

/** Numbered packets from one pod to another: each is answered if the kernels of that moment lead it there and the answer back. */
export class Probe {
  readonly records: readonly ProbeRecord[];
  readonly #ground: Ground;
  readonly #streams: readonly Stream[];
  readonly #stopped = new AbortController();
  /** Undefined once a kernel has changed, or a machine came or went. */
  #ways: PodWays | undefined;
  #joins = 0;
  readonly #watched = new WeakSet<object>();

  constructor(ground: Ground, from: Machine, to: Machine) {
    this.#ground = ground;
    this.#streams = podPairs(from, to).map((pods) => ({
      pods,
      record: {
        name: `${from.name} → ${to.name}, ${pods[1].subnet.text}`,
        sent: 0,
        received: 0,
        longestGapMs: 0,
      },
      answeredMs: ground.world.time.nowMs,
    }));
    this.records = this.#streams.map(({ record }) => record);
    this.#send();
  }

  /** Ends it once so many packets were sent in all. */
  async stop(packets: number): Promise<void> {
    const sent = (): number => this.records.reduce((sum, record) => sum + record.sent, 0);
    while (this.#streams.length > 0 && sent() < packets)
      await this.#ground.world.time.pass(COUNT_EVERY_MS);
    this.end();
  }

  end(): void {
    this.#stopped.abort(new Error("stopped"));
    for (const stream of this.#streams) this.#noteGap(stream);
  }

  #send(): void {
    if (this.#stopped.signal.aborted) return;
    const { time } = this.#ground.world;
    if (this.#joins !== this.#ground.joins) this.#ways = undefined;
    this.#joins = this.#ground.joins;
    for (const machine of this.#ground.machines) this.#watch(machine);
    this.#ways ??= new PodWays(this.#ground);
    for (const stream of this.#streams) {
      const { pods, record } = stream;
      record.sent++;
      if (this.#ways.obstacle(...pods) !== undefined) continue;
      record.received++;
      this.#noteGap(stream);
      stream.answeredMs = time.nowMs;
    }
    time.after(PACKET_EVERY_MS, () => this.#send());
  }

  #noteGap({ record, answeredMs }: Stream): void {
    const gapMs = this.#ground.world.time.nowMs - answeredMs;
    record.longestGapMs = Math.max(record.longestGapMs, gapMs);
  }

  /** What a kernel tells of its changes is read before the next packet. A machine that reboots has another kernel. */
  #watch({ kernel }: Machine): void {
    if (this.#watched.has(kernel)) return;
    this.#watched.add(kernel);
    this.#ways = undefined;
    void (async () => {
      for await (const _event of kernel.watch(this.#stopped.signal)) this.#ways = undefined;
    })();
  }
}
