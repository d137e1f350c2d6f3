import { LabError } from "../../errors.ts";
import { deadlineIn } from "../../system/clock.ts";
import {
  identifyProcess,
  isSameProcess,
  type ProcessIdentity,
} from "../../system/process-table.ts";
import { type AnyFault, defineFault } from "../fault.ts";

interface Target {
  readonly identities: readonly ProcessIdentity[];
}

const TIME_LIMIT_MS = 10_000;

export const stopStore: AnyFault = defineFault<Target>({
  name: "stop-store",
  summary: "Stops etcd until it is healed by a start with the same data.",
  place: "store",
  parameters: {},
  timeLimitMs: TIME_LIMIT_MS,
  aim: async ({ store }) => {
    const identities = store.members.flatMap(({ pid }) =>
      pid === undefined ? [] : (identifyProcess(pid) ?? []),
    );
    if (identities.length === 0) {
      throw new LabError("wrong-state", "no etcd runs");
    }
    return { identities };
  },
  inject: ({ store }) => store.stop(),
  verify: async ({ store }, { identities }) =>
    identities.some(isSameProcess) || (await store.gateway.isHealthy())
      ? undefined
      : {
          saw: `the process table has no ${identities.map(({ pid }) => pid).join(", ")}, and etcd does not answer`,
        },
  heal: ({ store, clock }) =>
    store.start(clock, deadlineIn(clock, TIME_LIMIT_MS), new AbortController().signal),
  verifyHealed: async ({ store }) =>
    (await store.isWhole()) ? { saw: "etcd says that it is healthy" } : undefined,
});
