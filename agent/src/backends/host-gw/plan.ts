/** Leases → routes, for host-gw: pure values. Source: spec 05 section 3. */
import type { NetworkConfig } from "../../core/network-config.ts";
import { ROUTE_PROTOCOL_TWILL } from "../../kernel/kernel.ts";
import type { Route } from "../../kernel/kernel.ts";
import { enabledFamilies, selectPeers } from "../backend.ts";
import type { Plan, PlanInput, Rejection } from "../backend.ts";

export const TYPE = "host-gw";

export function planHostGw(
  setup: { readonly config: NetworkConfig; readonly link: string },
  { own, peers }: PlanInput,
): Plan {
  const { config, link } = setup;
  const families = enabledFamilies(config);
  const objects: Route[] = [];
  const rejected: Rejection[] = [];
  for (const family of families) {
    if (own === undefined) break;
    const selection = selectPeers(peers, { type: TYPE, family, config, own });
    rejected.push(...selection.rejected);
    for (const { subnet, publicIp } of selection.selected)
      objects.push({
        kind: "route",
        destination: subnet,
        gateway: publicIp,
        link,
        onlink: false,
        protocol: ROUTE_PROTOCOL_TWILL,
      });
  }
  return {
    scope: {
      links: [],
      networks: families.flatMap((family) => config.ranges[family]?.network ?? []),
      sysctls: [],
    },
    objects,
    rejected,
    additive: own === undefined,
  };
}
