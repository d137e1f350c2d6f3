/** One lease → what the kernel should hold for vxlan: pure values. Source: spec 05 sections 2.3 and 2.4. */
import { assert } from "../../core/assert.ts";
import { AgentError } from "../../core/errors.ts";
import { cidrAddress, hostCidr } from "../../core/ip.ts";
import type { Family, PerFamily } from "../../core/ip.ts";
import type { Lease } from "../../core/lease.ts";
import type { Mac } from "../../core/mac.ts";
import type { NetworkConfig } from "../../core/network-config.ts";
import { ROUTE_PROTOCOL_BOOT, ROUTE_PROTOCOL_TWILL } from "../../kernel/kernel.ts";
import type { KernelObject, Link, RouteLookup } from "../../kernel/kernel.ts";
import { enabledFamilies } from "../backend.ts";
import type { PeerPlan, Plan, Planner, SelectedPeer } from "../backend.ts";
import { parseVxlanData } from "./config.ts";

export const TYPE = "vxlan";

/** What is fixed while the backend is open. */
export interface VxlanSetup {
  readonly config: NetworkConfig;
  readonly vni: number;
  readonly directRouting: boolean;
  /** One for each enabled family. */
  readonly devices: PerFamily<Link>;
}

/** `flannel.1`, `flannel-v6.1`: the names peers of the same node's next agent look for. */
export function deviceName(family: Family, vni: number): string {
  return family === 4 ? `flannel.${vni}` : `flannel-v6.${vni}`;
}

export function vxlanPlanner(setup: VxlanSetup): Planner {
  const { config, devices } = setup;
  const families = enabledFamilies(config).filter((family) => devices[family] !== undefined);
  return {
    type: TYPE,
    config,
    scope: scopeOf(setup),
    families: (own) => families.filter((family) => own.subnets[family] !== undefined),
    planNode: (own) => families.flatMap((family) => planDevice(devices[family], own, family)),
    planPeer(peer, route) {
      const { [peer.family]: device } = devices;
      assert(device !== undefined, "a peer is planned in a family that has a device");
      return planPeer(setup, device, peer, route);
    },
  };
}

/** A device of a family that is no longer enabled is ours too, so that it goes. */
function scopeOf({ config, vni }: VxlanSetup): Plan["scope"] {
  const links = [deviceName(4, vni), deviceName(6, vni)];
  return {
    links,
    networks: enabledFamilies(config).flatMap((family) => config.ranges[family]?.network ?? []),
    sysctls: links.map(acceptRaPath),
  };
}

/** Router advertisements from the pod network must not configure the node. */
function acceptRaPath(link: string): string {
  return `net/ipv6/conf/${link}/accept_ra`;
}

function planDevice(
  device: Link | undefined,
  own: Lease | undefined,
  family: Family,
): readonly KernelObject[] {
  if (device === undefined) return [];
  const path = acceptRaPath(device.name);
  const objects: KernelObject[] = [device, { kind: "sysctl", path, value: "0", optional: true }];
  const subnet = own?.subnets[family];
  if (subnet !== undefined)
    objects.push({
      kind: "address",
      link: device.name,
      address: hostCidr(cidrAddress(subnet)),
    });
  return objects;
}

/** @throws AgentError "config-invalid" for data that cannot be used */
function planPeer(
  setup: VxlanSetup,
  device: Link,
  peer: SelectedPeer,
  route: RouteLookup | undefined,
): PeerPlan {
  const { vni, vtepMac } = parseVxlanData(peer.data);
  if (vtepMac === device.mac)
    throw new AgentError("config-invalid", `VtepMAC ${vtepMac} is this node's own`);
  const direct = directLink(setup, route);
  const plan: PeerPlan = {
    objects:
      direct === undefined ? encapsulated(device.name, peer, vtepMac) : [directRoute(direct, peer)],
    // An FDB sends a MAC to one place. Two leases of one node may share it.
    claim: { what: "VtepMAC", of: vtepMac, holder: peer.publicIp },
  };
  if (vni === undefined || vni === setup.vni) return plan;
  // Programmed as the reference does, but most likely a mistake (spec 10 V11).
  const warning = `uses VNI ${vni}, ours is ${setup.vni}: its packets will not arrive`;
  return { ...plan, warning };
}

/** The device a peer is on the same segment of; undefined when packets for it need the tunnel. */
function directLink(setup: VxlanSetup, route: RouteLookup | undefined): string | undefined {
  if (!setup.directRouting || route?.gateway !== undefined) return undefined;
  return route?.link;
}

function directRoute(link: string, { subnet, publicIp }: SelectedPeer): KernelObject {
  return {
    kind: "route",
    destination: subnet,
    gateway: publicIp,
    link,
    onlink: false,
    protocol: ROUTE_PROTOCOL_TWILL,
  };
}

function encapsulated(
  link: string,
  { subnet, publicIp }: SelectedPeer,
  mac: Mac,
): readonly KernelObject[] {
  const gateway = cidrAddress(subnet);
  return [
    { kind: "neighbour", link, address: gateway, mac },
    {
      kind: "route",
      destination: subnet,
      gateway,
      link,
      onlink: true,
      protocol: ROUTE_PROTOCOL_BOOT,
    },
    { kind: "fdb", link, mac, destination: publicIp },
  ];
}
