import { LabError } from "../../errors.ts";
import { isStopped } from "../agent-process.ts";
import { type AnyFault, defineFault } from "../fault.ts";

interface Target {
  readonly pid: number;
}

export const pauseStore: AnyFault = defineFault<Target>({
  name: "pause-store",
  summary: "Pauses etcd with SIGSTOP until it is healed: connections stay, answers do not come.",
  place: "store",
  parameters: {},
  timeLimitMs: 10_000,
  aim: async ({ store }) => {
    if (store.pid === undefined) {
      throw new LabError("wrong-state", "no etcd runs");
    }
    return { pid: store.pid };
  },
  inject: async ({ store }) => {
    store.signal("SIGSTOP");
  },
  verify: async (_site, { pid }) =>
    isStopped(pid) ? { saw: `the process table has ${pid} stopped` } : undefined,
  heal: async ({ store }) => {
    store.signal("SIGCONT");
  },
  verifyHealed: async ({ store }, { pid }) =>
    !isStopped(pid) && (await store.gateway.isHealthy())
      ? { saw: "etcd says that it is healthy" }
      : undefined,
});
