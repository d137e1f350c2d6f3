import { LabError } from "../../errors.ts";
import type { LabHost } from "../../hosts/host.ts";
import { waitReady } from "../../hosts/readiness.ts";
import { deadlineIn } from "../../system/clock.ts";
import {
  identifyProcess,
  isSameProcess,
  type ProcessIdentity,
} from "../../system/process-table.ts";
import { type AnyFault, defineFault } from "../fault.ts";

interface Target {
  readonly agents: readonly { readonly host: LabHost; readonly identity: ProcessIdentity }[];
  readonly signal: "SIGKILL" | "SIGTERM";
}

/** For each host. */
const END_MS = 4000;
const READY_MS = 20_000;

export const rollingRestart: AnyFault = defineFault<Target>({
  name: "rolling-restart",
  summary:
    "Restarts the agents of all hosts, each when the one before it is ready, as an upgrade does.",
  place: "lab",
  parameters: {
    signal: {
      help: "how they end: asked to with SIGTERM, or killed (default term)",
      byDefault: "term",
      value: { kind: "word", words: ["term", "kill"] },
    },
  },
  timeLimitMs: READY_MS,
  aim: async (site, { parameters }) => ({
    agents: site
      .otherHosts()
      .toSorted((a, b) => a.plan.index - b.plan.index)
      .map((host) => {
        const { pid } = host.agent;
        const identity = pid === undefined ? undefined : identifyProcess(pid);
        if (identity === undefined) {
          throw new LabError("wrong-state", `no agent runs on ${host.name}`);
        }
        return { host, identity };
      }),
    signal: parameters["signal"] === "kill" ? "SIGKILL" : "SIGTERM",
  }),
  inject: async ({ clock }, { agents, signal }) => {
    for (const { host } of agents) {
      if (!(await host.agent.end(signal, END_MS))) {
        throw new LabError(
          "timed-out",
          `the agent on ${host.name} lives on ${END_MS} ms after ${signal}`,
        );
      }
      await host.startAgent();
      const deadline = deadlineIn(clock, READY_MS);
      await waitReady([host], { clock, deadline, signal: new AbortController().signal }, true);
    }
  },
  verify: async (_site, { agents }) => {
    const now = agents.map(({ host }) => host.agent.pid);
    return now.includes(undefined) || agents.some(({ identity }) => isSameProcess(identity))
      ? undefined
      : {
          saw: `the process table has ${now.join(", ")}, and no ${agents.map(({ identity }) => identity.pid).join(", ")} any more`,
        };
  },
  heal: async (_site, { agents }) => {
    await Promise.all(
      agents
        .filter(({ host }) => host.agent.ended !== undefined)
        .map(({ host }) => host.startAgent()),
    );
  },
  verifyHealed: async (_site, { agents }) => {
    const pids = agents.map(({ host }) => host.agent.pid);
    return pids.every((pid) => pid !== undefined && identifyProcess(pid) !== undefined)
      ? { saw: `the process table has ${pids.join(", ")}` }
      : undefined;
  },
});
