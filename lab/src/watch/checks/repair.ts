/** Checks of how soon an agent puts back what was taken from it, by what its kernel says. */
import { kernelEqualsLeases, type NetworkFactsOfRun } from "../../checks/kernel-equals-leases.ts";
import { Deferred, type InvariantCheck, type OpenCheck, type Violation } from "../check.ts";
import type { KernelChange, KernelObject } from "../sightings.ts";
import type { World } from "../world.ts";
import { formatObject } from "../witnesses/kernel-values.ts";
import { withReadyAgents } from "./quiet.ts";

/** Devices of vxlan backends. Source: flannel pkg/backend/vxlan/vxlan.go. */
const TUNNEL = /^flannel(-v6)?\.\d+$/;
/** Source: invariant D11, by event. */
const OBJECT_MS = 1000;
/** Source: invariant D10. */
const DEVICE_MS = 5000;
/** Both moments are those at which the lab read of them: on a busy machine it is so late, at most. */
const READING_MS = 1000;

interface Missing {
  readonly host: string;
  readonly object: KernelObject;
  readonly at: number;
}

/** Whether one host's agent is to have it, as the leases are now. */
function isWanted({ host, object }: Missing, facts: NetworkFactsOfRun, world: World): boolean {
  const own = world.hosts.get(host)?.ipv4;
  if (own === undefined || !world.isReady(host)) {
    return false;
  }
  // A peer that can be reached directly needs nothing but a route.
  if (facts.directRouting && object.object !== "route") {
    return false;
  }
  const peers = [...world.leases.values()].filter(({ owner }) => owner !== own);
  return peers.some(({ subnets, vtepMacs, publicIps }) =>
    (["ipv4", "ipv6"] as const).some((family) => {
      const subnet = subnets[family];
      switch (object.object) {
        case "route":
          return object.destination === subnet;
        case "neighbour":
          return (
            subnet?.startsWith(`${object.address}/`) === true && object.mac === vtepMacs[family]
          );
        case "fdb":
          return object.mac === vtepMacs[family] && object.destination === publicIps[family];
        default:
          return false;
      }
    }),
  );
}

/** A route that leads another way is another check's business. */
function isSame(one: KernelObject, other: KernelObject): boolean {
  return one.object === "route" && other.object === "route"
    ? one.destination === other.destination
    : formatObject(one) === formatObject(other);
}

/** What a change took away: it, or what stood in its place. */
class Objects {
  readonly #there: Map<string, KernelObject> = new Map();

  take({ kind, object }: KernelChange): KernelObject | undefined {
    const key = placeOf(object);
    const before = this.#there.get(key);
    if (kind === "remove") {
      this.#there.delete(key);
    } else {
      this.#there.set(key, object);
    }
    return before === undefined || (kind === "put" && isSame(before, object)) ? undefined : before;
  }

  /** The kernel tells of some that go with their device, and of others not. */
  forgetDevice(device: string): void {
    for (const [key, object] of this.#there) {
      if (object.device === device) {
        this.#there.delete(key);
      }
    }
  }
}

function placeOf(object: KernelObject): string {
  switch (object.object) {
    case "route":
      return `route ${object.destination}`;
    case "neighbour":
    case "address":
      return `${object.object} ${object.device} ${object.address}`;
    case "fdb":
      return `fdb ${object.device} ${object.mac}`;
    case "link":
      return `link ${object.device}`;
  }
}

