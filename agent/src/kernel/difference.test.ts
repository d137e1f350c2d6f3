import { describe, expect, test } from "vitest";
import { parseCidr, parseIp } from "../core/ip.ts";
import { ROUTE_PROTOCOL_TWILL } from "./kernel.ts";
import type { Address, KernelObject, Link } from "./kernel.ts";
import { difference } from "./reconcile.ts";
import type { DesiredState } from "./reconcile.ts";
import {
  ADDRESS,
  BASE,
  DEVICE,
  MAC_9,
  SYSCTL,
  lines,
  peer,
  vxlanOf,
  wish,
  world,
} from "./sample-objects.ts";

/** The difference to a kernel that already holds `before`. */
async function changesFrom(before: readonly KernelObject[], after: DesiredState): Promise<string> {
  const kernel = world();
  await kernel.apply(before.map((object) => ({ action: "put", object })));
  return lines(difference(await kernel.dump(after.scope), after));
}

describe("the order of changes", () => {
  test("from nothing", async () => {
    expect(await changesFrom([], wish(...BASE, ...peer(2)))).toMatchInlineSnapshot(`
      "put link flannel.1 type vxlan id 1 local 192.0.2.1 dev eth0 dstport 8472 nolearning address 0e:00:00:00:00:01 mtu 1450
      put sysctl net/ipv6/conf/flannel.1/accept_ra = 0
      put address 10.42.1.0/32 dev flannel.1
      put fdb 0e:00:00:00:00:02 dev flannel.1 dst 192.0.2.2 self permanent
      put neigh 10.42.2.0 dev flannel.1 lladdr 0e:00:00:00:00:02 PERMANENT
      put route 10.42.2.0/24 via 10.42.2.0 dev flannel.1 onlink"
    `);
  });

  test("to nothing", async () => {
    expect(await changesFrom([...BASE, ...peer(2)], wish(DEVICE, SYSCTL, ADDRESS)))
      .toMatchInlineSnapshot(`
      "remove route 10.42.2.0/24 via 10.42.2.0 dev flannel.1 onlink
      remove neigh 10.42.2.0 dev flannel.1 lladdr 0e:00:00:00:00:02 PERMANENT
      remove fdb 0e:00:00:00:00:02 dev flannel.1 dst 192.0.2.2 self permanent"
    `);
    expect(await changesFrom([...BASE, ...peer(2)], wish())).toMatchInlineSnapshot(
      `"remove link flannel.1 type vxlan id 1 local 192.0.2.1 dev eth0 dstport 8472 nolearning address 0e:00:00:00:00:01 mtu 1450"`,
    );
  });

  test("a changed MAC: the new FDB entry and neighbour before the old FDB entry goes", async () => {
    expect(await changesFrom([...BASE, ...peer(2)], wish(...BASE, ...peer(2, MAC_9))))
      .toMatchInlineSnapshot(`
      "put fdb 0e:00:00:00:00:09 dev flannel.1 dst 192.0.2.2 self permanent
      put neigh 10.42.2.0 dev flannel.1 lladdr 0e:00:00:00:00:09 PERMANENT
      remove fdb 0e:00:00:00:00:02 dev flannel.1 dst 192.0.2.2 self permanent"
    `);
  });

  test("an incompatible device goes first, and all it carried is put on the new one", async () => {
    const other: Link = { ...DEVICE, vxlan: { ...vxlanOf(DEVICE), port: 4789 } };
    expect(await changesFrom([other, SYSCTL, ADDRESS, ...peer(2)], wish(...BASE, ...peer(2))))
      .toMatchInlineSnapshot(`
      "remove link flannel.1 type vxlan id 1 local 192.0.2.1 dev eth0 dstport 4789 nolearning address 0e:00:00:00:00:01 mtu 1450
      put link flannel.1 type vxlan id 1 local 192.0.2.1 dev eth0 dstport 8472 nolearning address 0e:00:00:00:00:01 mtu 1450
      put sysctl net/ipv6/conf/flannel.1/accept_ra = 0
      put address 10.42.1.0/32 dev flannel.1
      put fdb 0e:00:00:00:00:02 dev flannel.1 dst 192.0.2.2 self permanent
      put neigh 10.42.2.0 dev flannel.1 lladdr 0e:00:00:00:00:02 PERMANENT
      put route 10.42.2.0/24 via 10.42.2.0 dev flannel.1 onlink"
    `);
  });

  test("MTU, learning and up are corrected in place; a changed own MAC puts the neighbours back", async () => {
    const other: Link = {
      ...DEVICE,
      mtu: 1400,
      mac: MAC_9,
      vxlan: { ...vxlanOf(DEVICE), learning: true },
    };
    expect(await changesFrom([other, SYSCTL, ADDRESS, ...peer(2)], wish(...BASE, ...peer(2))))
      .toMatchInlineSnapshot(`
      "put link flannel.1 type vxlan id 1 local 192.0.2.1 dev eth0 dstport 8472 nolearning address 0e:00:00:00:00:01 mtu 1450
      put neigh 10.42.2.0 dev flannel.1 lladdr 0e:00:00:00:00:02 PERMANENT"
    `);
  });

  test("another device of ours with the wanted VNI and port goes before", async () => {
    const old: Link = { ...DEVICE, name: "flannel-old" };
    const desired = wish(DEVICE);
    const scope = { ...desired.scope, links: ["flannel.1", "flannel-old"] };
    expect(await changesFrom([old], { ...desired, scope })).toMatchInlineSnapshot(`
      "remove link flannel-old type vxlan id 1 local 192.0.2.1 dev eth0 dstport 8472 nolearning address 0e:00:00:00:00:01 mtu 1450
      put link flannel.1 type vxlan id 1 local 192.0.2.1 dev eth0 dstport 8472 nolearning address 0e:00:00:00:00:01 mtu 1450"
    `);
  });
});

