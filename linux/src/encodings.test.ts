/**
 * Requests against literal bytes: sent by iproute2 6.1 where the comment gives the command, else
 * derived from the headers. Integers are little endian here. The addon adds NLM_F_ACK (0x0004) to
 * the last message of each batch, so it is not in these.
 */
import { endianness } from "node:os";
import { describe, expect, test } from "vitest";
import { addAddress, putAddress, removeAddress } from "./address.ts";
import { putFdbEntry, removeFdbEntry } from "./fdb.ts";
import { addLink, changeLink, removeLink } from "./link.ts";
import { putNeighbour, removeNeighbour } from "./neighbour.ts";
import { addNexthop, removeNexthop } from "./nexthop.ts";
import type { Request } from "./request.ts";
import { getRoute } from "./route-lookup.ts";
import { addRoute, putRoute, removeRoute } from "./route.ts";
import { fromHex, hexOf, toHex } from "./testing/messages.ts";

type Case = readonly [title: string, request: Request, hex: string];

const LINKS: readonly Case[] = [
  [
    "the reference's vxlan device",
    addLink({
      name: "flannel.1",
      kind: "vxlan",
      mtu: 1450,
      transmitQueueLength: 0,
      mac: "0e:00:00:00:00:01",
      vxlan: {
        id: 1,
        lowerIndex: 3,
        local: "192.0.2.1",
        ttl: 0,
        tos: 0,
        learning: false,
        proxy: false,
        routeShortCircuit: false,
        l2miss: false,
        l3miss: false,
        zeroChecksumTransmit: false,
        zeroChecksumReceive: false,
        gbp: true,
        port: 8473,
      },
    }),
    `cc 00 00 00 10 00 01 06 00 00 00 00 00 00 00 00
     00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00
     0e 00 03 00 66 6c 61 6e 6e 65 6c 2e 31 00 00 00
     08 00 04 00 aa 05 00 00 08 00 0d 00 00 00 00 00
     0a 00 01 00 0e 00 00 00 00 01 00 00
     80 00 12 00 09 00 01 00 76 78 6c 61 6e 00 00 00
     70 00 02 00
     08 00 01 00 01 00 00 00 08 00 03 00 03 00 00 00
     08 00 04 00 c0 00 02 01
     05 00 05 00 00 00 00 00 05 00 06 00 00 00 00 00
     05 00 07 00 00 00 00 00 05 00 0b 00 00 00 00 00
     05 00 0c 00 00 00 00 00 05 00 0d 00 00 00 00 00
     05 00 0e 00 00 00 00 00 05 00 13 00 00 00 00 00
     05 00 14 00 00 00 00 00 04 00 17 00
     06 00 0f 00 21 19 00 00`,
  ],
  [
    "a vxlan device over IPv6",
    addLink({ name: "v6", kind: "vxlan", vxlan: { id: 0xff_ffff, local: "2001:db8::1" } }),
    `58 00 00 00 10 00 01 06 00 00 00 00 00 00 00 00
     00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00
     07 00 03 00 76 36 00 00
     30 00 12 00 09 00 01 00 76 78 6c 61 6e 00 00 00
     20 00 02 00 08 00 01 00 ff ff ff 00
     14 00 11 00 20 01 0d b8 00 00 00 00 00 00 00 00 00 00 00 01`,
  ],
  [
    // ip link add name v0 type veth peer name v1 netns 11106, with the peer's name first
    "a veth whose peer is made in the namespace of a process",
    addLink({ name: "v0", kind: "veth", peer: { name: "v1", namespace: { pid: 11106 } } }),
    `5c 00 00 00 10 00 01 06 00 00 00 00 00 00 00 00
     00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00
     07 00 03 00 76 30 00 00 34 00 12 00 08 00 01 00
     76 65 74 68 28 00 02 00 24 00 01 00 00 00 00 00
     00 00 00 00 00 00 00 00 00 00 00 00
     07 00 03 00 76 31 00 00 08 00 13 00 62 2b 00 00`,
  ],
  [
    // ip link add name br0 mtu 1400 type bridge, with the name first
    "a bridge",
    addLink({ name: "br0", kind: "bridge", mtu: 1400 }),
    `40 00 00 00 10 00 01 06 00 00 00 00 00 00 00 00
     00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00
     08 00 03 00 62 72 30 00 08 00 04 00 78 05 00 00
     10 00 12 00 0a 00 01 00 62 72 69 64 67 65 00 00`,
  ],
  [
    "a port of a bridge, up, in the namespace of a file",
    changeLink({ index: 3 }, { up: true, masterIndex: 2, namespace: { descriptor: 9 } }),
    `30 00 00 00 10 00 01 00 00 00 00 00 00 00 00 00
     00 00 00 00 03 00 00 00 01 00 00 00 01 00 00 00
     08 00 0a 00 02 00 00 00 08 00 1c 00 09 00 00 00`,
  ],
  [
    // ip link set u0 mtu 1400 up
    "a new MTU",
    changeLink({ index: 3 }, { mtu: 1400, up: true }),
    `28 00 00 00 10 00 01 00 00 00 00 00 00 00 00 00
     00 00 00 00 03 00 00 00 01 00 00 00 01 00 00 00
     08 00 04 00 78 05 00 00`,
  ],
  [
    "a link set down, by its name",
    changeLink({ name: "u0" }, { up: false }),
    `28 00 00 00 10 00 01 00 00 00 00 00 00 00 00 00
     00 00 00 00 00 00 00 00 00 00 00 00 01 00 00 00
     07 00 03 00 75 30 00 00`,
  ],
  [
    // ip link del u0
    "a link removed",
    removeLink({ index: 3 }),
    `20 00 00 00 11 00 01 00 00 00 00 00 00 00 00 00
     00 00 00 00 03 00 00 00 00 00 00 00 00 00 00 00`,
  ],
];

