import { parseSubnetFile, subnetsOf } from "../../subnet-file.ts";
import type { InvariantCheck } from "../check.ts";
import type { World } from "../world.ts";

/** Source: invariant B1. */
const GRACE_MS = 2000;

/**
 * From outside a node claims a subnet while its agent runs and subnet.env names the subnet. A node that is struck by a fault,
 * or whose store is, need not know.
 */
export const readyMeansLeased: InvariantCheck = {
  id: "B1",
  claim:
    "no running agent claims a subnet for longer than 2 s after its key went to another or away",
  needs: ["store", "file"],
  open: () => {
    let looked = 0;
    /** Hosts whose claim was right once in this life of their agent: since when (of the life), and since when it is wrong. */
    const lives = new Map<string, { readonly startedAt: number; wrongSince?: number }>();
    return {
      looked: () => looked,
      isSettled: ({ agents }) =>
        [...lives].every(
          ([host, { startedAt, wrongSince }]) =>
            wrongSince === undefined || agents.get(host) !== startedAt,
        ),
      see: ({ at }, world) =>
        [...world.agents].flatMap(([host, startedAt]) => {
          const claim = claimOf(world, host);
          if (claim === undefined) {
            return [];
          }
          const owned = world
            .leasesOf(host)
            .some(({ subnets }) => Object.values(subnets).join(" ") === claim);
          const life = lives.get(host);
          if (owned) {
            looked += 1;
            lives.set(host, { startedAt });
          } else if (life?.startedAt !== startedAt || world.isStruck(host)) {
            lives.delete(host);
          } else if (at - (life.wrongSince ??= at) > GRACE_MS) {
            const seconds = ((at - life.wrongSince) / 1000).toFixed(0);
            lives.delete(host);
            return [
              {
                at,
                host,
                detail: `subnet.env names ${claim}, which is not leased to the node since ${seconds} s`,
              },
            ];
          }
          return [];
        }),
    };
  },
};

/** The subnets that a host's subnet.env names, in the order of families. */
function claimOf(world: World, host: string): string | undefined {
  const text = world.files.get(host)?.text;
  const file = text === undefined ? undefined : parseSubnetFile(text);
  return file === undefined ? undefined : subnetsOf(file).join(" ");
}
