import { type Cidr, formatCidr, parseCidr } from "../../addresses.ts";
import type { InvariantCheck, OpenCheck, Violation } from "../check.ts";
import type { StoreRevision } from "../sightings.ts";
import { outsideRange, subnetRanges } from "../subnet-ranges.ts";
import { contains, type LiveLease, subnetsOf, type World } from "../world.ts";

/** Checks at every revision of the store. */

interface Put {
  readonly revision: StoreRevision;
  readonly lease: LiveLease;
  readonly value: string;
  /** 1 for a key that was not there. */
  readonly version: number;
}

/** `judge` answers undefined when there is nothing to hold the put against. */
function onEachPut(judge: (put: Put, world: World) => readonly string[] | undefined): OpenCheck {
  let looked = 0;
  return {
    looked: () => looked,
    see: (sighting, world) => {
      if (sighting.witness !== "store" || sighting.kind !== "revision") {
        return [];
      }
      return sighting.changes.flatMap((change): readonly Violation[] => {
        const lease = change.kind === "put" ? world.leases.get(change.entry.key) : undefined;
        // What the lab itself wrote, to see what agents make of it, is nobody's mistake.
        if (change.kind === "delete" || lease === undefined || world.isLabsOwn(change)) {
          return [];
        }
        const { version, entry } = change;
        const put = { revision: sighting, lease, version, value: entry.value };
        const host = world.hostOf(lease.owner);
        const details = judge(put, world);
        looked += details === undefined ? 0 : 1;
        return (details ?? []).map((detail) => ({
          at: sighting.at,
          detail: `revision ${sighting.revision}: ${detail}`,
          ...(host === undefined ? {} : { host }),
        }));
      });
    },
  };
}

const nameOf = (lease: LiveLease): string => lease.key.slice(lease.key.lastIndexOf("/") + 1);

function overlap(a: Cidr, b: Cidr): boolean {
  return contains(a, b.address) || contains(b, a.address);
}

export const noOverlap: InvariantCheck = {
  id: "A1",
  claim: "live subnets do not overlap, in either family",
  needs: ["store"],
  open: () =>
    onEachPut(({ lease }, world) =>
      [...world.leases.values()]
        .filter((other) => other.key !== lease.key)
        .flatMap((other) =>
          subnetsOf(lease).flatMap((subnet) =>
            subnetsOf(other)
              .filter((taken) => overlap(subnet, taken))
              .map(
                (taken) =>
                  `${formatCidr(subnet)} of ${lease.owner} overlaps ${formatCidr(taken)} of ${other.owner}`,
              ),
          ),
        ),
    ),
};

export const insideNetwork: InvariantCheck = {
  id: "A2",
  claim: "every subnet that an agent created lies in the configured range",
  needs: ["store"],
  open: () =>
    onEachPut(({ lease, version }, world) => {
      if (version !== 1 || lease.leaseId === undefined || world.configs.length === 0) {
        return undefined;
      }
      // Which config the agent had read is not seen: any that was in force counts.
      const complaints = world.configs.map(({ text }) => {
        const ranges = subnetRanges(text);
        return subnetsOfKey(lease.key)
          .map((subnet) => outsideRange(subnet, ranges?.[subnet.address.family]))
          .find((complaint) => complaint !== undefined);
      });
      const latest = complaints.at(-1);
      return complaints.includes(undefined) || latest === undefined
        ? []
        : [`${nameOf(lease)}: ${latest}`];
    }),
};

/** As the key writes them, host bits included. */
function subnetsOfKey(key: string): readonly Cidr[] {
  return key
    .slice(key.lastIndexOf("/") + 1)
    .split("&")
    .flatMap((text) => parseCidr(text.replace("-", "/")) ?? []);
}

export const oneSubnetANode: InvariantCheck = {
  id: "A3",
  claim: "no node owns two subnets",
  needs: ["store"],
  open: () =>
    onEachPut(({ lease }, world) =>
      [...world.leases.values()]
        .filter(
          (other) =>
            other.key !== lease.key &&
            [other.publicIps.ipv4, other.publicIps.ipv6].some(
              (ip) => ip !== undefined && Object.values(lease.publicIps).includes(ip),
            ),
        )
        .map((other) => `${lease.owner} owns ${nameOf(lease)} and ${nameOf(other)}`),
    ),
};

/** What each key was at its last put, for checks that compare with it. */
function rememberingLast(
  judge: (before: LiveLease, put: Put, world: World) => readonly string[],
): () => OpenCheck {
  return () => {
    const last = new Map<string, LiveLease>();
    const inner = onEachPut((put, world) => {
      const before = last.get(put.lease.key);
      return before === undefined || before.createRevision !== put.lease.createRevision
        ? []
        : judge(before, put, world);
    });
    return {
      looked: () => inner.looked(),
      see: (sighting, world) => {
        const violations = inner.see(sighting, world);
        if (sighting.witness === "store" && sighting.kind === "revision") {
          for (const change of sighting.changes) {
            const lease = change.kind === "put" ? world.leases.get(change.entry.key) : undefined;
            if (lease !== undefined) {
              last.set(lease.key, lease);
            }
          }
        }
        return violations;
      },
    };
  };
}

/** A node that was renumbered owns what it owned. */
function isSameNode(before: LiveLease, now: LiveLease, world: World): boolean {
  return before.owner === now.owner || world.isSameHost(before.owner, now.owner);
}

export const ownerNeverChanges: InvariantCheck = {
  id: "A4",
  claim: "a key's owner never changes without a deletion between",
  needs: ["store"],
  open: rememberingLast((before, { lease }, world) =>
    isSameNode(before, lease, world)
      ? []
      : [
          `${nameOf(lease)}: owner changed from ${before.owner} to ${lease.owner} without a deletion`,
        ],
  ),
};

export const nobodyWritesAnothersKey: InvariantCheck = {
  id: "B3'",
  claim: "no node writes a key that another owns",
  needs: ["store"],
  open: rememberingLast((before, { lease }, world) =>
    isSameNode(before, lease, world)
      ? []
      : [`${lease.owner} wrote ${nameOf(lease)} of ${before.owner}`],
  ),
};

export const reservationsStay: InvariantCheck = {
  id: "A9",
  claim: "a key without an etcd lease never gets one",
  needs: ["store"],
  open: rememberingLast((before, { lease }) =>
    before.leaseId === undefined && lease.leaseId !== undefined
      ? [`${nameOf(lease)} was a reservation and has etcd lease ${lease.leaseId} now`]
      : [],
  ),
};
