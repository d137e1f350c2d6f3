import { LabError } from "../../errors.ts";
import { deadlineIn } from "../../system/clock.ts";
import {
  identifyProcess,
  isSameProcess,
  type ProcessIdentity,
} from "../../system/process-table.ts";
import { type AnyFault, defineFault } from "../fault.ts";

interface Target {
  readonly identity: ProcessIdentity;
}

const TIME_LIMIT_MS = 10_000;

export const stopStore: AnyFault = defineFault<Target>({
  name: "stop-store",
  summary: "Stops etcd until it is healed by a start with the same data.",
  place: "store",
  parameters: {},
  timeLimitMs: TIME_LIMIT_MS,
  aim: async ({ store }) => {
    const identity = store.pid === undefined ? undefined : identifyProcess(store.pid);
    if (identity === undefined) {
      throw new LabError("wrong-state", "no etcd runs");
    }
    return { identity };
  },
  inject: ({ store }) => store.stop(),
  verify: async ({ store }, { identity }) =>
    isSameProcess(identity) || (await store.gateway.isHealthy())
      ? undefined
      : { saw: `the process table has no ${identity.pid}, and etcd does not answer` },
  heal: async ({ store, clock }) => {
    if (store.pid === undefined) {
      await store.start(clock, deadlineIn(clock, TIME_LIMIT_MS), new AbortController().signal);
    }
  },
  verifyHealed: async ({ store }) =>
    (await store.gateway.isHealthy()) ? { saw: "etcd says that it is healthy" } : undefined,
});
