import { runChecked, SERVICE_ENVIRONMENT, startLogged } from "../../system/processes.ts";
import { openAnchor } from "../anchor.ts";
import type { HostDriverDefinition } from "../host-driver.ts";
import { ANCHOR_SCRIPT, endpointBatch, STATE_MOUNT_POINT_SCRIPT } from "../link-scripts.ts";

const MADE_OF = "namespaces";

/** Hosts that are network, mount and UTS namespaces over the machine's own files. */
export const netns: HostDriverDefinition = {
  requirements: [],
  refusal: () => undefined,
  // What namespaces need is what every lab does.
  examine: async () => MADE_OF,
  create: () => ({
    open: async () => {
      await runChecked(["sh", "-c", STATE_MOUNT_POINT_SCRIPT]);
      return MADE_OF;
    },
    makePlace: async (plan, { run, state, agentLog }) => {
      const anchor = await openAnchor(ANCHOR_SCRIPT, [plan.name, run, endpointBatch(plan), state]);
      return {
        ...anchor,
        start: (argv, environment) =>
          startLogged(anchor.enter(argv), {
            logFile: agentLog,
            environment: { ...SERVICE_ENVIRONMENT, ...environment },
          }),
      };
    },
  }),
  // Namespaces end with the last process in them.
  sweep: async () => undefined,
};
