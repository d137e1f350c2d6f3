import { expect, test } from "vitest";
import { parseCidr, parseIp } from "../core/ip.ts";
import { cleanupScope, planCleanup } from "./cleanup.ts";
import type { InterfaceFacts, Nexthop, Route } from "./kernel.ts";
import { printObject } from "./print.ts";

const NETWORKS = [parseCidr("10.42.0.0/16")];

function device(name: string, address: string): InterfaceFacts {
  const facts = { deprecated: false, permanent: true, temporary: false };
  return {
    name,
    index: 2,
    mtu: 1450,
    up: true,
    addresses: [{ address: parseCidr(address), ...facts }],
  };
}

function route(destination: string, more: Partial<Route>): Route {
  return {
    kind: "route",
    destination: parseCidr(destination),
    link: "eth0",
    gateway: parseIp("192.0.2.2"),
    onlink: false,
    protocol: 116,
    ...more,
  };
}

function nexthop(id: number, more: Partial<Nexthop>): Nexthop {
  return {
    kind: "nexthop",
    id,
    link: "eth0",
    gateway: parseIp("192.0.2.2"),
    onlink: false,
    protocol: 116,
    ...more,
  };
}

test("devices are ours by name and by an address inside the pod networks", () => {
  const interfaces = [
    device("flannel.1", "10.42.1.0/32"),
    device("flannel.7", "10.99.1.0/32"),
    device("flannel.8", "10.42.1.1/24"),
    device("cni0", "10.42.1.1/24"),
  ];
  expect(cleanupScope(interfaces, NETWORKS).links).toEqual(["flannel.1"]);
});

test("of routes and nexthop objects what bears our mark inside the pod networks goes, routes first", () => {
  const scope = { links: ["flannel.1"] };
  const kept = [
    // Another program's, another agent's network, the kernel's own for a bridge.
    route("10.42.9.0/24", { protocol: 4 }),
    route("10.99.2.0/24", {}),
    route("10.42.1.0/24", { link: "cni0", protocol: 2 }),
    route("10.99.4.0/24", { nexthop: 12 }),
    // Goes with its device.
    route("10.42.1.0/32", { link: "flannel.1", protocol: 2 }),
    route("10.42.12.0/24", { nexthop: 14, protocol: 4 }),
    nexthop(13, { protocol: 4 }),
    nexthop(12, {}),
    nexthop(14, {}),
  ];
  const ours = [
    route("10.42.2.0/24", {}),
    route("10.42.3.0/24", { link: "flannel.1", protocol: 3, onlink: true }),
    route("10.42.4.0/24", { nexthop: 11 }),
    route("10.42.13.0/24", { nexthop: 14 }),
    nexthop(10, { link: "flannel.1" }),
    nexthop(11, {}),
  ];
  const dumped = [...ours, ...kept];
  const planned = planCleanup(dumped, scope, NETWORKS);
  expect(planned.map(({ action, object }) => `${action} ${printObject(object)}`)).toEqual(
    ours.map((object) => `remove ${printObject(object)}`),
  );
});
