/** What a scope covers, and what in it is ours: recognised by mark, never by guess (invariant D2). */
import { containsIp } from "../core/ip.ts";
import type { Cidr } from "../core/ip.ts";
import {
  ROUTE_PROTOCOL_ADVERTISEMENT,
  ROUTE_PROTOCOL_KERNEL,
  ROUTE_PROTOCOL_REDIRECT,
  ROUTE_PROTOCOL_TWILL,
} from "./kernel.ts";
import type { KernelObject, Route, Scope } from "./kernel.ts";
import { isLeftRoute } from "./leftovers.ts";

/** Whether a dump of this scope reports an object. */
export function covers(scope: Scope): (object: KernelObject) => boolean {
  const links = new Set(scope.links);
  const sysctls = new Set(scope.sysctls);
  return (object) => {
    switch (object.kind) {
      case "link":
        return links.has(object.name);
      case "address":
      case "neighbour":
      case "fdb":
        return links.has(object.link);
      case "nexthop":
        return true;
      case "route":
        return links.has(object.link) || isInside(scope.networks, object.destination);
      case "blackhole":
        return isInside(scope.networks, object.destination);
      case "sysctl":
        return sysctls.has(object.path);
    }
  };
}

/**
 * Whether a dumped object is ours to remove. The kernel's own routes never are; a foreign route is left alone too, unless it
 * stands where one of ours belongs: then putting ours replaces it.
 */
export function isOurs(scope: Scope): (object: KernelObject) => boolean {
  const links = new Set(scope.links);
  return (object) => {
    switch (object.kind) {
      case "link":
        return links.has(object.name);
      case "neighbour":
      case "fdb":
        return links.has(object.link);
      case "address":
        return links.has(object.link) && isInside(scope.networks, object.address);
      case "nexthop":
        return (
          object.protocol === ROUTE_PROTOCOL_TWILL &&
          (links.has(object.link) || !isTunnelDevice(object.link))
        );
      case "route":
        return isMadeByKernel(object)
          ? false
          : links.has(object.link) ||
              (isInside(scope.networks, object.destination) &&
                (object.protocol === ROUTE_PROTOCOL_TWILL || isLeftByTunnel(object))) ||
              (scope.leftRoutes !== undefined && isLeftRoute(object, scope.leftRoutes));
      case "blackhole":
        // Those of others are never dumped.
        return isInside(scope.networks, object.destination);
      case "sysctl":
        return false;
    }
  };
}

/**
 * A peer's route over a vxlan device that we have no use for: what the network held under another backend or VNI. The device
 * itself may be that of a second agent on this host, whose network is another one (spec 09 section 2, "two networks on one host").
 */
function isLeftByTunnel({ link, onlink, gateway, destination }: Route): boolean {
  return onlink && isTunnelDevice(link) && destination.startsWith(`${gateway}/`);
}

/** Of this agent or of another one on this host, whose network is another one. */
function isTunnelDevice(link: string): boolean {
  return /^flannel(-v6)?\.\d+$/.test(link);
}

/** Such a route follows from an address or a router; putting ours over it would cut that link off (invariant D9). */
export function isMadeByKernel(route: Route): boolean {
  return (
    route.protocol === ROUTE_PROTOCOL_KERNEL ||
    route.protocol === ROUTE_PROTOCOL_REDIRECT ||
    route.protocol === ROUTE_PROTOCOL_ADVERTISEMENT
  );
}

function isInside(networks: readonly Cidr[], prefix: Cidr): boolean {
  return networks.some((network) => containsIp(network, prefix));
}
