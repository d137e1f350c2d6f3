import type { NetworkFactsOfRun } from "../../checks/kernel-equals-leases.ts";
import { networkOf, parseCidr } from "../../addresses.ts";
import { POD_BRIDGE } from "../../hosts/link-scripts.ts";
import type { InvariantCheck, Violation } from "../check.ts";
import type { KernelChange, KernelObject } from "../sightings.ts";
import { contains } from "../world.ts";
import { formatObject } from "../witnesses/kernel-values.ts";

/** Devices of an agent. Source: flannel pkg/backend/vxlan/vxlan.go; the names of its other backends' devices begin so, too. */
const AGENTS_DEVICE = /^flannel/;
/** The ports of the pods' bridge: pods come and go as the lab makes them. */
const PODS_PORT = /^pod\d+$/;
/** Routes that come and go with an address. Source: linux/rtnetlink.h RTPROT_KERNEL. */
const KERNEL_PROTOCOL = 2;
const LINK_LOCAL = /^fe80:/i;

/**
 * What stood on a host and is none of the agent's is somebody else's: links, addresses, routes that lead to no pods, permanent
 * neighbours and FDB entries of other devices. Only the lab's faults may change it.
 */
export const foreignObjectsStay: InvariantCheck = {
  id: "D2",
  claim: "nothing in a host's kernel that is not the agent's was changed or removed",
  needs: ["kernel"],
  open: (facts) => {
    let looked = 0;
    /** By host and what tells the object from others. */
    const kept = new Map<string, Map<string, KernelObject>>();
    return {
      looked: () => looked,
      see: (sighting, world) => {
        if (sighting.witness === "stage" && sighting.kind === "agent-started") {
          looked += kept.get(sighting.host)?.size ?? 0;
          return [];
        }
        if (sighting.witness !== "kernel" || sighting.kind === "blind") {
          return [];
        }
        const { host, at } = sighting;
        if (sighting.kind === "baseline") {
          const foreign = sighting.objects.filter((object) => isForeign(object, facts));
          kept.set(host, new Map(foreign.map((object) => [identityOf(object), object])));
          return [];
        }
        const there = kept.get(host) ?? new Map<string, KernelObject>();
        kept.set(host, there);
        const details = sighting.changes
          .filter(({ object }) => isForeign(object, facts))
          .flatMap((change) => whatBecame(there, change));
        // What a fault of the lab does, or its end, is not the agent's doing.
        return world.isStruck(host)
          ? []
          : details.map((detail): Violation => ({ at, host, detail }));
      },
    };
  },
};

/** Notes the change; what it did to something that was there. */
function whatBecame(
  there: Map<string, KernelObject>,
  { kind, object }: KernelChange,
): readonly string[] {
  const identity = identityOf(object);
  const before = there.get(identity);
  if (kind === "remove") {
    there.delete(identity);
    return before === undefined ? [] : [`${formatObject(before)} was removed`];
  }
  there.set(identity, object);
  return before === undefined || formatObject(before) === formatObject(object)
    ? []
    : [`${formatObject(before)} was made ${formatObject(object)}`];
}

function isForeign(object: KernelObject, { networks }: NetworkFactsOfRun): boolean {
  const { device } = object;
  if (AGENTS_DEVICE.test(device) || PODS_PORT.test(device) || device === POD_BRIDGE) {
    return false;
  }
  if (object.object === "address") {
    return !LINK_LOCAL.test(object.address);
  }
  if (object.object !== "route") {
    return true;
  }
  const destination = parseCidr(object.destination);
  const isToPods = networks[object.family].map(parseCidr).some((network) => {
    if (destination === undefined || network === undefined) {
      return false;
    }
    return contains(network, networkOf(destination).address);
  });
  return object.protocol !== KERNEL_PROTOCOL && !isToPods;
}

function identityOf(object: KernelObject): string {
  const { device } = object;
  switch (object.object) {
    // Whose gateway or device changes is another route to the same place; two of them are told apart by the device.
    case "route":
      return `route ${object.destination} ${device}`;
    case "neighbour":
      return `neighbour ${object.address} ${device}`;
    case "fdb":
      return `fdb ${object.mac} ${device}`;
    case "link":
      return `link ${device}`;
    case "address":
      return `address ${object.address} ${device}`;
  }
}
