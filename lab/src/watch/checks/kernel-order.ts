import { Deferred, type InvariantCheck, type Violation } from "../check.ts";
import type { KernelChange, KernelObject } from "../sightings.ts";

/** Devices of vxlan backends. Source: flannel pkg/backend/vxlan/vxlan.go. */
const TUNNEL = /^flannel(-v6)?\.\d+$/;
/**
 * A device that goes away takes its entries with it, and its own event comes last: so long a removed entry waits for it.
 * Kernel events of one deletion are milliseconds apart.
 */
const DEVICE_EVENT_MS = 300;

type Route = Extract<KernelObject, { readonly object: "route" }>;

/** What one host's kernel holds on tunnel devices. */
class TunnelState {
  readonly routes: Map<string, Route> = new Map();
  readonly macs: Map<string, string> = new Map();
  readonly fdb: Set<string> = new Set();

  apply({ kind, object, replaces }: KernelChange): void {
    if (object.object === "route" && replaces === true) {
      this.#forgetRoutesTo(object.destination);
    }
    if (object.object === "route" && TUNNEL.test(object.device)) {
      const key = `${object.device} ${object.destination}`;
      if (kind === "put") {
        this.routes.set(key, object);
      } else {
        this.routes.delete(key);
      }
    } else if (object.object === "neighbour") {
      const key = `${object.device} ${object.address}`;
      if (kind === "put") {
        this.macs.set(key, object.mac);
      } else {
        this.macs.delete(key);
      }
    } else if (object.object === "fdb") {
      const key = `${object.device} ${object.mac}`;
      if (kind === "put") {
        this.fdb.add(key);
      } else {
        this.fdb.delete(key);
      }
    } else if (isDeviceGone({ kind, object })) {
      // The kernel removes routes of a device without an event each.
      for (const [key, route] of this.routes) {
        if (route.device === object.device) {
          this.routes.delete(key);
        }
      }
    }
  }

  #forgetRoutesTo(destination: string): void {
    for (const [key, route] of this.routes) {
      if (route.destination === destination) {
        this.routes.delete(key);
      }
    }
  }

  /** What is missing for a tunnel route; undefined when nothing is. */
  missingFor({ device, gateway }: Route): string | undefined {
    if (gateway === undefined) {
      return undefined;
    }
    const mac = this.macs.get(`${device} ${gateway}`);
    if (mac === undefined) {
      return `neighbour ${gateway}`;
    }
    return this.fdb.has(`${device} ${mac}`) ? undefined : `FDB entry ${mac}`;
  }
}

function isDeviceGone({ kind, object }: Pick<KernelChange, "kind" | "object">): boolean {
  return object.object === "link" && (kind === "remove" || !object.up);
}

export const noRouteWithoutItsWay: InvariantCheck = {
  id: "D3",
  claim: "no tunnel route ever stood without its neighbour and FDB entry",
  needs: ["kernel"],
  appliesTo: ({ backend }) => backend === "vxlan",
  open: () => {
    let looked = 0;
    const states = new Map<string, TunnelState>();
    const waiting = new Deferred<Violation & { readonly host: string; readonly device: string }>();
    return {
      looked: () => looked,
      isSettled: () => waiting.isEmpty,
      see: (sighting, world) => {
        const due = waiting
          .takeDue(sighting.at)
          .map(({ at, host, detail }) => ({ at, host, detail }));
        if (sighting.witness !== "kernel" || sighting.kind === "blind") {
          return due;
        }
        const { host, at } = sighting;
        if (sighting.kind === "baseline") {
          const fresh = new TunnelState();
          sighting.objects.forEach((object) => {
            fresh.apply({ kind: "put", object });
          });
          states.set(host, fresh);
          return due;
        }
        const state = states.get(host) ?? new TunnelState();
        states.set(host, state);
        const violations = sighting.changes.flatMap((change) => {
          const lacking = new Set(
            [...state.routes.values()].filter((route) => state.missingFor(route) !== undefined),
          );
          state.apply(change);
          if (isDeviceGone(change)) {
            waiting.cancel((one) => one.host === host && one.device === change.object.device);
          }
          // What the lab's own fault takes away is not the agent's doing.
          if (world.isStruck(host)) {
            return [];
          }
          const { object } = change;
          if (object.object === "route" && TUNNEL.test(object.device) && change.kind === "put") {
            looked += 1;
            const missing = state.missingFor(object);
            return missing === undefined
              ? []
              : [
                  {
                    at,
                    host,
                    detail: `route ${object.destination} dev ${object.device} was put without ${missing}`,
                  },
                ];
          }
          for (const route of state.routes.values()) {
            const missing = lacking.has(route) ? undefined : state.missingFor(route);
            if (missing !== undefined) {
              const { destination, device } = route;
              const detail = `route ${destination} dev ${device} stood when ${missing} went`;
              waiting.add(at + DEVICE_EVENT_MS, { at, host, device, detail });
            }
          }
          return [];
        });
        return [...due, ...violations];
      },
    };
  },
};
