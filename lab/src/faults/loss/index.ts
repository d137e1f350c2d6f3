import { type AnyFault, defineFault } from "../fault.ts";
import {
  addFilter,
  ANSWER_SECONDS,
  demandAnswer,
  DIRECTION,
  directionOf,
  type FilterPlan,
  pingFrom,
  removeFilter,
} from "../packet-filter.ts";

interface Target {
  readonly plan: FilterPlan;
  readonly beyond: string;
  /** So many that one is lost for sure, as far as there is any: not to lose one has a chance of e^-20. */
  readonly pings: number;
}

const INTERVAL_SECONDS = 0.002;
const HEALED_PINGS = 20;

export const loss: AnyFault = defineFault<Target>({
  name: "loss",
  summary: "Loses a share of a host's frames, chosen at random.",
  place: "host",
  parameters: {
    percent: { help: "how many of a hundred", value: { kind: "number", min: 1, max: 99 } },
    direction: DIRECTION,
  },
  needs: "packet-filter",
  timeLimitMs: 15_000,
  aim: async (site, { parameters }) => {
    const percent = Number(parameters["percent"]);
    const target: Target = {
      plan: {
        table: `lab_${site.id}`,
        port: site.host().name,
        direction: directionOf(parameters),
        from: "all",
        routers: [],
        verdict: `numgen random mod 100 < ${percent} counter drop`,
      },
      // Not another host: what that one loses is not to be taken for this one's loss.
      beyond: site.host().plan.addresses[0]?.router ?? "",
      pings: Math.ceil(2000 / percent),
    };
    await demandAnswer(site.host(), target.beyond);
    return target;
  },
  inject: (_site, { plan }) => addFilter(plan),
  verify: async (site, target) => {
    const effort = {
      count: target.pings,
      intervalSeconds: INTERVAL_SECONDS,
      waitSeconds: ANSWER_SECONDS,
    };
    const { sent, received } = await pingFrom(site.host(), target.beyond, effort);
    return received < sent
      ? { saw: `${sent - received} of ${sent} pings from ${site.host().name} were lost` }
      : undefined;
  },
  heal: (_site, { plan }) => removeFilter(plan),
  verifyHealed: async (site, target) => {
    const effort = {
      count: HEALED_PINGS,
      intervalSeconds: INTERVAL_SECONDS,
      waitSeconds: ANSWER_SECONDS,
    };
    const { sent, received } = await pingFrom(site.host(), target.beyond, effort);
    return received === sent ? { saw: `none of ${sent} pings was lost` } : undefined;
  },
});
