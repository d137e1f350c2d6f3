import { LabError } from "../../errors.ts";
import type { LabHost } from "../../hosts/host.ts";
import { type AnyFault, defineFault, type FaultSite } from "../fault.ts";
import {
  addFilter,
  demandAnswer,
  type FilterPlan,
  pingFrom,
  removeFilter,
  wholeHosts,
} from "../packet-filter.ts";

/** One host of the ring, and whom it is to see and not to see. */
interface Member {
  readonly host: LabHost;
  readonly plan: FilterPlan;
  readonly next: string;
  readonly others: readonly string[];
}

/** With fewer each is the neighbour of each. */
const LEAST_HOSTS = 4;
const LOOK = { count: 1, intervalSeconds: 0.05 };

/** n1 – n2 – n3 – … – n1: what a majority is depends on who is asked. Each drops what it would send to the others. */
export const partitionRing: AnyFault = defineFault<readonly Member[]>({
  name: "partition-ring",
  summary: "Lets each host reach two neighbours of a ring and the store, and no other host.",
  place: "lab",
  parameters: {},
  needs: "packet-filter",
  timeLimitMs: 10_000,
  aim: async (site) => {
    const hosts = site.otherHosts().toSorted((a, b) => a.plan.index - b.plan.index);
    if (hosts.length < LEAST_HOSTS) {
      throw new LabError(
        "wrong-state",
        `a ring wants ${LEAST_HOSTS} hosts; there are ${hosts.length}`,
      );
    }
    const members = hosts.map((host, at): Member => {
      const neighbours = [hosts.at(at - 1), hosts[(at + 1) % hosts.length]];
      const others = hosts.filter((other) => other !== host && !neighbours.includes(other));
      return {
        host,
        plan: {
          table: `lab_${site.id}_${host.name}`,
          port: host.name,
          direction: "out",
          from: wholeHosts(others.map(({ plan }) => plan)),
          routers: [],
          verdict: "counter drop",
        },
        next: neighbours[1]?.plan.addresses[0]?.address ?? "",
        others: others.map(({ plan }) => plan.addresses[0]?.address ?? ""),
      };
    });
    for (const { host, others } of members) {
      await demandAnswer(host, others[0] ?? "");
    }
    return members;
  },
  inject: async (_site, members) => {
    for (const { plan } of members) {
      await addFilter(plan);
    }
  },
  verify: async (_site, members) => {
    const right = await Promise.all(
      members.map(async ({ host, next, others }) => {
        const [near, ...far] = await Promise.all(
          [next, ...others].map((address) => pingFrom(host, address, LOOK)),
        );
        return near?.received === 1 && far.every(({ received }) => received === 0);
      }),
    );
    return right.every(Boolean)
      ? {
          saw: `each of ${members.length} hosts had an answer from its neighbour and from no host beyond`,
        }
      : undefined;
  },
  // Of a host that was taken away meanwhile, too: its filter outlives its port.
  heal: async (_site, members) => {
    for (const { plan } of members) {
      await removeFilter(plan);
    }
  },
  verifyHealed: async (site, members) => {
    const left = membersLeft(site, members);
    const addresses = new Set(left.map(({ host }) => host.plan.addresses[0]?.address));
    const answers = await Promise.all(
      left.flatMap(({ host, others }) =>
        others
          .filter((address) => addresses.has(address))
          .map((address) => pingFrom(host, address, LOOK)),
      ),
    );
    if (!answers.every(({ received }) => received === 1)) {
      return undefined;
    }
    return {
      saw:
        answers.length === 0
          ? "no two hosts are left of those that were kept apart"
          : `each of ${left.length} hosts had an answer from all beyond its neighbours`,
    };
  },
});

/** A host that has the name of one that was taken away is another host, whom nothing was done to. */
function membersLeft(site: FaultSite, members: readonly Member[]): readonly Member[] {
  const there = new Set(site.otherHosts());
  return members.filter(({ host }) => there.has(host));
}
