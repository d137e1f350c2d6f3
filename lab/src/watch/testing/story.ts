import type { NetworkFactsOfRun } from "../../checks/kernel-equals-leases.ts";
import { NETWORKS } from "../../network-config.ts";
import type { HostKernel } from "../../observe/kernel-state.ts";
import { InvariantWatch, type NamedViolation } from "../invariant-watch.ts";
import { INVARIANT_CHECKS } from "../checks/registry.ts";
import type { StoreRequest } from "../witnesses/store-request.ts";
import type {
  ConnectionsOpened,
  DumpedHost,
  DumpRound,
  FileSighting,
  KernelBaseline,
  KernelChange,
  KernelChanges,
  KernelObject,
  Sighting,
  StoreChange,
  StoreRequestSeen,
  StoreRead,
  StoreRevision,
} from "../sightings.ts";

/** For tests of the checks: what witnesses of a small vxlan cluster would see. */
export const FACTS: NetworkFactsOfRun = {
  backend: "vxlan",
  directRouting: false,
  segmentLengths: { ipv4: 24, ipv6: 64 },
  families: ["ipv4"],
  networks: { ipv4: [NETWORKS.ipv4], ipv6: [NETWORKS.ipv6] },
};
const PREFIX = "/coreos.com/network";
export const CONFIG = '{"Network":"10.244.0.0/16","Backend":{"Type":"vxlan"}}';

export const ipOf = (node: number): string => `172.31.1.${10 + node}`;
export const macOf = (node: number): string => `0e:00:00:00:00:0${node}`;
export const subnetOf = (node: number): string => `10.244.${node}.0`;

export function put(
  key: string,
  value: string,
  more: { version?: number; createRevision?: number; leaseId?: string | null } = {},
): StoreChange {
  const { version = 1, createRevision = 10, leaseId = "77" } = more;
  return {
    kind: "put",
    version,
    entry: {
      key: `${PREFIX}/${key}`,
      value,
      modRevision: createRevision,
      createRevision,
      ...(leaseId === null ? {} : { leaseId }),
    },
  };
}

/** The lease of a node for a subnet key like `10.244.1.0-24`. */
export function lease(
  node: number,
  key: string = `${subnetOf(node)}-24`,
  more: Parameters<typeof put>[2] = {},
): StoreChange {
  const value = {
    PublicIP: ipOf(node),
    BackendType: "vxlan",
    BackendData: { VNI: 1, VtepMAC: macOf(node) },
  };
  return put(`subnets/${key}`, JSON.stringify(value), more);
}

export function drop(key: string): StoreChange {
  return { kind: "delete", key: `${PREFIX}/subnets/${key}` };
}

export function revision(at: number, ...all: readonly StoreChange[]): StoreRevision {
  return { witness: "store", kind: "revision", at, revision: at, changes: all };
}

/** The store was asked at a moment how far it was. */
export function read(askedAt: number, newest: number): StoreRead {
  return { witness: "store", kind: "read", at: askedAt + 10, askedAt, newest };
}

export function changes(at: number, host: string, ...all: readonly KernelChange[]): KernelChanges {
  return { witness: "kernel", kind: "changes", at, host, changes: all };
}

export function objectsFor(peer: number): readonly [KernelObject, KernelObject, KernelObject] {
  const device = "flannel.1";
  return [
    { object: "fdb", mac: macOf(peer), device, destination: ipOf(peer) },
    { object: "neighbour", address: subnetOf(peer), device, mac: macOf(peer) },
    {
      object: "route",
      family: "ipv4",
      destination: `${subnetOf(peer)}/24`,
      gateway: subnetOf(peer),
      device,
      protocol: 3,
    },
  ];
}

/** What was on a host before its agent: somebody else's. */
export const FOREIGN_ROUTE: Extract<KernelObject, { readonly object: "route" }> = {
  object: "route",
  family: "ipv4",
  destination: "198.51.100.0/24",
  gateway: "172.31.1.1",
  device: "eth0",
  protocol: 4,
};

export function baseline(
  at: number,
  host: string,
  ...objects: readonly KernelObject[]
): KernelBaseline {
  return { witness: "kernel", kind: "baseline", at, host, objects };
}

/** The store answered a node. */
export function asked(
  at: number,
  node: number,
  request: Omit<StoreRequest, "client" | "writes"> & Partial<StoreRequest>,
): StoreRequestSeen {
  return {
    witness: "request",
    kind: "asked",
    at,
    request: { client: ipOf(node), writes: [], ...request },
  };
}

export function connections(at: number, node: number, opened: number): ConnectionsOpened {
  return { witness: "connection", kind: "opened", at, host: `n${node}`, opened };
}

/** A fault that only strikes, and is over at the next moment. */
export const blow = (at: number, host: string): readonly Sighting[] => [
  { witness: "stage", kind: "fault-began", at, fault: "blow", host },
  { witness: "stage", kind: "fault-ended", at: at + 1, fault: "blow" },
];

