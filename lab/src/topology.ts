import type { IpFamily } from "./addresses.ts";
import type { LabOptions } from "./options.ts";

/**
 * The lab's underlay as values:
 *
 *     seg1 172.31.1.1/24 ──┬── etcd 172.31.1.2, etcd2 172.31.1.3, …
 *                          ├── n1 eth0 172.31.1.11 ── cni0 ── pod
 *       (switch, router)   └── n3 eth0 172.31.1.13 ── cni0 ── pod
 *     seg2 172.31.2.1/24 ───── n2 eth0 172.31.2.12 ── cni0 ── pod
 *
 * The supervisor's own network namespace is the switch (one bridge per segment) and the router between the segments.
 */
export interface Topology {
  readonly segments: readonly SegmentPlan[];
  /** The members of the store, from the first one on. */
  readonly store: readonly EndpointPlan[];
  readonly hosts: readonly HostPlan[];
}

export interface SegmentPlan {
  readonly bridge: string;
  /** The router's. A bridge without one of its own takes a port's, and changes it when that port goes: hosts then lose their router. */
  readonly mac: string;
  /** The router's own address on the segment, per family, with its prefix length. */
  readonly addresses: readonly string[];
}

/** Something plugged into a segment through a link called `eth0`. */
export interface EndpointPlan {
  /** Also its hostname and the name of its port on the switch. */
  readonly name: string;
  readonly bridge: string;
  /** The same whenever a host of this name is made, as a machine's is: neighbours remember it for half a minute. */
  readonly mac: string;
  readonly addresses: readonly EndpointAddress[];
}

export interface EndpointAddress {
  readonly family: IpFamily;
  readonly address: string;
  readonly prefixLength: number;
  readonly router: string;
}

export interface HostPlan extends EndpointPlan {
  /** From 1; part of the name and of the address. */
  readonly index: number;
  /** From 1. */
  readonly segment: number;
}

/** The interface of each host that its peers reach it through. */
export const EXTERNAL_INTERFACE = "eth0";
/** The first member's; those after it are `etcd2`, `etcd3`, … */
export const STORE_NAME = "etcd";
export const STORE_PORT = 2379;

const FIRST_HOST = 10;
const STORE_HOST = 2;
const ROUTER_HOST = 1;

export function planTopology(
  options: Pick<LabOptions, "nodes" | "segments" | "families" | "storeMembers">,
): Topology {
  const { segments, families, storeMembers } = options;
  return {
    segments: Array.from({ length: segments }, (_, index) => ({
      bridge: bridgeOf(index + 1),
      mac: macOn(index + 1, ROUTER_HOST),
      addresses: families.map((family) => {
        const { address, prefixLength } = addressOn(index + 1, ROUTER_HOST, family);
        return `${address}/${prefixLength}`;
      }),
    })),
    store: Array.from({ length: storeMembers }, (_, index) => ({
      name: index === 0 ? STORE_NAME : `${STORE_NAME}${index + 1}`,
      bridge: bridgeOf(1),
      mac: macOn(1, STORE_HOST + index),
      addresses: families.map((family) => addressOn(1, STORE_HOST + index, family)),
    })),
    hosts: Array.from({ length: options.nodes }, (_, index) => planHost(index + 1, options)),
  };
}

/** The host with this number: hosts are dealt to the segments in turn. */
export function planHost(
  index: number,
  options: Pick<LabOptions, "segments" | "families">,
): HostPlan {
  const segment = ((index - 1) % options.segments) + 1;
  return {
    name: `n${index}`,
    index,
    segment,
    bridge: bridgeOf(segment),
    mac: macOn(segment, FIRST_HOST + index),
    addresses: options.families.map((family) => addressOn(segment, FIRST_HOST + index, family)),
  };
}

/** What agents and the lab itself ask for the store: one URL for each member. */
export function storeEndpoints(members: number): readonly string[] {
  return storeAddresses(members).map((address) => `http://${address}:${STORE_PORT}`);
}

/** The IPv4 addresses of the members. */
export function storeAddresses(members: number): readonly string[] {
  return Array.from(
    { length: members },
    (_, index) => addressOn(1, STORE_HOST + index, "ipv4").address,
  );
}

/** The number in a host's name, or undefined when the text is no host's name. */
export function hostIndex(name: string): number | undefined {
  const match = /^n([1-9]\d{0,2})$/.exec(name);
  return match === null ? undefined : Number(match[1]);
}

function bridgeOf(segment: number): string {
  return `seg${segment}`;
}

/** Locally administered; ends in the segment's and the host's number like the IPv4 address. */
function macOn(segment: number, host: number): string {
  const [third, fourth] = [segment, host].map((byte) => byte.toString(16).padStart(2, "0"));
  return `02:00:ac:1f:${third}:${fourth}`;
}

function addressOn(segment: number, host: number, family: IpFamily): EndpointAddress {
  return family === "ipv4"
    ? {
        family,
        address: `172.31.${segment}.${host}`,
        prefixLength: 24,
        router: `172.31.${segment}.${ROUTER_HOST}`,
      }
    : {
        family,
        address: `fd00:31:0:${segment.toString(16)}::${host.toString(16)}`,
        prefixLength: 64,
        router: `fd00:31:0:${segment.toString(16)}::${ROUTER_HOST}`,
      };
}
