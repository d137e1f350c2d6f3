/** Leases → what the kernel should hold for vxlan: pure values. Source: spec 05 sections 2.3 and 2.4. */
import { AgentError } from "../../core/errors.ts";
import { cidrAddress, hostCidr } from "../../core/ip.ts";
import type { Family, Ip, PerFamily } from "../../core/ip.ts";
import type { Mac } from "../../core/mac.ts";
import type { NetworkConfig } from "../../core/network-config.ts";
import { ROUTE_PROTOCOL_BOOT, ROUTE_PROTOCOL_TWILL } from "../../kernel/kernel.ts";
import type { KernelObject, Link, RouteLookup } from "../../kernel/kernel.ts";
import { enabledFamilies, selectPeers } from "../backend.ts";
import type { Plan, PlanInput, Rejection, SelectedPeer } from "../backend.ts";
import { parseVxlanData } from "./config.ts";
import type { VxlanData } from "./config.ts";

export const TYPE = "vxlan";

/** What is fixed while the backend is open. */
export interface VxlanSetup {
  readonly config: NetworkConfig;
  readonly vni: number;
  readonly directRouting: boolean;
  /** One for each enabled family. */
  readonly devices: PerFamily<Link>;
}

export interface VxlanPlan extends Plan {
  /** Peers that publish another VNI than ours. */
  readonly strangeVnis: readonly { readonly peer: SelectedPeer; readonly vni: number }[];
}

/** `flannel.1`, `flannel-v6.1`: the names peers of the same node's next agent look for. */
export function deviceName(family: Family, vni: number): string {
  return family === 4 ? `flannel.${vni}` : `flannel-v6.${vni}`;
}

export function planVxlan(setup: VxlanSetup, input: PlanInput): VxlanPlan {
  const objects: KernelObject[] = [];
  const rejected: Rejection[] = [];
  const strangeVnis: { peer: SelectedPeer; vni: number }[] = [];
  for (const family of enabledFamilies(setup.config)) {
    const { [family]: device } = setup.devices;
    if (device === undefined) continue;
    const part = new FamilyPlan(setup, device, family, input);
    objects.push(...part.objects);
    rejected.push(...part.rejected);
    strangeVnis.push(...part.strangeVnis);
  }
  return {
    scope: scopeOf(setup),
    objects,
    rejected,
    strangeVnis,
    additive: input.own === undefined,
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

class FamilyPlan {
  readonly objects: KernelObject[] = [];
  readonly rejected: Rejection[] = [];
  readonly strangeVnis: { peer: SelectedPeer; vni: number }[] = [];
  readonly #setup: VxlanSetup;
  readonly #device: Link;
  readonly #family: Family;
  readonly #routes: ReadonlyMap<Ip, RouteLookup>;
  /** Where the FDB sends frames for a MAC, and for whom first. */
  readonly #byMac = new Map<Mac, SelectedPeer>();

  constructor(setup: VxlanSetup, device: Link, family: Family, input: PlanInput) {
    this.#setup = setup;
    this.#device = device;
    this.#family = family;
    this.#routes = input.routes;
    this.objects.push(device, {
      kind: "sysctl",
      path: acceptRaPath(device.name),
      value: "0",
      optional: true,
    });
    const { own } = input;
    const subnet = own?.subnets[family];
    if (own === undefined || subnet === undefined) return;
    this.objects.push({
      kind: "address",
      link: device.name,
      address: hostCidr(cidrAddress(subnet)),
    });
    const { config } = setup;
    const { selected, rejected } = selectPeers(input.peers, { type: TYPE, family, config, own });
    this.rejected.push(...rejected);
    for (const peer of selected) this.#addPeer(peer);
  }

  #addPeer(peer: SelectedPeer): void {
    const data = this.#read(peer);
    if (data === undefined) return;
    if (data.vni !== undefined && data.vni !== this.#setup.vni)
      this.strangeVnis.push({ peer, vni: data.vni });
    const direct = this.#directLink(peer.publicIp);
    if (direct === undefined) this.#encapsulate(peer, data.vtepMac);
    else
      this.objects.push({
        kind: "route",
        destination: peer.subnet,
        gateway: peer.publicIp,
        link: direct,
        onlink: false,
        protocol: ROUTE_PROTOCOL_TWILL,
      });
  }

  /** Undefined, and the peer rejected, for data that cannot be used. */
  #read(peer: SelectedPeer): VxlanData | undefined {
    try {
      const data = parseVxlanData(peer.data);
      const problem = this.#macProblem(peer, data.vtepMac);
      if (problem === undefined) return data;
      this.#reject(peer, problem);
    } catch (error) {
      if (!(error instanceof AgentError)) throw error;
      this.#reject(peer, error.message);
    }
    return undefined;
  }

  /** An FDB sends a MAC to one place. Two leases of one node may share it. */
  #macProblem(peer: SelectedPeer, mac: Mac): string | undefined {
    if (mac === this.#device.mac) return `VtepMAC ${mac} is this node's own`;
    const first = this.#byMac.get(mac);
    if (first === undefined) this.#byMac.set(mac, peer);
    else if (first.publicIp !== peer.publicIp)
      return `VtepMAC ${mac} is that of ${first.subnet} at ${first.publicIp}`;
    return undefined;
  }

  #reject(peer: SelectedPeer, reason: string): void {
    this.rejected.push({ peer: peer.lease, reason: `IPv${this.#family}: ${reason}` });
  }

  /** The device a peer is on the same segment of; undefined when packets for it need the tunnel. */
  #directLink(publicIp: Ip): string | undefined {
    if (!this.#setup.directRouting) return undefined;
    const route = this.#routes.get(publicIp);
    return route === undefined || route.gateway !== undefined ? undefined : route.link;
  }

  #encapsulate(peer: SelectedPeer, mac: Mac): void {
    const link = this.#device.name;
    const gateway = cidrAddress(peer.subnet);
    this.objects.push(
      { kind: "neighbour", link, address: gateway, mac },
      {
        kind: "route",
        destination: peer.subnet,
        gateway,
        link,
        onlink: true,
        protocol: ROUTE_PROTOCOL_BOOT,
      },
    );
    const first = this.#byMac.get(mac);
    if (first === peer) this.objects.push({ kind: "fdb", link, mac, destination: peer.publicIp });
  }
}
