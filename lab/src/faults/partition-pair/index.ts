import { type AnyFault, defineFault } from "../fault.ts";
import {
  addFilter,
  demandAnswer,
  DIRECTION,
  directionOf,
  type FilterPlan,
  pingFrom,
  removeFilter,
  wholeHosts,
} from "../packet-filter.ts";
import { PEER } from "../peer-objects.ts";

interface Target {
  readonly plan: FilterPlan;
  readonly peer: string;
  /** Beside the peer: the rest goes on. */
  readonly router: string;
}

const LOOK = { count: 1, intervalSeconds: 0.05 };

export const partitionPair: AnyFault = defineFault<Target>({
  name: "partition-pair",
  summary:
    "Cuts two hosts off from each other, in one direction or both; each still reaches all others.",
  place: "host",
  parameters: { ...PEER, direction: DIRECTION },
  needs: "packet-filter",
  timeLimitMs: 5000,
  aim: async (site, { parameters }) => {
    const { name, plan: host } = site.host();
    const { plan: peer } = site.hostNamed(parameters["peer"] ?? "");
    const target: Target = {
      plan: {
        table: `lab_${site.id}`,
        port: name,
        direction: directionOf(parameters),
        from: wholeHosts([peer]),
        routers: [],
        verdict: "counter drop",
      },
      peer: peer.addresses[0]?.address ?? "",
      router: host.addresses[0]?.router ?? "",
    };
    await demandAnswer(site.host(), target.peer);
    return target;
  },
  inject: (_site, { plan }) => addFilter(plan),
  verify: async (site, { peer, router }) => {
    const [cut, rest] = await Promise.all([
      pingFrom(site.host(), peer, LOOK),
      pingFrom(site.host(), router, LOOK),
    ]);
    return cut.received === 0 && rest.received > 0
      ? {
          saw: `a ping from ${site.host().name} to ${peer} came to nothing, and ${router} answered one`,
        }
      : undefined;
  },
  heal: (_site, { plan }) => removeFilter(plan),
  verifyHealed: async (site, { peer }) => {
    const { received } = await pingFrom(site.host(), peer, LOOK);
    return received === 0 ? undefined : { saw: `${peer} answers a ping from ${site.host().name}` };
  },
});