const NEIGHBOURS: readonly Case[] = [
  [
    // ip neigh replace 10.42.2.0 lladdr 0e:00:00:00:00:02 dev flannel.1 nud permanent, but type 1 as the reference
    "a neighbour",
    putNeighbour({ linkIndex: 4, address: "10.42.2.0", mac: "0e:00:00:00:00:02" }),
    `30 00 00 00 1c 00 01 05 00 00 00 00 00 00 00 00
     02 00 00 00 04 00 00 00 80 00 00 01 08 00 01 00
     0a 2a 02 00 0a 00 02 00 0e 00 00 00 00 02 00 00`,
  ],
  [
    "a neighbour removed",
    removeNeighbour({ linkIndex: 4, address: "2001:db8::2", mac: "0e:00:00:00:00:02" }),
    `3c 00 00 00 1d 00 01 00 00 00 00 00 00 00 00 00
     0a 00 00 00 04 00 00 00 80 00 00 01
     14 00 01 00 20 01 0d b8 00 00 00 00 00 00 00 00 00 00 00 02
     0a 00 02 00 0e 00 00 00 00 02 00 00`,
  ],
  [
    // bridge fdb replace 0e:00:00:00:00:02 dev flannel.1 dst 192.0.2.2 self permanent, but state
    // and order as the reference
    "an FDB entry",
    putFdbEntry({ linkIndex: 4, mac: "0e:00:00:00:00:02", destination: "192.0.2.2" }),
    `30 00 00 00 1c 00 01 05 00 00 00 00 00 00 00 00
     07 00 00 00 04 00 00 00 80 00 02 00 08 00 01 00
     c0 00 02 02 0a 00 02 00 0e 00 00 00 00 02 00 00`,
  ],
  [
    "an FDB entry removed",
    removeFdbEntry({ linkIndex: 4, mac: "0e:00:00:00:00:02", destination: "192.0.2.2" }),
    `30 00 00 00 1d 00 01 00 00 00 00 00 00 00 00 00
     07 00 00 00 04 00 00 00 00 00 02 00 08 00 01 00
     c0 00 02 02 0a 00 02 00 0e 00 00 00 00 02 00 00`,
  ],
];

