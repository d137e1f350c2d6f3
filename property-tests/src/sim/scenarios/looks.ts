/** What a scenario expects, looked at once in the simulated world. */
import type { Expectation } from "lab/scenario";
import { SUBNET_FILE } from "../actors.ts";
import { kernelTexts, largestOverheadBytes } from "../expected-kernel.ts";
import { checkMtu } from "../quiet-data-plane.ts";
import type { Block } from "../stored.ts";
import type { Machine } from "../world.ts";
import type { Ground } from "./ground.ts";
import { PodWays, type ProbeRecord, podPairs, podSubnets } from "./pods.ts";

/** Fewer packets of one probe than this say nothing about a loss or a gap. As in the lab. */
const PACKETS_MIN = 100;

/** What is wrong, a line each; nothing where all is as expected. */
export type Wrongs = readonly string[];

/** What steps before this one left to be looked at. */
export interface Memory {
  readonly subnets: ReadonlyMap<Machine, readonly Block[]> | undefined;
  /** Of the probe that was stopped last. */
  readonly records: readonly ProbeRecord[];
}

/** All but `repaired`, which takes time. */
export const LOOKS: Readonly<
  Record<
    Exclude<Expectation, "repaired">,
    (ground: Ground, memory: Memory, withinMs: number) => Wrongs
  >
> = {
  "pods-reach-each-other": lookAtPods,
  "kernel-equals-leases": lookAtKernels,
  "foreign-objects-stay": lookAtForeign,
  "subnets-are-kept": lookAtSubnets,
  "largest-packet-is-mtu": lookAtMtu,
  "nobody-runs-on-anothers-lease": lookAtClaims,
  "no-packet-lost": (_ground, { records }) =>
    tooFew(records) ??
    records
      .filter(({ sent, received }) => received < sent)
      .map(({ name, sent, received }) => `${name}: ${sent - received} of ${sent} packets lost`),
  "gap-at-most": (_ground, { records }, withinMs) =>
    tooFew(records) ??
    records
      .filter(({ longestGapMs }) => longestGapMs > withinMs)
      .map(({ name, longestGapMs }) => `${name}: ${longestGapMs.toFixed(1)} ms without an answer`),
};

/** The invariant that each stands for; after a deleted device `repaired` stands for D10. */
export const STANDS_FOR: Readonly<Record<Expectation, string>> = {
  "pods-reach-each-other": "D7",
  "kernel-equals-leases": "D1",
  repaired: "D11",
  "foreign-objects-stay": "D2",
  "subnets-are-kept": "A10",
  "largest-packet-is-mtu": "D8",
  "nobody-runs-on-anothers-lease": "B1",
  "no-packet-lost": "D5",
  "gap-at-most": "D5",
};

export function lookAtKernels({ machines, config, leases }: Ground): Wrongs {
  const live = leases();
  return machines.flatMap((machine) => {
    // Who was started since the config changed goes by the new one.
    const { wanted, actual } = kernelTexts(machine, machine.agent?.config ?? config, {
      live,
      printed: machine.kernel.print(),
    });
    if (!live.some(({ owner }) => owner === machine.publicIp))
      return [`${machine.name} has no lease`];
    return wanted === actual ? [] : differences(machine.name, wanted, actual);
  });
}

function differences(name: string, wanted: string, actual: string): Wrongs {
  const [wants, has] = [wanted.split("\n"), actual.split("\n")];
  return [
    ...wants.filter((line) => !has.includes(line)).map((line) => `${name} lacks ${line}`),
    ...has.filter((line) => !wants.includes(line)).map((line) => `${name} has besides ${line}`),
  ];
}

