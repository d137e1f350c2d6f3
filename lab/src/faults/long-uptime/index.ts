import { LabError } from "../../errors.ts";
import { readText } from "../../system/files.ts";
import { run } from "../../system/processes.ts";
import { type AgentTarget, aimAtAgent, startAnew } from "../agent-process.ts";
import { parseDuration } from "../durations.ts";
import { type AnyFault, defineFault } from "../fault.ts";

interface Target extends AgentTarget {
  readonly upSeconds: number;
}

const TIME_LIMIT_MS = 20_000;
/** Two readings of one clock are no further apart. */
const TOLERANCE_SECONDS = 60;
const SECONDS_PER_DAY = 86_400;
/** A minute, and eleven years. */
const LEAST_MS = 60_000;
const MOST_MS = 100_000 * 3_600_000;

/**
 * The agent lives in a time namespace of its own, whose monotonic clock began at another time: so does any program in it, also one that
 * asks the kernel itself. Source: time_namespaces(7), unshare(1).
 */
export const longUptime: AnyFault = defineFault<Target>({
  name: "long-uptime",
  summary:
    "Starts the agent of a host anew as on a machine that has been up for long; healing starts it with the machine's monotonic clock.",
  place: "host",
  needs: "time-namespace",
  parameters: {
    up: {
      help: "for how long when the agent starts, such as 2147478s, five seconds short of 2^31 ms",
      value: { kind: "time", minMs: LEAST_MS, maxMs: MOST_MS },
    },
  },
  timeLimitMs: TIME_LIMIT_MS,
  aim: async (site, { parameters: { up = "" } }) => ({
    ...(await aimAtAgent(site)),
    upSeconds: Math.round(parseDuration("--up", up) / 1000),
  }),
  inject: (site, { upSeconds }) => {
    const ahead = String(upSeconds - Math.round(secondsOf(readText("/proc/uptime") ?? "")));
    const behind = ["unshare", "--time", "--monotonic", ahead, "--boottime", ahead, "--"];
    return startAnew(site, { behind }, TIME_LIMIT_MS);
  },
  verify: async (site, { upSeconds }) => {
    const { pid } = site.host().agent;
    const seen = await uptimeIn(pid);
    return seen === undefined || Math.abs(seen - upSeconds) > TOLERANCE_SECONDS
      ? undefined
      : { saw: `beside process ${pid} the machine has been up for ${daysOf(seen)} days` };
  },
  heal: async (site) => {
    const seen = await uptimeIn(site.host().agent.pid);
    if (seen === undefined || !isOwn(seen)) {
      await startAnew(site, {}, TIME_LIMIT_MS);
    }
  },
  verifyHealed: async (site) => {
    const { pid } = site.host().agent;
    const seen = await uptimeIn(pid);
    return seen === undefined || !isOwn(seen)
      ? undefined
      : { saw: `beside process ${pid} the machine has been up for ${daysOf(seen)} days` };
  },
});

/** As another process in its time namespace reads it; undefined where there is no such process. */
async function uptimeIn(pid: number | undefined): Promise<number | undefined> {
  if (pid === undefined) {
    return undefined;
  }
  const argv = ["nsenter", "--target", String(pid), "--time", "--", "cat", "/proc/uptime"];
  const { exitCode, stdout } = await run(argv, { timeoutMs: TIME_LIMIT_MS });
  return exitCode === 0 ? secondsOf(stdout) : undefined;
}

/** Whether it is the uptime of the machine itself. */
function isOwn(upSeconds: number): boolean {
  return Math.abs(upSeconds - secondsOf(readText("/proc/uptime") ?? "")) < TOLERANCE_SECONDS;
}

/** Source: proc_uptime(5). */
function secondsOf(text: string): number {
  const seconds = Number.parseFloat(text);
  if (Number.isNaN(seconds)) {
    throw new LabError("lab-broke", "cannot read /proc/uptime");
  }
  return seconds;
}

function daysOf(seconds: number): string {
  return (seconds / SECONDS_PER_DAY).toFixed(2);
}
