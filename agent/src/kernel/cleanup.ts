/**
 * What an agent that is not coming back leaves on a node: the devices, routes, blackholes and nexthop objects that bear our marks inside the pod
 * networks. Neighbours, FDB entries and addresses go with their device. Nothing else is named (invariant D2).
 */
import { containsIp, parseCidr } from "../core/ip.ts";
import type { Cidr } from "../core/ip.ts";
import { ROUTE_PROTOCOL_TWILL } from "./kernel.ts";
import type { Change, InterfaceFacts, KernelObject, Route, Scope } from "./kernel.ts";
import { leftDevices } from "./leftovers.ts";
import { isMadeByKernel } from "./scope.ts";

export const EVERYWHERE: readonly Cidr[] = [parseCidr("0.0.0.0/0"), parseCidr("::/0")];

/** What has to be seen: our devices with all they carry, and every route, since nexthop objects serve whoever points to them. */
export function cleanupScope(
  interfaces: readonly InterfaceFacts[],
  networks: readonly Cidr[],
): Scope {
  return {
    links: leftDevices(interfaces, networks),
    networks: EVERYWHERE,
    sysctls: [],
  };
}

/** In the order to remove them: routes first, so that none is seen to lead nowhere. `dumped` is a dump of `scope`. */
export function planCleanup(
  dumped: readonly KernelObject[],
  { links }: Pick<Scope, "links">,
  networks: readonly Cidr[],
): readonly Change[] {
  const isOnOurs = ({ link }: { readonly link: string }): boolean => links.includes(link);
  const routes = dumped.filter((object) => object.kind === "route");
  const isInside = ({ destination }: Route): boolean =>
    networks.some((network) => containsIp(network, destination));
  const ours = routes.filter(
    (route) =>
      !isMadeByKernel(route) &&
      (isOnOurs(route) || (route.protocol === ROUTE_PROTOCOL_TWILL && isInside(route))),
  );
  const used = new Set(ours.map(({ nexthop }) => nexthop));
  // A removed nexthop object takes the routes over it along, whosever they are.
  const usedByOthers = new Set(
    routes.filter((route) => !ours.includes(route)).map(({ nexthop }) => nexthop),
  );
  const nexthops = dumped
    .filter((object) => object.kind === "nexthop")
    .filter(
      (nexthop) =>
        nexthop.protocol === ROUTE_PROTOCOL_TWILL &&
        (isOnOurs(nexthop) || used.has(nexthop.id)) &&
        !usedByOthers.has(nexthop.id),
    );
  const devices = dumped.filter((object) => object.kind === "link");
  const blackholes = dumped
    .filter((object) => object.kind === "blackhole")
    .filter(({ destination }) => networks.some((network) => containsIp(network, destination)));
  return [...ours, ...blackholes, ...nexthops, ...devices].map((object) => ({
    action: "remove",
    object,
  }));
}
