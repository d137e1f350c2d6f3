import { expect, test } from "vitest";
import { parseCidr, parseIp } from "../core/ip.ts";
import { parseMac } from "../core/mac.ts";
import type { AgentState, WishState } from "../daemon-vitals.ts";
import type { FdbEntry, Route, RouteLookup } from "../kernel/kernel.ts";
import { findDifferences, probesOf } from "./check.ts";
import type { Evidence } from "./check.ts";

const gateway = parseIp("10.42.2.0");
const ROUTE: Route = {
  kind: "route",
  destination: parseCidr("10.42.2.0/24"),
  gateway,
  link: "flannel.1",
  onlink: true,
  protocol: 3,
};
const FDB: FdbEntry = {
  kind: "fdb",
  link: "flannel.1",
  mac: parseMac("0e:00:00:00:00:02"),
  destination: parseIp("192.0.2.2"),
};
const WISH: WishState = {
  scope: { links: ["flannel.1"], networks: [parseCidr("10.42.0.0/16")], sysctls: [] },
  objects: [FDB, ROUTE],
};
const STATE: AgentState = {
  stage: "running",
  ready: true,
  hindrances: [],
  lease: {
    subnets: { 4: parseCidr("10.42.1.0/24") },
    publicIps: { 4: parseIp("192.0.2.1") },
    backendType: "vxlan",
  },
  backend: {
    type: "vxlan",
    mtu: 1450,
    publicIps: { 4: parseIp("192.0.2.1") },
    links: ["flannel.1"],
    networks: { 4: parseCidr("10.42.0.0/16") },
  },
  peers: [],
  complaints: [],
  refusals: [],
  passes: [],
};
const WAY: RouteLookup = { destination: parseIp("10.42.2.1"), link: "flannel.1", gateway };
const FILE =
  "FLANNEL_NETWORK=10.42.0.0/16\nFLANNEL_SUBNET=10.42.1.1/24\nFLANNEL_MTU=1450\nFLANNEL_IPMASQ=false\n";
const GOOD: Evidence = { dumped: [FDB, ROUTE], ways: [WAY], subnetFile: FILE };

function differences(evidence: Partial<Evidence>): readonly string[] {
  return findDifferences(STATE, WISH, { ...GOOD, ...evidence });
}

test("the kernel is asked the way to an address inside each peer's subnet", () => {
  expect(probesOf(WISH).map(({ destination }) => destination)).toEqual(["10.42.2.1"]);
});

test("nothing is said of a kernel that holds what the store says", () => {
  expect(differences({})).toEqual([]);
});

test("what is missing, left over or different is named once each", () => {
  const other: FdbEntry = { ...FDB, destination: parseIp("192.0.2.9") };
  const left: Route = { ...ROUTE, destination: parseCidr("10.42.9.0/24") };
  expect(differences({ dumped: [other, left], ways: [undefined] })).toEqual([
    "differs: fdb 0e:00:00:00:00:02 dev flannel.1 dst 192.0.2.2 self permanent is wanted, fdb 0e:00:00:00:00:02 dev flannel.1 dst 192.0.2.9 self permanent is there",
    "missing: route 10.42.2.0/24 via 10.42.2.0 dev flannel.1 onlink",
    "left over: route 10.42.9.0/24 via 10.42.2.0 dev flannel.1 onlink",
  ]);
});

test("the kernel's own route where a peer's belongs is named as what blocks it", () => {
  const { gateway: _, ...own } = { ...ROUTE, link: "eth1", onlink: false, protocol: 2 };
  expect(differences({ dumped: [FDB, own], ways: [undefined] })).toEqual([
    "blocked: route 10.42.2.0/24 via 10.42.2.0 dev flannel.1 onlink is wanted, the kernel's own route 10.42.2.0/24 dev eth1 proto kernel stands there",
  ]);
});

test("packets that another route leads elsewhere are named although the peer's route is there", () => {
  const way: RouteLookup = {
    destination: WAY.destination,
    link: "eth0",
    gateway: parseIp("192.0.2.254"),
  };
  expect(differences({ ways: [way] })).toEqual([
    "misled: packets for 10.42.2.1 go via 192.0.2.254 dev eth0, not via 10.42.2.0 dev flannel.1",
  ]);
  const elsewhere: readonly RouteLookup[] = [
    { ...WAY, gateway: parseIp("10.42.3.0") },
    { ...WAY, link: "flannel.7" },
  ];
  for (const other of elsewhere) expect(differences({ ways: [other] })).toHaveLength(1);
  expect(differences({ ways: [undefined] })).toEqual([
    "misled: packets for 10.42.2.1 go nowhere, not via 10.42.2.0 dev flannel.1",
  ]);
});

test("the subnet file must say what was leased", () => {
  expect(differences({ subnetFile: undefined })).toEqual(["subnet file: is not there"]);
  expect(
    differences({ subnetFile: FILE.replace("10.42.1.1", "10.42.7.1").replace("1450", "1500") }),
  ).toEqual([
    "subnet file: says 10.42.7.0/24 for IPv4, the lease is 10.42.1.0/24",
    "subnet file: says MTU 1500, the backend's is 1450",
  ]);
});
