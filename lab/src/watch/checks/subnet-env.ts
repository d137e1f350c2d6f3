import { parseSubnetFile, subnetsOf } from "../../subnet-file.ts";
import type { InvariantCheck } from "../check.ts";
import type { FileSighting, Sighting, StoreRead } from "../sightings.ts";

const isFile = (sighting: Sighting): sighting is FileSighting =>
  sighting.witness === "file" && sighting.kind === "changed";

export const fileIsWhole: InvariantCheck = {
  id: "E1",
  claim: "subnet.env was complete whenever it was read",
  needs: ["file"],
  open: () => {
    let looked = 0;
    return {
      looked: () => looked,
      see: (sighting) => {
        if (!isFile(sighting) || sighting.text === undefined) {
          return [];
        }
        looked += 1;
        const { at, host, text } = sighting;
        const whole = text.endsWith("\n") && parseSubnetFile(text) !== undefined;
        return whole
          ? []
          : [{ at, host, detail: `subnet.env is not complete: ${JSON.stringify(text)}` }];
      },
    };
  },
};

/** A file that names no lease that was seen. */
interface Claim {
  readonly at: number;
  readonly host: string;
  readonly subnets: string;
}

export const fileNamesLease: InvariantCheck = {
  id: "E2",
  claim: "subnet.env names the leased subnet, and is written after the lease",
  needs: ["file", "store"],
  open: () => {
    let looked = 0;
    let waiting: readonly Claim[] = [];
    /** How far the watch of the store is, and how far the store was when it was asked last. */
    let seen = 0;
    let read: StoreRead | undefined;
    return {
      looked: () => looked,
      isSettled: () => waiting.length === 0,
      see: (sighting, world) => {
        if (isFile(sighting)) {
          const { at, host, text } = sighting;
          const file = parseSubnetFile(text ?? "");
          // A newer file takes the place of the one that waits.
          waiting = waiting.filter((one) => one.host !== host);
          if (file !== undefined) {
            waiting = [...waiting, { at, host, subnets: subnetsOf(file).join(" ") }];
          }
        } else if (sighting.kind === "revision") {
          seen = sighting.revision;
        } else if (sighting.kind === "read") {
          read = sighting;
        }
        const isLeased = ({ host, subnets }: Claim): boolean =>
          world.leasesOf(host).some((lease) => Object.values(lease.subnets).join(" ") === subnets);
        // The watch may lag behind the file by seconds: it has to be where the store was after the file was seen.
        const isJudged = ({ at }: Claim): boolean =>
          read !== undefined && read.askedAt >= at && seen >= read.newest;
        const open = waiting.filter((one) => world.hosts.has(one.host) && !isLeased(one));
        const wrong = open.filter(isJudged);
        const before = waiting.length;
        waiting = open.filter((one) => !isJudged(one));
        looked += before - waiting.length;
        return wrong.map(({ at, host, subnets }) => ({
          at,
          host,
          detail: `subnet.env names ${subnets}, which is not leased to the node`,
        }));
      },
    };
  },
};
