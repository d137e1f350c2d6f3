import { expect, it } from "vitest";
import { parseSubnetFile } from "../subnet-file.ts";
import { planHost, planTopology } from "../topology.ts";
import { endpointBatch, plugBatch, podBatch, podBridgeBatch, switchBatch } from "./link-scripts.ts";

const DUAL = { nodes: 1, segments: 1, storeMembers: 1, families: ["ipv4", "ipv6"] } as const;
const FILE = `FLANNEL_NETWORK=10.244.0.0/16
FLANNEL_SUBNET=10.244.7.1/24
FLANNEL_IPV6_NETWORK=fd00:10:244::/48
FLANNEL_IPV6_SUBNET=fd00:10:244:7::1/64
FLANNEL_MTU=1430
FLANNEL_IPMASQ=false
`;

it("plugs a host into its segment, in both families", () => {
  const { segments } = planTopology(DUAL);
  const host = planHost(1, DUAL);
  expect(switchBatch(segments) + endpointBatch(host) + plugBatch([host])).toMatchInlineSnapshot(`
    "link set lo up
    link add seg1 address 02:00:ac:1f:01:01 type bridge
    address add 172.31.1.1/24 dev seg1
    address add fd00:31:0:1::1/64 dev seg1 nodad
    link set seg1 up
    link set lo up
    link add eth0 address 02:00:ac:1f:01:0b type veth peer name n1 netns 1
    address add 172.31.1.11/24 dev eth0
    address add fd00:31:0:1::b/64 dev eth0 nodad
    link set eth0 up
    route add default via 172.31.1.1 dev eth0
    route add default via fd00:31:0:1::1 dev eth0
    link set n1 master seg1 up
    "
  `);
});

it("gives the bridge the first and the pod the second address of each leased subnet", () => {
  const file = parseSubnetFile(FILE);
  expect(file && `${podBridgeBatch(file)}42\n${podBatch(file)}`).toMatchInlineSnapshot(`
    "link add cni0 address 0a:58:0a:f4:07:01 type bridge
    link set cni0 mtu 1430
    address add 10.244.7.1/24 dev cni0
    address add fd00:10:244:7::1/64 dev cni0 nodad
    link set cni0 up
    neighbour add 10.244.7.2 lladdr 0a:58:0a:f4:07:02 dev cni0 nud permanent
    neighbour add fd00:10:244:7::2 lladdr 0a:58:0a:f4:07:02 dev cni0 nud permanent
    link add pod0 mtu 1430 master cni0 up type veth peer name eth0 address 0a:58:0a:f4:07:02 mtu 1430 netns 42
    link set lo up
    address add 10.244.7.2/24 dev eth0
    address add fd00:10:244:7::2/64 dev eth0 nodad
    link set eth0 up
    route add default via 10.244.7.1 dev eth0
    route add default via fd00:10:244:7::1 dev eth0
    neighbour add 10.244.7.1 lladdr 0a:58:0a:f4:07:01 dev eth0 nud permanent
    neighbour add fd00:10:244:7::1 lladdr 0a:58:0a:f4:07:01 dev eth0 nud permanent
    "
  `);
});
