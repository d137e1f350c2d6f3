import type { InvariantCheck } from "../check.ts";
import type { ProbeGap } from "../sightings.ts";
import type { Allowance, World } from "../world.ts";

export const gapsAreAllowed: InvariantCheck = {
  id: "D5",
  claim: "no gap in the traffic was longer than the scenario allows",
  needs: ["probe"],
  open: () => {
    let looked = 0;
    return {
      looked: () => looked,
      see: (sighting, world) => {
        if (sighting.witness !== "probe" || sighting.kind === "blind") {
          return [];
        }
        looked += sighting.kind === "progress" ? sighting.sent : 0;
        if (sighting.kind !== "gap") {
          return [];
        }
        const { at, from, to, family, beginAt, endAt, lost } = sighting;
        const [lengthMs, allowedMs] = [endAt - beginAt, allowedFor(sighting, world)];
        return lengthMs <= allowedMs
          ? []
          : [
              {
                at,
                host: from,
                detail: `${from} → ${to} ${family}: ${lost} packets lost in ${Math.round(lengthMs)} ms, ${allowedMs} ms are allowed`,
              },
            ];
      },
    };
  },
};

/** A new peer is reachable within this time. Source: invariant D5. */
const NEW_PEER_MS = 1000;

/** The most that any allowance in force at some moment of the gap gives; nothing without one. */
function allowedFor(gap: ProbeGap, world: World): number {
  const { from, to, beginAt, endAt } = gap;
  const fitting = [...world.allowances.values()].filter(
    ({ pair, host, ...allowance }) =>
      allowance.beginAt <= endAt &&
      allowance.endAt >= beginAt &&
      (pair === undefined || (pair.from === from && pair.to === to)) &&
      (host === undefined || host === from || host === to),
  );
  return Math.max(
    gap.isFirst ? allowedForNewPeer(gap, world) : 0,
    ...fitting.map((allowance) => allowance.maxGapMs + delayOf(allowance, gap, world)),
  );
}

/** How long after the beginning of a gap the time of an allowance begins. */
function delayOf(allowance: Allowance, { beginAt, endAt }: ProbeGap, world: World): number {
  const { host, untilEnd, onceHeard } = allowance;
  const heardAt = onceHeard && host !== undefined ? world.deafUntil(host, beginAt, endAt) : beginAt;
  return Math.max(0, heardAt - beginAt, untilEnd ? allowance.endAt - beginAt : 0);
}

/** An agent that is away, or not ready yet, or that a fault keeps from hearing, learns of a new peer when it can. */
function allowedForNewPeer({ from, to, beginAt, endAt }: ProbeGap, world: World): number {
  const canAt = [from, to].flatMap((host) => [
    world.readyAt(host),
    world.deafUntil(host, beginAt, endAt),
  ]);
  return Math.max(beginAt, ...canAt) + NEW_PEER_MS - beginAt;
}

export const nothingMisdelivered: InvariantCheck = {
  id: "D6",
  claim: "every packet came to the owner of its subnet",
  needs: ["probe", "store"],
  open: () => {
    let looked = 0;
    return {
      looked: () => looked,
      see: (sighting, world) => {
        if (sighting.witness !== "probe" || sighting.kind === "blind") {
          return [];
        }
        looked += sighting.kind === "progress" ? sighting.received : 0;
        if (sighting.kind !== "misdelivered") {
          return [];
        }
        const { at, sentAt, address, from, receivedBy } = sighting;
        const owners = world.ownersBetween(address, sentAt, at);
        const ips = Object.values(world.hosts.get(receivedBy) ?? {});
        return owners.some((owner) => ips.includes(owner))
          ? []
          : [
              {
                at,
                host: receivedBy,
                detail: `a packet of ${from} for ${address} came to ${receivedBy}`,
              },
            ];
      },
    };
  },
};
