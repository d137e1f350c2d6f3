import { isSameProcess } from "../../system/process-table.ts";
import { type AgentTarget, aimAtAgent, isStopped } from "../agent-process.ts";
import { type AnyFault, defineFault } from "../fault.ts";

export const pauseAgent: AnyFault = defineFault<AgentTarget>({
  name: "pause-agent",
  summary: "Pauses the agent of a host with SIGSTOP until it is healed with SIGCONT.",
  place: "host",
  parameters: {},
  timeLimitMs: 2000,
  aim: aimAtAgent,
  inject: async (site) => {
    site.host().agent.signal("SIGSTOP");
  },
  verify: async (_site, { identity }) =>
    isSameProcess(identity) && isStopped(identity.pid)
      ? { saw: `the process table has ${identity.pid} stopped` }
      : undefined,
  heal: async (site, { identity }) => {
    if (isSameProcess(identity)) {
      site.host().agent.signal("SIGCONT");
    }
  },
  verifyHealed: async (_site, { identity }) =>
    isSameProcess(identity) && isStopped(identity.pid)
      ? undefined
      : { saw: `the process table has ${identity.pid} not stopped` },
});