export const objectsComeBack: InvariantCheck = {
  id: "D11",
  claim: "an entry of a live lease that was deleted or altered was back within 1 s",
  needs: ["kernel", "store"],
  open: (facts): OpenCheck => {
    let looked = 0;
    const hosts = new Map<string, Objects>();
    const objectsOf = (host: string): Objects => {
      const objects = hosts.get(host) ?? new Objects();
      hosts.set(host, objects);
      return objects;
    };
    const waiting = new Deferred<Missing>();
    const excuse = (at: number, world: World): void => {
      waiting.cancel((missing) => !isWanted(missing, facts, world));
      waiting.postpone(({ host }) => world.isStruck(host), at + OBJECT_MS + READING_MS);
    };
    const apply = (host: string, at: number, change: KernelChange): void => {
      const { kind, object } = change;
      const gone = objectsOf(host).take(change);
      if (object.object === "link" && TUNNEL.test(object.device) && isDown(change)) {
        // It takes all of its entries along, which is D10's business.
        objectsOf(host).forgetDevice(object.device);
        waiting.cancel(
          (missing) => missing.host === host && missing.object.device === object.device,
        );
      }
      if (kind === "put") {
        looked += waiting.cancel(
          (missing) => missing.host === host && isSame(missing.object, object),
        );
      }
      if (gone !== undefined) {
        waiting.add(at + OBJECT_MS + READING_MS, { host, object: gone, at });
      }
    };
    return {
      looked: () => looked,
      isSettled: () => waiting.isEmpty,
      see: (sighting, world) => {
        excuse(sighting.at, world);
        const late = waiting.takeDue(sighting.at).map(({ host, object, at }): Violation => {
          const detail = `${formatObject(object)} went, and was not back in ${OBJECT_MS} ms`;
          return { at, host, detail };
        });
        looked += late.length;
        if (sighting.witness === "kernel" && sighting.kind === "baseline") {
          sighting.objects.forEach((object) =>
            objectsOf(sighting.host).take({ kind: "put", object }),
          );
        } else if (sighting.witness === "kernel" && sighting.kind === "changes") {
          sighting.changes.forEach((change) => {
            apply(sighting.host, sighting.at, change);
          });
          excuse(sighting.at, world);
        }
        return late;
      },
    };
  },
};

function isDown({ kind, object }: KernelChange): boolean {
  return object.object === "link" && (kind === "remove" || !object.up);
}

export const devicesComeBack: InvariantCheck = {
  id: "D10",
  claim: "a tunnel device that was deleted was back within 5 s, with all peers",
  needs: ["kernel", "store", "dump"],
  appliesTo: ({ backend }) => backend === "vxlan",
  open: (facts): OpenCheck => {
    let looked = 0;
    /** By host: the device, and since when. */
    const gone = new Map<string, { readonly device: string; readonly at: number }>();
    return {
      looked: () => looked,
      isSettled: () => gone.size === 0,
      see: (sighting, world) => {
        for (const host of gone.keys()) {
          if (!world.agents.has(host) || world.isStruck(host)) {
            gone.set(host, { ...(gone.get(host) ?? { device: "" }), at: sighting.at });
          }
        }
        if (sighting.witness === "kernel" && sighting.kind === "changes") {
          const { host, at } = sighting;
          const device = sighting.changes.find(
            ({ kind, object }) =>
              kind === "remove" && object.object === "link" && TUNNEL.test(object.device),
          )?.object.device;
          if (device !== undefined && world.isReady(host)) {
            gone.set(host, { device, at });
          }
        }
        if (sighting.witness !== "dump" || sighting.kind === "blind") {
          return [];
        }
        const hosts = withReadyAgents(sighting.hosts, world).map(({ host, kernel }) => ({
          host,
          kernel,
          publicIps: world.hosts.get(host) ?? {},
        }));
        const { details } = kernelEqualsLeases(facts, [...world.leases.values()], hosts);
        return hosts.flatMap(({ host }): readonly Violation[] => {
          const missing = gone.get(host);
          if (missing === undefined || sighting.at < missing.at) {
            return [];
          }
          const wrong = details.find((line) => line.startsWith(`${host}: `));
          const isLate = sighting.at - Math.max(missing.at, world.lastChangeAt) >= DEVICE_MS;
          if (wrong !== undefined && !isLate) {
            return [];
          }
          gone.delete(host);
          looked += 1;
          const what = `${missing.device} was deleted, and ${DEVICE_MS} ms later`;
          return wrong === undefined
            ? []
            : [{ at: missing.at, host, detail: `${what}: ${wrong.slice(host.length + 2)}` }];
        });
      },
    };
  },
};
