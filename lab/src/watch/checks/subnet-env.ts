import { parseSubnetFile, subnetsOf } from "../../subnet-file.ts";
import { Deferred, type InvariantCheck, type Violation } from "../check.ts";
import type { FileSighting, Sighting } from "../sightings.ts";

/** How long the store's watch may lag behind the file's. */
const WATCH_LAG_MS = 500;

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

export const fileNamesLease: InvariantCheck = {
  id: "E2",
  claim: "subnet.env names the leased subnet, and is written after the lease",
  needs: ["file", "store"],
  open: () => {
    let looked = 0;
    const waiting = new Deferred<Violation & { readonly host: string; readonly claim: string }>();
    return {
      looked: () => looked,
      isSettled: () => waiting.isEmpty,
      see: (sighting, world) => {
        const due = waiting
          .takeDue(sighting.at)
          .filter(({ host }) => world.hosts.has(host))
          .map(({ at, host, detail }) => ({ at, host, detail }));
        if (isFile(sighting)) {
          const { at, host, text } = sighting;
          const file = parseSubnetFile(text ?? "");
          // A newer file takes the place of the one that waits.
          waiting.cancel((one) => one.host === host);
          if (file !== undefined) {
            looked += 1;
            const claim = subnetsOf(file).join(" ");
            const detail = `subnet.env names ${claim}, which is not leased to the node`;
            waiting.add(at + WATCH_LAG_MS, { at, host, claim, detail });
          }
        }
        waiting.cancel(({ host, claim }) =>
          world.leasesOf(host).some(({ subnets }) => Object.values(subnets).join(" ") === claim),
        );
        return due;
      },
    };
  },
};
