import { Deferred, type InvariantCheck, type Violation } from "../check.ts";
import type { KernelChange } from "../sightings.ts";
import type { World } from "../world.ts";

/** The pods' bridge, which owns the connected route of the own subnet. Source: flannel's CNI plugin, cni0. */
const POD_BRIDGE = "cni0";
/** Source: linux/rtnetlink.h RTPROT_KERNEL. */
const KERNEL_PROTOCOL = 2;
/** The lab takes the bridge itself away to make a pod anew: its events come within this time. */
const DEVICE_EVENT_MS = 300;

export const ownSubnetIsLeftAlone: InvariantCheck = {
  id: "D9",
  claim: "no agent put anything for its own subnet, or touched the bridge's connected route",
  needs: ["kernel", "dump", "store"],
  open: () => {
    let looked = 0;
    const waiting = new Deferred<Violation>();
    return {
      looked: () => looked,
      isSettled: () => waiting.isEmpty,
      see: (sighting, world) => {
        const violations: Violation[] = takeDue(waiting, sighting.at);
        if (sighting.witness === "kernel" && sighting.kind === "changes") {
          const { at, host } = sighting;
          const own = ownSubnets(world, host);
          for (const change of sighting.changes) {
            looked += own.length > 0 ? 1 : 0;
            if (isBridgeGoing(change)) {
              waiting.cancel((one) => one.host === host);
            }
            const detail = complaintAbout(change, own);
            // What the lab's own fault does is not the agent's doing.
            if (detail !== undefined && !world.isStruck(host)) {
              waiting.add(at + (change.kind === "put" ? 0 : DEVICE_EVENT_MS), { at, host, detail });
            }
          }
        } else if (sighting.witness === "dump" && sighting.kind === "round") {
          for (const { host, kernel } of sighting.hosts) {
            const own = ownSubnets(world, host);
            looked += own.length;
            const foreign = kernel.routes.filter(
              ({ destination, device }) => own.includes(destination) && device !== POD_BRIDGE,
            );
            if (!world.isStruck(host) && world.quietFor(DEVICE_EVENT_MS, sighting.at)) {
              violations.push(
                ...foreign.map(({ destination, device }) => ({
                  at: sighting.at,
                  host,
                  detail: `route ${destination} dev ${device} is for the own subnet`,
                })),
              );
            }
          }
        }
        return [...violations, ...takeDue(waiting, sighting.at)];
      },
    };
  },
};

function takeDue(waiting: Deferred<Violation>, now: number): Violation[] {
  return [...waiting.takeDue(now)];
}

function ownSubnets(world: World, host: string): readonly string[] {
  return world.leasesOf(host).flatMap(({ subnets }) => Object.values(subnets));
}

function complaintAbout(
  { kind, object }: KernelChange,
  own: readonly string[],
): string | undefined {
  if (object.object === "route" && own.includes(object.destination)) {
    const { destination, device, protocol } = object;
    if (kind === "put" && device !== POD_BRIDGE) {
      return `route ${destination} dev ${device} was put for the own subnet`;
    }
    return kind === "remove" && device === POD_BRIDGE && protocol === KERNEL_PROTOCOL
      ? `the connected route ${destination} dev ${device} was removed`
      : undefined;
  }
  // The tunnel address of a subnet is its first one.
  const isOwnTunnel =
    object.object === "neighbour" &&
    object.device !== POD_BRIDGE &&
    own.some((subnet) => subnet.startsWith(`${object.address}/`));
  return isOwnTunnel && kind === "put"
    ? `neighbour ${object.address} dev ${object.device} was put for the own subnet`
    : undefined;
}

function isBridgeGoing({ kind, object }: KernelChange): boolean {
  return (
    (object.object === "link" &&
      object.device === POD_BRIDGE &&
      (kind === "remove" || !object.up)) ||
    (object.object === "address" && object.device === POD_BRIDGE && kind === "remove")
  );
}
