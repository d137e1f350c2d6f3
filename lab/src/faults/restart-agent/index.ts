import { isSameProcess } from "../../system/process-table.ts";
import { aimAtAgent, type AgentTarget, ending } from "../agent-process.ts";
import { type AnyFault, defineFault } from "../fault.ts";

interface Target extends AgentTarget {
  readonly signal: "SIGKILL" | "SIGTERM";
}

/** An agent has two seconds for its end. Source: invariant E4, with as much again for a busy machine. */
const TIME_LIMIT_MS = 4000;
const { heal, verifyHealed } = ending("SIGKILL", TIME_LIMIT_MS);

export const restartAgent: AnyFault = defineFault<Target>({
  name: "restart-agent",
  summary: "Ends the agent of a host, and starts it again at once.",
  place: "host",
  parameters: {
    signal: {
      help: "how it ends: asked to with SIGTERM, or killed (default term)",
      byDefault: "term",
      value: { kind: "word", words: ["term", "kill"] },
    },
  },
  timeLimitMs: TIME_LIMIT_MS,
  aim: async (site, { parameters }) => ({
    ...(await aimAtAgent(site)),
    signal: parameters["signal"] === "kill" ? "SIGKILL" : "SIGTERM",
  }),
  inject: async (site, target) => {
    await ending(target.signal, TIME_LIMIT_MS).inject(site, target);
    await site.host().startAgent();
  },
  verify: async (site, { identity }) => {
    const host = site.host();
    const { pid } = host.agent;
    return isSameProcess(identity) || pid === undefined
      ? undefined
      : { saw: `the process table of ${host.name} has ${pid}, and no ${identity.pid} any more` };
  },
  heal,
  verifyHealed,
});
