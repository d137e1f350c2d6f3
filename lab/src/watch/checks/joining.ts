import { STORE_PREFIX } from "../../observe/leases.ts";
import type { InvariantCheck, Violation } from "../check.ts";
import type { Sighting, StoreRead } from "../sightings.ts";
import type { World } from "../world.ts";

const LEASES = `${STORE_PREFIX}/subnets`;
/** From the first look at the leases to the lease, however many ask at once. Source: invariant A8. */
const ACQUIRED_WITHIN_MS = 5000;

/** An agent's life from its start until it has its first lease. */
interface Joining {
  /** When it was first seen to ask for one. */
  asked?: { readonly at: number; readonly waitedMs: number };
  /** How long it has waited for a processor. */
  waitedMs: number;
}

/** How far the watch of the store is, and how far the store was when it was asked last. */
interface StoreSeen {
  revision: number;
  read?: StoreRead;
}

/**
 * Whoever asks gets a subnet, and nobody ends for having lost a race. On a busy machine the watch tells of a lease seconds after it
 * was taken: who has none is judged when the watch is where the store was after that time. Its time does not run while it waits for a
 * processor, since on a machine of its own it would not. While a fault hinders a node, or the store, it does not run either: it begins
 * anew with the next request.
 */
export const joinersSucceed: InvariantCheck = {
  id: "A8",
  claim: `every agent that asked for a subnet had one within ${ACQUIRED_WITHIN_MS / 1000} s, however many asked at once`,
  needs: ["request", "store"],
  open: () => {
    let looked = 0;
    const joining = new Map<string, Joining>();
    const store: StoreSeen = { revision: 0 };
    const judge = (host: string, one: Joining, at: number, world: World): readonly Violation[] => {
      if (world.leasesOf(host).length > 0) {
        // The store tells of a lease sooner than its log tells who asked for it.
        looked += 1;
        joining.delete(host);
      } else if (world.isStruck(host)) {
        delete one.asked;
      } else if (isLate(one, store)) {
        joining.delete(host);
        const seconds = ACQUIRED_WITHIN_MS / 1000;
        return [{ at, host, detail: `asked for a subnet, and had none after ${seconds} s` }];
      }
      return [];
    };
    return {
      looked: () => looked,
      isSettled: () => [...joining.values()].every(({ asked }) => asked === undefined),
      see: (sighting, world) => {
        const { at } = sighting;
        if (sighting.kind === "revision") {
          store.revision = sighting.revision;
        } else if (sighting.kind === "read") {
          store.read = sighting;
        }
        if (sighting.kind === "agent-started" && world.leasesOf(sighting.host).length === 0) {
          joining.set(sighting.host, { waitedMs: 0 });
        }
        if (sighting.kind === "waited") {
          const waiting = joining.get(sighting.host);
          if (waiting !== undefined) {
            waiting.waitedMs = sighting.waitedMs;
          }
        }
        const asks = askingHost(sighting, world);
        const asking = asks === undefined ? undefined : joining.get(asks);
        if (asking !== undefined) {
          asking.asked ??= { at, waitedMs: asking.waitedMs };
        }
        const late = [...joining].flatMap(([host, one]) => judge(host, one, at, world));
        return [
          ...late,
          ...(sighting.kind === "agent-ended" ? ended(sighting, joining, world) : []),
        ];
      },
    };
  },
};

/** Whether it had no lease in the store at a moment after its time. */
function isLate({ asked, waitedMs }: Joining, { revision, read }: StoreSeen): boolean {
  return (
    asked !== undefined &&
    read !== undefined &&
    read.askedAt - asked.at - (waitedMs - asked.waitedMs) > ACQUIRED_WITHIN_MS &&
    revision >= read.newest
  );
}

/** The host that lists the leases, or writes one. */
function askingHost(sighting: Sighting, world: World): string | undefined {
  if (sighting.witness !== "request" || sighting.kind !== "asked") {
    return undefined;
  }
  const { client, lists, writes } = sighting.request;
  const isOfLeases = [lists ?? "", ...writes.map(({ key }) => key)].some((key) =>
    key.startsWith(LEASES),
  );
  return isOfLeases ? world.hostBehind(client) : undefined;
}

/** A host that is taken away takes its agent with it. */
function ended(
  { at, host }: { readonly at: number; readonly host: string },
  joining: Map<string, Joining>,
  world: World,
): readonly Violation[] {
  const one = joining.get(host);
  joining.delete(host);
  return one?.asked === undefined || !world.hosts.has(host) || world.isStruck(host)
    ? []
    : [{ at, host, detail: "the agent asked for a subnet, and ended without one" }];
}
