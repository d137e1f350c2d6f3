/** Faults of agents, of the machines they run on, and of their clocks. */
import type { Machine } from "../world.ts";
import type { FaultWords } from "./fault-word.ts";
import { stormOf } from "./cast.ts";
import { type Cure, type Ground, NO_CURE, StepFailed } from "./ground.ts";

/** An agent has this long for its end. Source: invariant E4. */
const END_MS = 2_000;
/** As in the lab. */
const STROBE_EVERY_MS = 100;
const UNIT_MS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

export const AGENT_WORDS: FaultWords<
  | "kill-agent"
  | "stop-agent"
  | "pause-agent"
  | "restart-agent"
  | "reboot-host"
  | "clock-jump"
  | "clock-strobe"
  | "clock-drift"
  | "long-uptime"
  | "rolling-restart"
  | "join-storm"
  | "leave-storm"
  | "throttle-agent"
  | "read-only-run"
> = {
  "kill-agent": {
    async strike(ground, { node }) {
      await end(ground, ground.machine(node), "kill");
      return startIn(ground, ground.machine(node));
    },
  },
  "stop-agent": {
    async strike(ground, { node }) {
      await end(ground, ground.machine(node), "term");
      return startIn(ground, ground.machine(node));
    },
  },
  "pause-agent": {
    strike(ground, { node }) {
      const machine = ground.machine(node);
      const { agent } = machine;
      if (agent?.running !== true) throw new StepFailed(`no agent runs on ${machine.name}`);
      agent.pause();
      ground.context.touch(machine);
      return {
        heal: () => {
          agent.resume();
          ground.context.touch(machine);
        },
      };
    },
  },
  "restart-agent": {
    async strike(ground, { node, signal = "term" }) {
      const machine = ground.machine(node);
      await end(ground, machine, signal);
      ground.start(machine);
      return NO_CURE;
    },
  },
  "reboot-host": {
    strike(ground, { node, run }) {
      const machine = ground.machine(node);
      machine.reboot({ keepsRun: run === "kept" });
      ground.context.touch(machine);
      return { ...startIn(ground, machine), awaits: [machine] };
    },
  },
  /** Each when the one before it is ready. */
  "rolling-restart": {
    async strike(ground, { signal = "term" }) {
      for (const machine of ground.machines) {
        await end(ground, machine, signal);
        ground.start(machine);
        await ground.awaitReady(machine);
      }
      return NO_CURE;
    },
  },
  "join-storm": {
    async strike(ground, fault) {
      const machines = Array.from({ length: stormOf(fault) }, () => ground.addMachine());
      for (const machine of machines) ground.start(machine);
      for (const machine of machines) await ground.awaitReady(machine);
      return {
        heal: () => {
          for (const machine of machines)
            if (ground.machines.includes(machine)) ground.removeMachine(machine.number);
        },
      };
    },
  },
  /** Those with the highest numbers; healing puts new ones in their places. */
  "leave-storm": {
    strike(ground, fault) {
      const machines = ground.machines.toSorted((a, b) => b.number - a.number);
      const going = machines.slice(0, stormOf(fault));
      if (going.length === machines.length) throw new StepFailed("one node at least must stay");
      for (const machine of going) ground.removeMachine(machine.number);
      return {
        awaits: going,
        heal: () => {
          const gone = going.filter((machine) => !ground.machines.includes(machine));
          for (const { number } of gone) ground.start(ground.returnMachine(number));
        },
      };
    },
  },
  "long-uptime": "an agent counts from its own start here",
  "throttle-agent": "an agent takes no time to compute here",
  "read-only-run": "files can always be written here",
  "clock-jump": {
    whyNot: ({ by }) => (durationMs(by) === undefined ? `no time: ${by}` : undefined),
    strike(ground, { node, by, towards }) {
      const { clockErrors } = ground.machine(node);
      const jumpMs = (towards === "past" ? -1 : 1) * (durationMs(by) ?? 0);
      clockErrors.wallOffsetMs += jumpMs;
      return { heal: () => (clockErrors.wallOffsetMs -= jumpMs) };
    },
  },
  "clock-strobe": {
    whyNot: ({ by }) => (durationMs(by) === undefined ? `no time: ${by}` : undefined),
    strike(ground, { node, by }) {
      const { clockErrors } = ground.machine(node);
      const jumpMs = durationMs(by) ?? 0;
      let [isOver, offsetMs] = [false, 0];
      const jump = (toMs: number): void => {
        clockErrors.wallOffsetMs += toMs - offsetMs;
        offsetMs = toMs;
      };
      const turn = (): void => {
        if (isOver) return;
        jump(offsetMs === 0 ? jumpMs : 0);
        ground.world.time.after(STROBE_EVERY_MS, turn);
      };
      turn();
      return {
        heal: () => {
          isOver = true;
          jump(0);
        },
      };
    },
  },
  /** As in the lab, of the wall clock only. */
  "clock-drift": {
    strike(ground, { node, pace }) {
      const { clockErrors } = ground.machine(node);
      clockErrors.wallPace = { sinceMs: ground.world.time.nowMs, pace: pace / 100 };
      return { heal: () => (clockErrors.wallPace = undefined) };
    },
  },
};

/** @throws StepFailed when there is no agent to be ended, or it lives on */
async function end(ground: Ground, machine: Machine, signal: "term" | "kill"): Promise<void> {
  const { agent, name } = machine;
  if (agent?.running !== true) throw new StepFailed(`no agent runs on ${name}`);
  ground.context.touch(machine);
  if (signal === "kill") machine.crash();
  else machine.stop();
  if (!(await ground.until(() => !agent.running, END_MS)))
    throw new StepFailed(`the agent of ${name} lives on 2 s after SIGTERM`);
}

/** Healed by another start, unless somebody has started it meanwhile. */
function startIn(ground: Ground, machine: Machine): Cure {
  return {
    heal: () => {
      if (machine.agent?.running !== true) ground.start(machine);
    },
  };
}

/** `90s`, `1h` in milliseconds. */
export function durationMs(text: string): number | undefined {
  const [, number, unit = ""] = /^(\d{1,8})(ms|s|m|h)$/.exec(text) ?? [];
  const unitMs = UNIT_MS[unit];
  return unitMs === undefined ? undefined : Number(number) * unitMs;
}
