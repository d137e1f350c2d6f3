/** Checks of what agents ask the store: by its own log of requests, and by the connections that their kernels count. */
import { STORE_PREFIX } from "../../observe/leases.ts";
import type { InvariantCheck, OpenCheck, Violation } from "../check.ts";
import type { Sighting, StoreRequestSeen } from "../sightings.ts";
import type { World } from "../world.ts";

const LEASES = `${STORE_PREFIX}/subnets`;
/** Rates are judged over so long a time: who has just lost its store may hurry at first. */
const WINDOW_MS = 10_000;
/**
 * Twice what the invariants C3 (one reconnect, and so one list, a second) and E5 (two requests a second) allow a node whose store is
 * back: where a node starts, or publishes another address, in the same ten seconds, 21 requests were seen. A loop without a pause makes hundreds.
 */
const MAX_LISTS = 20;
const MAX_REQUESTS = 40;
/**
 * Of one host to all members, answered or not. No invariant has a number for them: while no member answers, each watch and each request of an
 * agent tries about once a second, so that it is back soon.
 */
const MAX_CONNECTIONS = 40;

/** How much each agent did in the last seconds of one phase of its life: until it was ready, or since then. */
class Rates {
  readonly #done: Map<string, Done[]> = new Map();

  /** How much it is by now; what is older is forgotten. */
  add(host: string, isReady: boolean, { at, count }: Done): number {
    const phase = `${host} ${isReady ? "ready" : "starts"}`;
    const recent = (this.#done.get(phase) ?? []).filter((one) => at - one.at < WINDOW_MS);
    recent.push({ at, count });
    this.#done.set(phase, recent);
    return recent.reduce((sum, one) => sum + one.count, 0);
  }

  /** A life of an agent begins or ends: it is judged by itself. */
  forget(host: string): void {
    this.#done.delete(`${host} starts`);
    this.#done.delete(`${host} ready`);
  }
}

interface Done {
  readonly at: number;
  readonly count: number;
}

function isNewLife(
  sighting: Sighting,
): sighting is Extract<Sighting, { kind: "agent-started" | "agent-ended" }> {
  return (
    sighting.witness === "stage" &&
    (sighting.kind === "agent-started" || sighting.kind === "agent-ended")
  );
}

/** What of a sighting counts for a rate, and of which host. */
type Counted = { readonly host: string; readonly count: number } | undefined;

function atMost(
  max: number,
  count: (sighting: Sighting, world: World) => Counted,
  what: (host: string, counted: number) => string,
): OpenCheck {
  let looked = 0;
  const rates = new Rates();
  const told = new Set<string>();
  return {
    looked: () => looked,
    see: (sighting, world) => {
      if (isNewLife(sighting)) {
        rates.forget(sighting.host);
        told.delete(sighting.host);
        return [];
      }
      const found = count(sighting, world);
      if (found === undefined) {
        return [];
      }
      looked += 1;
      const { host, count: more } = found;
      const sum = rates.add(host, world.isReady(host), { at: sighting.at, count: more });
      if (sum <= max || told.has(host)) {
        return [];
      }
      told.add(host);
      return [{ at: sighting.at, host, detail: what(host, sum) }];
    },
  };
}

const isRequest = (sighting: Sighting): sighting is StoreRequestSeen =>
  sighting.witness === "request" && sighting.kind === "asked";

/** The lab's own requests come from the store's address, and are nobody's. */
function requestOf(sighting: Sighting, world: World): Counted {
  const host = isRequest(sighting) ? world.hostBehind(sighting.request.client) : undefined;
  return host === undefined ? undefined : { host, count: 1 };
}

const SECONDS = WINDOW_MS / 1000;

export const listsAreRare: InvariantCheck = {
  id: "C3",
  claim: `no agent listed the leases more than ${MAX_LISTS} times in ${SECONDS} s, whatever became of its watch`,
  needs: ["request"],
  open: () =>
    atMost(
      MAX_LISTS,
      (sighting, world) =>
        isRequest(sighting) && sighting.request.lists?.startsWith(LEASES) === true
          ? requestOf(sighting, world)
          : undefined,
      (_host, count) => `the leases were listed ${count} times in ${SECONDS} s`,
    ),
};

export const requestsAreRare: InvariantCheck = {
  id: "E5",
  claim: `no agent spun: in ${SECONDS} s at most ${MAX_REQUESTS} requests that the store answered, and ${MAX_CONNECTIONS} tries to connect`,
  needs: ["request", "connection"],
  open: () => {
    const requests = atMost(
      MAX_REQUESTS,
      requestOf,
      (_host, count) => `the store answered ${count} requests in ${SECONDS} s`,
    );
    const connections = atMost(
      MAX_CONNECTIONS,
      (sighting) =>
        sighting.witness === "connection" && sighting.kind === "opened"
          ? { host: sighting.host, count: sighting.opened }
          : undefined,
      (_host, count) => `${count} connections were begun in ${SECONDS} s`,
    );
    return {
      looked: () => Math.min(requests.looked(), connections.looked()),
      see: (sighting, world) => [
        ...requests.see(sighting, world),
        ...connections.see(sighting, world),
      ],
    };
  },
};

export const writesAreConditional: InvariantCheck = {
  id: "B6",
  claim: "no agent wrote or deleted a lease's key without a condition on that key",
  needs: ["request"],
  open: () => {
    let looked = 0;
    return {
      looked: () => looked,
      see: (sighting, world) => {
        const host = requestOf(sighting, world)?.host;
        if (!isRequest(sighting) || host === undefined) {
          return [];
        }
        const { verb, writes } = sighting.request;
        const ofLeases = writes.filter(({ key }) => key.startsWith(LEASES));
        looked += ofLeases.length;
        return ofLeases
          .filter(({ isConditional }) => !isConditional)
          .map(({ key }): Violation => {
            const name = key.slice(key.lastIndexOf("/") + 1);
            return {
              at: sighting.at,
              host,
              detail: `${verb} of ${name} without a condition on it`,
            };
          });
      },
    };
  },
};