function lookAtPods(ground: Ground): Wrongs {
  const { machines, reach, config } = ground;
  const ways = new PodWays(ground);
  const pairs = machines.flatMap((to) =>
    machines
      .filter((from) => from !== to)
      .filter((from) => reach === "all" || from.attachment.holds(to.publicIp))
      .flatMap((from) => podPairs(from, to)),
  );
  if (pairs.length === 0) return ["there are no two pods to look at"];
  const families = [config.ranges[4], config.ranges[6]].filter((range) => range !== undefined);
  return [
    ...machines
      .filter((machine) => podSubnets(machine).length < families.length)
      .map(({ name }) => `${name} lacks a pod`),
    ...pairs.flatMap(([from, to]) => {
      const obstacle = ways.obstacle(from, to);
      const names = `${from.machine.name} → ${to.machine.name}, ${to.subnet.text}`;
      return obstacle === undefined ? [] : [`${names}: ${obstacle}`];
    }),
  ];
}

function lookAtForeign({ foreign }: Ground): Wrongs {
  if (foreign.size === 0) return ["there is nothing of somebody else to look at"];
  return [...foreign].flatMap(({ machine, lines }) => {
    const there = new Set(machine.kernel.print().split("\n"));
    return lines
      .filter((line) => !there.has(line))
      .map((line) => `${machine.name} has no ${line} any more`);
  });
}

/** As subnet.env and as the store have them. */
function lookAtSubnets({ leases }: Ground, { subnets }: Memory): Wrongs {
  if (subnets === undefined) return ["nothing was remembered to compare with"];
  const live = leases();
  return [...subnets].flatMap(([machine, before]) => {
    const lease = live.find(({ owner }) => owner === machine.publicIp);
    const places: readonly (readonly [string, readonly Block[]])[] = [
      ["subnet.env", podSubnets(machine)],
      ["the store", lease?.blocks ?? []],
    ];
    return places
      .filter(([, now]) => spell(now) !== spell(before))
      .map(([place, now]) => `${machine.name} had ${list(before)}, ${place} has ${list(now)}`);
  });
}

function lookAtClaims({ machines, leases }: Ground): Wrongs {
  const foreign = leases().filter(
    ({ owner }) => !machines.some(({ publicIp }) => publicIp === owner),
  );
  if (foreign.length === 0) return ["no lease has an owner that is no machine"];
  return machines
    .filter(({ agent }) => agent?.running === true)
    .flatMap((machine) =>
      foreign
        .filter(({ blocks }) => spell(blocks) === spell(podSubnets(machine)))
        .map(({ owner, blocks }) => `${machine.name} runs with ${list(blocks)} of ${owner}`),
    );
}

/** As subnet.env or the store writes them: an address of each. */
function list(blocks: readonly Block[]): string {
  return blocks.length === 0 ? "nothing" : blocks.map(({ text }) => text).join(" ");
}

function spell(blocks: readonly Block[]): string {
  return blocks.map(({ first, length }) => `${first.toString(16)}/${length}`).join(" ");
}

/** The largest packet is what the smallest of two cards carries, less what encapsulation takes. */
function lookAtMtu({ machines, config }: Ground): Wrongs {
  const wrongs: string[] = [];
  const collector = {
    check: (_id: string, holds: boolean, detail: () => string): void => {
      if (!holds) wrongs.push(detail());
    },
  };
  for (const machine of machines) {
    checkMtu(collector, machine, config);
    const text = machine.files.texts.get(SUBNET_FILE) ?? "";
    const told = Number(/^FLANNEL_MTU=(\d+)$/m.exec(text)?.[1]);
    for (const peer of machines) {
      const fitting = Math.min(machine.mtu, peer.mtu) - largestOverheadBytes(config);
      if (told > fitting)
        wrongs.push(`${machine.name} tells pods ${told}: of ${fitting} fit to ${peer.name}`);
    }
  }
  return wrongs;
}

function tooFew(records: readonly ProbeRecord[]): Wrongs | undefined {
  if (records.length === 0) return ["no probe ran"];
  const thin = records.filter(({ sent }) => sent < PACKETS_MIN);
  return thin.length === 0
    ? undefined
    : thin.map(({ name, sent }) => `${name}: only ${sent} packets sent, ${PACKETS_MIN} are needed`);
}