describe("every attribute counts", () => {
  const [neighbour, fdb, route] = peer(2);
  const vxlan = vxlanOf(DEVICE);
  const inPlace: readonly Link[] = [
    { ...DEVICE, mac: MAC_9 },
    { ...DEVICE, mtu: 1400 },
    { ...DEVICE, up: false },
    { ...DEVICE, vxlan: { ...vxlan, learning: true } },
  ];
  const incompatible: readonly Link[] = [
    { ...DEVICE, vxlan: { ...vxlan, vni: 2 } },
    { ...DEVICE, vxlan: { ...vxlan, port: 4789 } },
    { ...DEVICE, vxlan: { ...vxlan, local: parseIp("192.0.2.9") } },
    { ...DEVICE, vxlan: { ...vxlan, lowerLink: "eth1" } },
    { ...DEVICE, vxlan: { ...vxlan, gbp: true } },
    { kind: "link", name: DEVICE.name, type: "bridge", mac: DEVICE.mac, mtu: 1450, up: true },
  ];
  const { gateway: _, ...unguided } = route;
  const contents: readonly (readonly [wanted: KernelObject, found: KernelObject])[] = [
    [neighbour, { ...neighbour, mac: MAC_9 }],
    [fdb, { ...fdb, destination: parseIp("192.0.2.9") }],
    [route, { ...route, gateway: parseIp("10.42.9.0") }],
    [route, { ...route, link: "eth0" }],
    [route, { ...route, onlink: false }],
    [route, { ...route, protocol: ROUTE_PROTOCOL_TWILL }],
    [route, unguided],
    [SYSCTL, { ...SYSCTL, value: "1" }],
  ];

  test.each(inPlace)("a device is corrected in place, case %#", (found) => {
    expect(difference([found], wish(DEVICE))).toEqual([{ action: "put", object: DEVICE }]);
  });

  test.each(incompatible)("a device is replaced, case %#", (found) => {
    expect(difference([found], wish(DEVICE))).toEqual([
      { action: "remove", object: found },
      { action: "put", object: DEVICE },
    ]);
  });

  test.each(contents)("an object is put again, case %#", (wanted, found) => {
    expect(difference([DEVICE, found], wish(DEVICE, wanted))).toEqual([
      { action: "put", object: wanted },
    ]);
    expect(difference([DEVICE, wanted], wish(DEVICE, wanted))).toEqual([]);
  });
});

describe("addresses", () => {
  const outside: KernelObject = {
    kind: "address",
    link: "flannel.1",
    address: parseCidr("203.0.113.7/32"),
  };

  test("on our device another one inside the networks goes, after ours is there; outside it stays", async () => {
    const old: KernelObject = { ...ADDRESS, address: parseCidr("10.42.7.0/32") };
    expect(await changesFrom([DEVICE, SYSCTL, old, outside], wish(...BASE))).toBe(
      "put address 10.42.1.0/32 dev flannel.1\nremove address 10.42.7.0/32 dev flannel.1",
    );
  });

  test("D1: routes that a tunnel left in our network go with the backend that made them; in other networks they stay", async () => {
    const hostGw = { scope: { ...wish().scope, links: [] }, objects: [] };
    const [, , route] = peer(9);
    const stranger = {
      ...route,
      destination: parseCidr("10.99.9.0/24"),
      gateway: parseIp("10.99.9.0"),
    };
    expect(await changesFrom([...BASE, ...peer(2), stranger], hostGw)).toBe(
      "remove route 10.42.2.0/24 via 10.42.2.0 dev flannel.1 onlink",
    );
  });

  test.each([
    ["10.42.1.0", 32, 24, ["put", "remove"]],
    ["2001:db8:42:1::", 128, 64, ["remove", "put"]],
  ] as const)("%s with another length: /%i for /%i by %j", (ip, length, other, actions) => {
    const wanted: Address = {
      kind: "address",
      link: "flannel.1",
      address: parseCidr(`${ip}/${length}`),
    };
    const found: Address = { ...wanted, address: parseCidr(`${ip}/${other}`) };
    const { scope } = wish();
    const networks = [...scope.networks, parseCidr("2001:db8:42::/48")];
    const changes = difference([DEVICE, found], {
      scope: { ...scope, networks },
      objects: [DEVICE, wanted],
    });
    expect(changes.map(({ action }) => action)).toEqual(actions);
  });
});