const ROUTES: readonly Case[] = [
  [
    // ip route replace 10.42.2.0/24 via 10.42.2.0 dev flannel.1 onlink
    "a route over vxlan",
    putRoute({ destination: "10.42.2.0/24", gateway: "10.42.2.0", linkIndex: 4, onlink: true }),
    `34 00 00 00 18 00 01 05 00 00 00 00 00 00 00 00
     02 18 00 00 fe 03 00 01 04 00 00 00 08 00 01 00
     0a 2a 02 00 08 00 05 00 0a 2a 02 00 08 00 04 00
     04 00 00 00`,
  ],
  [
    // ip route del 10.42.2.0/24 via 10.42.2.0 dev flannel.1 onlink, but type 0 for any
    "a route removed",
    removeRoute({ destination: "10.42.2.0/24", gateway: "10.42.2.0", linkIndex: 4, onlink: true }),
    `34 00 00 00 19 00 01 00 00 00 00 00 00 00 00 00
     02 18 00 00 fe 00 ff 00 04 00 00 00 08 00 01 00
     0a 2a 02 00 08 00 05 00 0a 2a 02 00 08 00 04 00
     04 00 00 00`,
  ],
  [
    "a route removed as the reference does",
    removeRoute({ destination: "10.42.2.0/24", gateway: "192.0.2.2", linkIndex: 0, scope: 0 }),
    `34 00 00 00 19 00 01 00 00 00 00 00 00 00 00 00
     02 18 00 00 fe 00 00 00 00 00 00 00 08 00 01 00
     0a 2a 02 00 08 00 05 00 c0 00 02 02 08 00 04 00
     00 00 00 00`,
  ],
  [
    // ip -6 route add 2001:db8:2::/64 via fe80::1 dev u0 metric 77 table 1000 proto 200 src ::1 mtu 1400,
    // with the device before the metric and the table before the source
    "a route with all that can be said",
    addRoute({
      destination: "2001:db8:2::/64",
      gateway: "fe80::1",
      linkIndex: 3,
      metric: 77,
      table: 1000,
      protocol: 200,
      preferredSource: "::1",
      mtu: 1400,
    }),
    `7c 00 00 00 18 00 01 06 00 00 00 00 00 00 00 00
     0a 40 00 00 00 c8 00 01 00 00 00 00 14 00 01 00
     20 01 0d b8 00 02 00 00 00 00 00 00 00 00 00 00
     14 00 05 00 fe 80 00 00 00 00 00 00 00 00 00 00
     00 00 00 01 08 00 04 00 03 00 00 00
     08 00 0f 00 e8 03 00 00 08 00 06 00 4d 00 00 00
     14 00 07 00 00 00 00 00 00 00 00 00 00 00 00 00
     00 00 00 01 0c 00 08 00 08 00 02 00 78 05 00 00`,
  ],
  [
    // ip route add blackhole 10.42.0.0/16
    "a blackhole",
    addRoute({ destination: "10.42.0.0/16", type: "blackhole" }),
    `24 00 00 00 18 00 01 06 00 00 00 00 00 00 00 00
     02 10 00 00 fe 03 00 06 00 00 00 00 08 00 01 00
     0a 2a 00 00`,
  ],
  [
    // ip route add 10.42.3.0/24 nhid 7
    "a route over a nexthop object",
    addRoute({ destination: "10.42.3.0/24", nexthopId: 7 }),
    `2c 00 00 00 18 00 01 06 00 00 00 00 00 00 00 00
     02 18 00 00 fe 03 00 01 00 00 00 00 08 00 01 00
     0a 2a 03 00 08 00 1e 00 07 00 00 00`,
  ],
  [
    // ip route add 10.9.0.0/16 nexthop via 192.0.2.2 dev u0 weight 2 nexthop via 192.0.2.3 dev u0
    "a route with two ways",
    addRoute({
      destination: "10.9.0.0/16",
      hops: [
        { gateway: "192.0.2.2", linkIndex: 3, weight: 2 },
        { gateway: "192.0.2.3", linkIndex: 3 },
      ],
    }),
    `48 00 00 00 18 00 01 06 00 00 00 00 00 00 00 00
     02 10 00 00 fe 03 00 01 00 00 00 00 08 00 01 00
     0a 09 00 00 24 00 09 00 10 00 00 01 03 00 00 00
     08 00 05 00 c0 00 02 02 10 00 00 00 03 00 00 00
     08 00 05 00 c0 00 02 03`,
  ],
  [
    "a route of link scope, as ip-route(8) takes it without a gateway",
    addRoute({ destination: "192.0.2.0/24", linkIndex: 3 }),
    `2c 00 00 00 18 00 01 06 00 00 00 00 00 00 00 00
     02 18 00 00 fe 03 fd 01 00 00 00 00 08 00 01 00
     c0 00 02 00 08 00 04 00 03 00 00 00`,
  ],
  [
    "an IPv4 route over an IPv6 gateway",
    addRoute({ destination: "192.0.2.0/24", gateway: "fe80::1", linkIndex: 3 }),
    `44 00 00 00 18 00 01 06 00 00 00 00 00 00 00 00
     02 18 00 00 fe 03 00 01 00 00 00 00 08 00 01 00
     c0 00 02 00 16 00 12 00 0a 00 fe 80 00 00 00 00
     00 00 00 00 00 00 00 00 00 01 00 00 08 00 04 00
     03 00 00 00`,
  ],
  [
    // ip route get 192.0.2.9
    "a lookup",
    getRoute("192.0.2.9"),
    `24 00 00 00 1a 00 01 00 00 00 00 00 00 00 00 00
     02 20 00 00 00 00 00 00 00 10 00 00 08 00 01 00
     c0 00 02 09`,
  ],
  [
    // ip nexthop add id 7 via 10.42.2.0 dev flannel.1 onlink
    "a nexthop",
    addNexthop({ id: 7, gateway: "10.42.2.0", linkIndex: 4, onlink: true }),
    `30 00 00 00 68 00 01 06 00 00 00 00 00 00 00 00
     02 00 03 00 04 00 00 00 08 00 01 00 07 00 00 00
     08 00 06 00 0a 2a 02 00 08 00 05 00 04 00 00 00`,
  ],
  [
    // ip nexthop del id 7
    "a nexthop removed",
    removeNexthop({ id: 7 }),
    `20 00 00 00 69 00 01 00 00 00 00 00 00 00 00 00
     00 00 00 00 00 00 00 00 08 00 01 00 07 00 00 00`,
  ],
];

