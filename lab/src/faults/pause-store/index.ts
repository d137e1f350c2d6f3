import { LabError } from "../../errors.ts";
import { isStopped } from "../agent-process.ts";
import { type AnyFault, defineFault } from "../fault.ts";

interface Target {
  readonly pids: readonly number[];
}

export const pauseStore: AnyFault = defineFault<Target>({
  name: "pause-store",
  summary: "Pauses etcd with SIGSTOP until it is healed: connections stay, answers do not come.",
  place: "store",
  parameters: {},
  timeLimitMs: 10_000,
  aim: async ({ store }) => {
    const pids = store.members.flatMap(({ pid }) => pid ?? []);
    if (pids.length === 0) {
      throw new LabError("wrong-state", "no etcd runs");
    }
    return { pids };
  },
  inject: async ({ store }) => {
    store.members.forEach((member) => {
      member.pause();
    });
  },
  verify: async (_site, { pids }) =>
    pids.every(isStopped) ? { saw: `the process table has ${pids.join(", ")} stopped` } : undefined,
  heal: async ({ store }) => {
    store.members.forEach((member) => {
      member.continue();
    });
  },
  verifyHealed: async ({ store }, { pids }) =>
    !pids.some(isStopped) && (await store.isHealthy())
      ? { saw: "etcd says that it is healthy" }
      : undefined,
});
