/** Whose kernel objects are, by the marks that spec 05 gives them. */
import type { KernelObject } from "agent/kernel/kernel.ts";

export function isAgents(object: KernelObject): boolean {
  switch (object.kind) {
    case "link":
      return object.name.startsWith("flannel");
    case "route":
      return (
        object.link.startsWith("flannel") ||
        (object.protocol === 116 && /^(10\.4[23]\.|fd00:4[23]:)/.test(object.destination))
      );
    case "nexthop":
      return object.protocol === 116;
    case "blackhole":
      return true;
    case "sysctl":
      return object.path.includes("/flannel");
    default:
      return object.link.startsWith("flannel");
  }
}

export function describe(object: KernelObject): string {
  switch (object.kind) {
    case "link":
      return `link ${object.name}`;
    case "route":
      return `route ${object.destination} ${object.gateway} ${object.link}`;
    case "nexthop":
      return `nexthop ${object.id} ${object.gateway} ${object.link}`;
    case "blackhole":
      return `blackhole ${object.destination}`;
    case "sysctl":
      return object.path;
    case "fdb":
      return `fdb ${object.mac} ${object.destination}`;
    default:
      return `${object.kind} ${object.address}`;
  }
}