const ADDRESSES: readonly Case[] = [
  [
    // ip address add 10.42.1.0/32 dev flannel.1
    "an address",
    addAddress({ linkIndex: 4, address: "10.42.1.0", prefixLength: 32 }),
    `28 00 00 00 14 00 01 06 00 00 00 00 00 00 00 00
     02 20 00 00 04 00 00 00 08 00 02 00 0a 2a 01 00
     08 00 01 00 0a 2a 01 00`,
  ],
  [
    // ip -6 address add 2001:db8::1/64 dev u0 nodad
    "an address without duplicate detection",
    addAddress({ linkIndex: 3, address: "2001:db8::1", prefixLength: 64, noDad: true }),
    `40 00 00 00 14 00 01 06 00 00 00 00 00 00 00 00
     0a 40 02 00 03 00 00 00 14 00 02 00 20 01 0d b8
     00 00 00 00 00 00 00 00 00 00 00 01 14 00 01 00
     20 01 0d b8 00 00 00 00 00 00 00 00 00 00 00 01`,
  ],
  [
    "an address with peer, broadcast, scope, and no route",
    putAddress({
      linkIndex: 3,
      address: "192.0.2.1",
      prefixLength: 24,
      peer: "192.0.2.2",
      broadcast: "192.0.2.255",
      scope: 253,
      noPrefixRoute: true,
    }),
    `38 00 00 00 14 00 01 05 00 00 00 00 00 00 00 00
     02 18 00 fd 03 00 00 00 08 00 02 00 c0 00 02 01
     08 00 01 00 c0 00 02 02 08 00 04 00 c0 00 02 ff
     08 00 08 00 00 02 00 00`,
  ],
  [
    "an address removed",
    removeAddress({ linkIndex: 3, address: "192.0.2.1", prefixLength: 24 }),
    `28 00 00 00 15 00 01 00 00 00 00 00 00 00 00 00
     02 18 00 00 03 00 00 00 08 00 02 00 c0 00 02 01
     08 00 01 00 c0 00 02 01`,
  ],
];

describe.runIf(endianness() === "LE")("the bytes of", () => {
  test.each([...LINKS, ...NEIGHBOURS, ...ROUTES, ...ADDRESSES])("%s", (_, request, hex) => {
    expect(hexOf(request)).toBe(toHex(fromHex(hex)));
  });
});
