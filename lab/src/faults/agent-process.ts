import { LabError } from "../errors.ts";
import type { AgentStart } from "../hosts/agent.ts";
import { evidenceOf } from "../hosts/readiness.ts";
import { deadlineIn, poll } from "../system/clock.ts";
import {
  identifyProcess,
  isSameProcess,
  type ProcessIdentity,
  processState,
} from "../system/process-table.ts";
import type { FaultDefinition, FaultSite } from "./fault.ts";

export interface AgentTarget {
  readonly identity: ProcessIdentity;
}

type AgentFault = FaultDefinition<AgentTarget>;

const READY_POLL_MS = 20;
/** Stopped by a signal. Source: proc_pid_stat(5) field 3. */
const STOPPED = "T";

/** The agent's process as it runs now. @throws LabError "wrong-state" */
export async function aimAtAgent(site: FaultSite): Promise<AgentTarget> {
  const host = site.host();
  const identity = host.agent.pid === undefined ? undefined : identifyProcess(host.agent.pid);
  if (identity === undefined) {
    throw new LabError("wrong-state", `no agent runs on ${host.name}`);
  }
  return { identity };
}

/** Ends the agent with a signal; healed by another start. */
export function ending(
  signal: "SIGKILL" | "SIGTERM",
  timeLimitMs: number,
): Pick<AgentFault, "timeLimitMs" | "aim" | "inject" | "verify" | "heal" | "verifyHealed"> {
  return {
    timeLimitMs,
    aim: aimAtAgent,
    inject: async (site) => {
      const host = site.host();
      if (!(await host.agent.end(signal, timeLimitMs))) {
        throw new LabError(
          "timed-out",
          `the agent on ${host.name} lives on ${timeLimitMs} ms after ${signal}`,
        );
      }
    },
    verify: async (site, { identity }) =>
      isSameProcess(identity)
        ? undefined
        : { saw: `the process table of ${site.host().name} has no ${identity.pid} any more` },
    heal: async (site) => {
      if (site.host().agent.ended !== undefined) {
        await site.host().startAgent();
      }
    },
    verifyHealed: async (site) => {
      const { pid } = site.host().agent;
      return pid === undefined || identifyProcess(pid) === undefined
        ? undefined
        : { saw: `process ${pid} is the agent of ${site.host().name}` };
    },
  };
}

/**
 * Ends the agent, where one runs, and starts it in another way, until it is ready.
 * @throws LabError "timed-out", "agent-ended"
 */
export async function startAnew(
  site: FaultSite,
  start: AgentStart,
  timeLimitMs: number,
): Promise<void> {
  const { clock } = site;
  const host = site.host();
  if (host.agent.pid !== undefined && !(await host.agent.end("SIGTERM", timeLimitMs))) {
    throw new LabError("timed-out", `the agent on ${host.name} lives on after SIGTERM`);
  }
  await host.startAgent(start);
  const deadline = deadlineIn(clock, timeLimitMs);
  const outcome = await poll(clock, { everyMs: READY_POLL_MS, deadline }, async () =>
    host.state === "starting" ? undefined : host.state,
  );
  if (outcome === "ready") {
    return;
  }
  const [code, became] =
    outcome === undefined
      ? (["timed-out", "is not ready again"] as const)
      : (["agent-ended", "ended before it was ready"] as const);
  throw new LabError(code, `the agent on ${host.name} ${became}`, { evidence: evidenceOf(host) });
}

export function isStopped(pid: number): boolean {
  return processState(pid) === STOPPED;
}
