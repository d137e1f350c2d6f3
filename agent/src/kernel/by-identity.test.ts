import { describe, expect, test } from "vitest";
import { parseCidr, parseIp } from "../core/ip.ts";
import { ByIdentity } from "./by-identity.ts";
import { Holdings } from "./holdings.ts";
import { identityOf } from "./identity.ts";
import type { KernelObject } from "./kernel.ts";
import { BASE, MAC_9, nexthopOf, peer } from "./sample-objects.ts";

const NEXTHOP = nexthopOf({ ...peer(2)[2], nexthop: 116_000_001 });

const [NEIGHBOUR, FDB, ROUTE] = peer(2);
const PREFIX = parseCidr("10.42.0.0/16");

/** Of every kind, with others that differ in one part of the identity. */
const APART: readonly KernelObject[] = [
  ...BASE,
  NEIGHBOUR,
  { ...NEIGHBOUR, link: "flannel.2" },
  { ...NEIGHBOUR, address: parseIp("10.42.3.0") },
  FDB,
  { ...FDB, link: "flannel.2" },
  { ...FDB, mac: MAC_9 },
  ROUTE,
  { ...ROUTE, destination: PREFIX },
  { kind: "blackhole", destination: PREFIX },
  NEXTHOP,
  { ...NEXTHOP, id: 7 },
  { kind: "address", link: "flannel.2", address: parseCidr("10.42.1.0/32") },
  { kind: "sysctl", path: "net/ipv6/conf/flannel.2/accept_ra", value: "0" },
];

describe("a map by identity", () => {
  test("keeps apart what has another name, and nothing else", () => {
    const map = new ByIdentity<KernelObject>();
    for (const object of APART) map.set(object, object);
    expect(new Set(APART.map(identityOf)).size).toBe(APART.length);
    expect(map.size).toBe(APART.length);
    for (const object of APART) expect(map.get({ ...object })).toBe(object);
    expect(new Set(map.values())).toEqual(new Set(APART));
  });

  test("has one value where only the content differs", () => {
    const map = new ByIdentity<string>();
    const same: readonly (readonly [KernelObject, KernelObject])[] = [
      [NEIGHBOUR, { ...NEIGHBOUR, mac: MAC_9 }],
      [FDB, { ...FDB, destination: parseIp("192.0.2.77") }],
      [ROUTE, { ...ROUTE, link: "eth0" }],
      [NEXTHOP, { ...NEXTHOP, link: "eth0" }],
      [
        { kind: "address", link: "flannel.1", address: parseCidr("10.42.9.0/32") },
        { kind: "address", link: "flannel.1", address: parseCidr("10.42.9.0/24") },
      ],
    ];
    for (const [one, other] of same) {
      map.set(one, "one");
      map.set(other, "other");
      expect(map.get(one), identityOf(one)).toBe("other");
    }
    expect(map.size).toBe(same.length);
    for (const [one] of same) {
      expect(map.delete(one)).toBe(true);
      expect(map.delete(one)).toBe(false);
      expect(map.has(one)).toBe(false);
    }
    expect(map.size).toBe(0);
  });

  test("counts anew after it was cleared", () => {
    const map = new ByIdentity<true>();
    map.set(FDB, true);
    map.clear();
    expect([map.size, map.has(FDB)]).toEqual([0, false]);
    map.set(FDB, true);
    expect(map.size).toBe(1);
  });
});

test("what is held is told in the order in which it came, and alone only where it is alone", () => {
  const holdings = new Holdings();
  const second = { ...ROUTE, link: "eth0" };
  const third = { ...ROUTE, link: "eth1" };
  for (const object of [ROUTE, FDB, second, third]) holdings.add(object);
  expect(holdings.all(ROUTE)).toEqual([ROUTE, second, third]);
  expect(holdings.only(ROUTE)).toBeUndefined();
  expect(holdings.only(FDB)).toBe(FDB);
  expect(holdings.all(NEIGHBOUR)).toEqual([]);
  expect(holdings.only(NEIGHBOUR)).toBeUndefined();
  expect(holdings.firsts()).toEqual([ROUTE, FDB]);
});
