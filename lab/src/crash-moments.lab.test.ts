import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { requires } from "linux/testing";
import { expect, it } from "vitest";
import { readState } from "./state.ts";
import { systemClock } from "./system/clock.ts";
import { isSameProcess } from "./system/process-table.ts";
import { ROUTE_AGENT, Workplace } from "./testing/command-line.ts";
import { leftovers, lookAtMachine } from "./testing/leftovers.ts";

/** What a lab goes through, and at how many moments of each it is killed. Most of what could be left is made by `up`. */
const MOMENTS = { up: 36, ping: 6, down: 8 } as const;
type Phase = keyof typeof MOMENTS;
const PHASES: readonly Phase[] = ["up", "ping", "down"];
const ARGUMENTS: Readonly<Record<Phase, readonly string[]>> = {
  up: ["up", "--nodes", "2", "--backend", "host-gw", "--flanneld", ROUTE_AGENT],
  ping: ["ping"],
  down: ["down"],
};
/** Labs that are killed at the same time: one a core of a small machine. */
const LANES = 2;
const TIMEOUT_MS = 180_000;

/** What is killed: one of the lab's own first processes, alone or together with what somebody typed. */
const VICTIMS = [
  ["unshare"],
  ["init"],
  ["supervisor"],
  ["command", "unshare"],
  ["command", "supervisor"],
] as const;
type Victim = (typeof VICTIMS)[number][number];

interface Moment {
  readonly number: number;
  readonly phase: Phase;
  /** From 0, when the phase begins, to 1, when it would have ended. */
  readonly share: number;
  readonly victims: readonly Victim[];
}

/** One seed for every push, so that the same commit gives the same answer. */
const SEED = Number(process.env["LAB_CRASH_SEED"] ?? "20261121");

/** One moment in each equal part of a phase, so that no part is left out. */
function plan(seed: number): readonly Moment[] {
  const random = numbers(seed);
  const moments = PHASES.flatMap((phase) =>
    Array.from({ length: MOMENTS[phase] }, (_, index) => ({
      phase,
      share: (index + random()) / MOMENTS[phase],
      victims: VICTIMS[Math.floor(random() * VICTIMS.length)] ?? ["supervisor"],
    })),
  );
  return moments.map((moment, index) => ({ number: index + 1, ...moment }));
}

/** From 0 to 1. Source: Steele and others, "Fast splittable pseudorandom number generators", the mix of SplitMix32. */
function numbers(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x9e3779b9) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 16), 0x21f0aaad);
    mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97);
    return ((mixed ^ (mixed >>> 15)) >>> 0) / 2 ** 32;
  };
}

/** How long each phase takes when nobody kills it. */
async function measure(workplace: Workplace): Promise<Readonly<Record<Phase, number>>> {
  const took: Record<Phase, number> = { up: 0, ping: 0, down: 0 };
  for (const phase of PHASES) {
    const beganMs = systemClock.nowMs();
    expect((await workplace.run(...ARGUMENTS[phase])).exitCode).toBe(0);
    took[phase] = systemClock.nowMs() - beganMs;
  }
  return took;
}

/** Begins a phase, and kills the lab at its moment, as `kill -9` does. */
async function strike(
  workplace: Workplace,
  { phase, share, victims }: Moment,
  took: Readonly<Record<Phase, number>>,
): Promise<void> {
  const made = phase === "up" ? undefined : await workplace.run(...ARGUMENTS.up);
  expect(made?.exitCode ?? 0).toBe(0);
  const command = workplace.start(...ARGUMENTS[phase]);
  const ended = once(command, "close");
  await systemClock.sleep(share * took[phase]);
  const struck = victims.filter((which) => kill(workplace, command, which));
  // Of a lab that is only typed yet, nothing else is known.
  if (struck.length === 0) {
    kill(workplace, command, "command");
  }
  await ended;
}

/** False for one that is not there, or not yet known. */
function kill(workplace: Workplace, command: ChildProcess, which: Victim): boolean {
  if (which === "command") {
    return command.exitCode === null && command.kill("SIGKILL");
  }
  const identity = readState(join(workplace.labs, "default"))?.lab?.[which];
  return identity !== undefined && isSameProcess(identity) && process.kill(identity.pid, "SIGKILL");
}

requires("lab")("a lab that is killed at any moment", () => {
  const moments = plan(SEED);

  it(
    `F1: leaves nothing, at ${moments.length} moments of seed ${SEED}`,
    async () => {
      const before = lookAtMachine();
      const waiting = [...moments];
      const left: unknown[] = [];
      await Promise.all(
        Array.from({ length: LANES }, async () => {
          using workplace = new Workplace();
          // As slow as it is beside the others.
          const took = await measure(workplace);
          for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
            await strike(workplace, next, took);
            const remains = await leftovers(before, workplace);
            left.push(...remains.map((what) => ({ ...next, took, what })));
            // What one has left would be told of each that follows.
            waiting.splice(0, remains.length === 0 ? 0 : waiting.length);
          }
          // The files of a dead lab are the next one's to take away, and in the end this one's.
          const swept = await workplace.run(left.length === 0 ? "gc" : "down");
          expect(left).toEqual([]);
          expect(swept).toMatchObject({ exitCode: 0, stderr: "" });
          expect(existsSync(workplace.labs)).toBe(false);
        }),
      );
    },
    TIMEOUT_MS,
  );
});
