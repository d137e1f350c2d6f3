import { type AgentTarget, aimAtAgent, isStopped } from "../agent-process.ts";
import { type AnyFault, defineFault, type FaultSite } from "../fault.ts";

interface Target extends AgentTarget {
  readonly percent: number;
  readonly stop: AbortController;
  /** What looks at the process table found so far. */
  readonly looks: { all: number; stopped: number };
  /** After the heal, one after the other. */
  readonly running: { looks: number };
  /** Until it goes on for good. */
  loop: Promise<void>;
}

/** Short against what an agent waits for, long against what a signal costs. */
const PERIOD_MS = 100;
/** Two periods and more, at one look each five milliseconds. */
const LOOKS = 50;

export const throttleAgent: AnyFault = defineFault<Target>({
  name: "throttle-agent",
  summary:
    "Lets the agent of a host run for a share of the time only, as on a machine that is overloaded.",
  place: "host",
  parameters: {
    percent: {
      help: "of the time in which it may run (default 10)",
      byDefault: "10",
      value: { kind: "number", min: 1, max: 90 },
    },
  },
  timeLimitMs: 5000,
  aim: async (site, { parameters }) => ({
    ...(await aimAtAgent(site)),
    percent: Number(parameters["percent"]),
    stop: new AbortController(),
    looks: { all: 0, stopped: 0 },
    running: { looks: 0 },
    loop: Promise.resolve(),
  }),
  inject: async (site, target) => {
    target.loop = strobe(site, target);
  },
  verify: async (_site, { identity, looks }) => {
    looks.all += 1;
    looks.stopped += isStopped(identity.pid) ? 1 : 0;
    return looks.all < LOOKS || looks.stopped === 0 || looks.stopped === looks.all
      ? undefined
      : {
          saw: `${looks.stopped} of ${looks.all} looks at the process table found ${identity.pid} stopped`,
        };
  },
  heal: async (_site, { stop, loop }) => {
    stop.abort();
    await loop;
  },
  verifyHealed: async (_site, { identity, running }) => {
    running.looks = isStopped(identity.pid) ? 0 : running.looks + 1;
    return running.looks < LOOKS
      ? undefined
      : { saw: `${LOOKS} looks at the process table found no ${identity.pid} stopped` };
  },
});

async function strobe(site: FaultSite, { identity, percent, stop }: Target): Promise<void> {
  const { agent } = site.host();
  const runMs = (PERIOD_MS * percent) / 100;
  // An agent that was started anew is another one: it is not throttled.
  const isThere = (): boolean => agent.pid === identity.pid;
  while (!stop.signal.aborted && isThere()) {
    agent.signal("SIGSTOP");
    await site.clock.sleep(PERIOD_MS - runMs, stop.signal);
    if (isThere()) {
      agent.signal("SIGCONT");
    }
    await site.clock.sleep(runMs, stop.signal);
  }
}
