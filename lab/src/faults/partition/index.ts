import { type AnyFault, defineFault } from "../fault.ts";
import {
  addFilter,
  beyond,
  demandAnswer,
  DIRECTION,
  directionOf,
  type FilterPlan,
  pingFrom,
  removeFilter,
  type Side,
  SIDES,
} from "../packet-filter.ts";

interface Target {
  readonly plan: FilterPlan;
  readonly beyond: string;
}

const LOOK = { count: 1, intervalSeconds: 0.05 };

export const partition: AnyFault = defineFault<Target>({
  name: "partition",
  summary:
    "Cuts a host off: from all, from the store, or from the other hosts; in one direction or both.",
  place: "host",
  parameters: {
    from: {
      help: "what it is cut off from (default all)",
      byDefault: "all",
      value: { kind: "word", words: SIDES },
    },
    direction: DIRECTION,
  },
  needs: "packet-filter",
  timeLimitMs: 5000,
  aim: async (site, { parameters }) => {
    const target = {
      plan: {
        table: `lab_${site.id}`,
        port: site.host().name,
        direction: directionOf(parameters),
        from: sideOf(parameters["from"]),
        routers: site.host().plan.addresses.map(({ router }) => router),
        verdict: "counter drop",
      },
      beyond: beyond(site, sideOf(parameters["from"])),
    };
    await demandAnswer(site.host(), target.beyond);
    return target;
  },
  inject: (_site, { plan }) => addFilter(plan),
  verify: async (site, target) => {
    const { received } = await pingFrom(site.host(), target.beyond, LOOK);
    return received === 0
      ? { saw: `a ping from ${site.host().name} to ${target.beyond} came to nothing` }
      : undefined;
  },
  heal: (_site, { plan }) => removeFilter(plan),
  verifyHealed: async (site, target) => {
    const { received } = await pingFrom(site.host(), target.beyond, LOOK);
    return received === 0
      ? undefined
      : { saw: `${target.beyond} answers a ping from ${site.host().name}` };
  },
});

function sideOf(word: string | undefined): Side {
  return SIDES.find((side) => side === word) ?? "all";
}
