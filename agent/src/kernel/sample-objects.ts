/** One vxlan device with its peers, for tests of the difference and of what a kernel makes of it. */
import { parseCidr, parseIp } from "../core/ip.ts";
import { parseMac } from "../core/mac.ts";
import type { Mac } from "../core/mac.ts";
import { ROUTE_PROTOCOL_BOOT, ROUTE_PROTOCOL_TWILL } from "./kernel.ts";
import type {
  Address,
  Change,
  FdbEntry,
  KernelObject,
  Link,
  Neighbour,
  Nexthop,
  Route,
  Sysctl,
} from "./kernel.ts";
import { MemoryKernel } from "./memory-kernel.ts";
import { printObject } from "./print.ts";
import type { DesiredState } from "./reconcile.ts";

export const MAC_2: Mac = parseMac("0e:00:00:00:00:02");
export const MAC_9: Mac = parseMac("0e:00:00:00:00:09");

export const DEVICE: Link = {
  kind: "link",
  name: "flannel.1",
  type: "vxlan",
  mac: parseMac("0e:00:00:00:00:01"),
  mtu: 1450,
  up: true,
  vxlan: {
    vni: 1,
    port: 8472,
    local: parseIp("192.0.2.1"),
    lowerLink: "eth0",
    learning: false,
    gbp: false,
  },
};
export const SYSCTL: Sysctl = {
  kind: "sysctl",
  path: "net/ipv6/conf/flannel.1/accept_ra",
  value: "0",
  optional: true,
};
export const ADDRESS: Address = {
  kind: "address",
  link: "flannel.1",
  address: parseCidr("10.42.1.0/32"),
};

export function peer(node: number, mac: Mac = MAC_2): readonly [Neighbour, FdbEntry, Route] {
  const gateway = parseIp(`10.42.${node}.0`);
  const link = "flannel.1";
  return [
    { kind: "neighbour", link, address: gateway, mac },
    { kind: "fdb", link, mac, destination: parseIp(`192.0.2.${node}`) },
    {
      kind: "route",
      destination: parseCidr(`10.42.${node}.0/24`),
      gateway,
      link,
      onlink: true,
      protocol: ROUTE_PROTOCOL_BOOT,
    },
  ];
}

/** The object that a route over one goes over. */
export function nexthopOf({ gateway, link, onlink, nexthop: id }: Route): Nexthop {
  if (gateway === undefined || id === undefined) throw new Error("not a route over a nexthop");
  return { kind: "nexthop", id, link, gateway, onlink, protocol: ROUTE_PROTOCOL_TWILL };
}

export function wish(...objects: readonly KernelObject[]): DesiredState {
  return {
    scope: {
      links: ["flannel.1"],
      networks: [parseCidr("10.42.0.0/16")],
      sysctls: ["net/ipv6/conf/flannel.1/accept_ra"],
    },
    objects,
  };
}

export function lines(changes: readonly Change[]): string {
  return changes.map(({ action, object }) => `${action} ${printObject(object)}`).join("\n");
}

export function world(): MemoryKernel {
  const kernel = new MemoryKernel();
  kernel.addInterface({ name: "eth0", addresses: [parseCidr("192.0.2.1/24")] });
  return kernel;
}

export const BASE: readonly KernelObject[] = [DEVICE, SYSCTL, ADDRESS];

export function vxlanOf(link: Link): NonNullable<Link["vxlan"]> {
  if (link.vxlan === undefined) throw new Error("not a vxlan device");
  return link.vxlan;
}