export const putAll = (objects: readonly KernelObject[]): readonly KernelChange[] =>
  objects.map((object) => ({ kind: "put", object }));
export const removed = (object: KernelObject): KernelChange => ({ kind: "remove", object });

/** A host whose kernel is as it should be with these peers. */
export function dumped(node: number, peers: readonly number[]): DumpedHost {
  const device = "flannel.1";
  const kernel: HostKernel = {
    routes: [
      {
        family: "ipv4",
        destination: "default",
        gateway: "172.31.1.1",
        device: "eth0",
        onlink: false,
        protocol: "boot",
      },
      {
        family: "ipv4",
        destination: "172.31.1.0/24",
        gateway: undefined,
        device: "eth0",
        onlink: false,
        protocol: "kernel",
      },
      {
        family: "ipv4",
        destination: `${subnetOf(node)}/24`,
        gateway: undefined,
        device: "cni0",
        onlink: false,
        protocol: "kernel",
      },
      ...peers.map((peer) => ({
        family: "ipv4" as const,
        destination: `${subnetOf(peer)}/24`,
        gateway: subnetOf(peer),
        device,
        onlink: true,
        protocol: "boot",
      })),
    ],
    neighbours: peers.map((peer) => ({
      family: "ipv4",
      address: subnetOf(peer),
      device,
      mac: macOf(peer),
    })),
    fdb: peers.map((peer) => ({ device, mac: macOf(peer), destination: ipOf(peer) })),
    vxlans: [{ device, mac: macOf(node) }],
  };
  return {
    host: `n${node}`,
    kernel,
    links: [
      { name: "eth0", mtu: 1500 },
      { name: "flannel.1", mtu: 1450 },
    ],
  };
}

export function round(at: number, ...hosts: readonly DumpedHost[]): DumpRound {
  return { witness: "dump", kind: "round", at, endAt: at + 20, hosts };
}

export function file(at: number, node: number, text: string = fileText(node)): FileSighting {
  return { witness: "file", kind: "changed", at, host: `n${node}`, text };
}

export function fileText(node: number, mtu: number = 1450): string {
  return `FLANNEL_NETWORK=10.244.0.0/16\nFLANNEL_SUBNET=10.244.${node}.1/24\nFLANNEL_MTU=${mtu}\nFLANNEL_IPMASQ=false\n`;
}

export const nodeJoins = (at: number, node: number): readonly Sighting[] => [
  { witness: "stage", kind: "host-joined", at, host: `n${node}`, publicIps: { ipv4: ipOf(node) } },
  { witness: "stage", kind: "agent-started", at, host: `n${node}` },
];

/** Two nodes with their leases, files and kernels; quiet from 200 on. */
export const CLUSTER: readonly Sighting[] = [
  baseline(0, "n1", FOREIGN_ROUTE),
  ...nodeJoins(1, 1),
  ...nodeJoins(1, 2),
  revision(2, put("config", CONFIG, { createRevision: 2, leaseId: null })),
  asked(99, 1, { verb: "Range", lists: `${PREFIX}/subnets/` }),
  asked(100, 1, {
    verb: "Txn",
    writes: [{ key: `${PREFIX}/subnets/10.244.1.0-24`, isConditional: true }],
  }),
  connections(100, 1, 1),
  revision(100, lease(1)),
  revision(110, lease(2)),
  changes(120, "n1", ...putAll(objectsFor(2))),
  changes(120, "n2", ...putAll(objectsFor(1))),
  file(150, 1),
  file(150, 2),
];

/** A fault takes the tunnel device of n1, and then a route: the agent puts both back. */
export const MENDED: readonly Sighting[] = [
  ...blow(1000, "n1"),
  changes(1001, "n1", removed({ object: "link", device: "flannel.1", up: false })),
  changes(
    1100,
    "n1",
    ...putAll([{ object: "link", device: "flannel.1", up: true }, ...objectsFor(2)]),
  ),
  changes(1110, "n1", removed(objectsFor(2)[2])),
  changes(1120, "n1", ...putAll([objectsFor(2)[2]])),
];

/** Goes by without anything in it: what waits for its time gets it. */
export const laterOn = (at: number): Sighting => ({
  witness: "probe",
  kind: "progress",
  at,
  from: "n1",
  to: "n2",
  family: "ipv4",
  sent: 50,
  received: 50,
});

/** Every violation that the checks tell of a story, as `id detail`, and the watch that told them. */
export function judged(...sightings: readonly Sighting[]): {
  readonly told: readonly string[];
  readonly violations: readonly NamedViolation[];
  readonly watch: InvariantWatch;
} {
  const watch = new InvariantWatch(INVARIANT_CHECKS, FACTS);
  const violations = sightings.flatMap((sighting) => watch.see(sighting));
  return { violations, told: violations.map(({ id, detail }) => `${id} ${detail}`), watch };
}
