/** One lease → its route, for host-gw: pure values. Source: spec 05 section 3. */
import type { NetworkConfig } from "../../core/network-config.ts";
import { ROUTE_PROTOCOL_TWILL } from "../../kernel/kernel.ts";
import { enabledFamilies } from "../backend.ts";
import type { Planner } from "../backend.ts";

export const TYPE = "host-gw";

export function hostGwPlanner({
  config,
  link,
}: {
  readonly config: NetworkConfig;
  readonly link: string;
}): Planner {
  const families = enabledFamilies(config);
  return {
    type: TYPE,
    config,
    scope: {
      links: [],
      networks: families.flatMap((family) => config.ranges[family]?.network ?? []),
      sysctls: [],
    },
    families: () => families,
    planNode: () => [],
    planPeer: ({ subnet, publicIp }) => ({
      objects: [
        {
          kind: "route",
          destination: subnet,
          gateway: publicIp,
          link,
          onlink: false,
          protocol: ROUTE_PROTOCOL_TWILL,
        },
      ],
    }),
  };
}
