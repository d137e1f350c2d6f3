import { describe, expect, test } from "vitest";
import { parseCidr, parseIp } from "../core/ip.ts";
import type { InterfaceFacts, Route } from "./kernel.ts";
import { isLeftRoute, leftDevices } from "./leftovers.ts";

const NETWORKS = [parseCidr("10.42.0.0/16"), parseCidr("2001:db8:42::/48")];

function device(name: string, ...addresses: readonly string[]): InterfaceFacts {
  return {
    name,
    index: 7,
    mtu: 1450,
    up: true,
    addresses: addresses.map((address) => ({
      address: parseCidr(address),
      deprecated: false,
      permanent: true,
      temporary: false,
    })),
  };
}

describe("devices that were left", () => {
  test.each([
    ["flannel.1", "10.42.7.0/32"],
    ["flannel.16777215", "10.42.7.0/32"],
    ["flannel-v6.1", "2001:db8:42:7::/128"],
    ["flannel0", "10.42.7.0/32"],
    ["flannel-wg", "10.42.7.0/32"],
    ["flannel-wg-v6", "2001:db8:42:7::/128"],
    ["flannel.ipip", "10.42.7.0/32"],
  ])("%s with %s", (name, address) => {
    expect(leftDevices([device(name, address)], NETWORKS)).toEqual([name]);
  });

  test.each([
    ["flannel.1", "10.99.7.0/32", "of a second flannel, in another network"],
    ["flannel.1", "10.42.7.0/24", "with the address of a whole subnet"],
    ["flannel.one", "10.42.7.0/32", "named otherwise"],
    ["my-flannel.1", "10.42.7.0/32", "named otherwise"],
    ["flannel.123456789", "10.42.7.0/32", "named otherwise"],
    ["cni0", "10.42.7.1/32", "of the pods"],
  ])("not %s with %s, %s", (name, address) => {
    expect(leftDevices([device(name, address)], NETWORKS)).toEqual([]);
  });

  test("not one without an address", () => {
    expect(leftDevices([device("flannel.1")], NETWORKS)).toEqual([]);
  });
});

describe("routes that were left", () => {
  const marks = { link: "eth0", networks: NETWORKS, subnetLengths: { 4: 24, 6: 64 } };
  const route: Route = {
    kind: "route",
    destination: parseCidr("10.42.3.0/24"),
    gateway: parseIp("192.0.2.3"),
    link: "eth0",
    onlink: false,
    protocol: 3,
  };

  test("a peer's, in either family", () => {
    const second = {
      destination: parseCidr("2001:db8:42:3::/64"),
      gateway: parseIp("2001:db8::3"),
    };
    expect(isLeftRoute(route, marks)).toBe(true);
    expect(isLeftRoute({ ...route, ...second }, marks)).toBe(true);
  });

  test.each<[string, Partial<Route>]>([
    ["on another device", { link: "eth1" }],
    ["with another protocol", { protocol: 4 }],
    ["of another length", { destination: parseCidr("10.42.3.0/25") }],
    ["outside of the network", { destination: parseCidr("10.43.3.0/24") }],
    ["to a gateway that is not looked for", { onlink: true }],
  ])("not one %s", (_, part) => {
    expect(isLeftRoute({ ...route, ...part }, marks)).toBe(false);
  });

  test("not one without a gateway", () => {
    const { gateway: _, ...connected } = route;
    expect(isLeftRoute(connected, marks)).toBe(false);
  });
});
