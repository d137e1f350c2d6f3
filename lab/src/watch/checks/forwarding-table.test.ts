import { expect, test } from "vitest";
import { parseAddress } from "../../addresses.ts";
import type { KernelRoute } from "../../observe/kernel-state.ts";
import { ForwardingTable } from "./forwarding-table.ts";

function route(destination: string, gateway: string | undefined, device = "eth0"): KernelRoute {
  const family = destination.includes(":") ? "ipv6" : "ipv4";
  return { family, destination, gateway, device, onlink: false, protocol: "boot" };
}

const TABLE = new ForwardingTable({
  routes: [
    route("default", "192.0.2.1"),
    route("10.244.0.0/16", "192.0.2.1"),
    route("10.244.7.0/24", "192.0.2.7"),
    route("10.244.7.0/24", "192.0.2.8"),
    route("10.244.7.9", "192.0.2.9"),
    route("fd00:10:244:7::/64", "fd00::7"),
    route("fd00:10:244:7::9", "fd00::9"),
  ],
  neighbours: [
    { family: "ipv4", address: "10.244.7.0", device: "flannel.1", mac: "0e:00:00:00:00:07" },
    { family: "ipv4", address: "10.244.8.0", device: "flannel.1", mac: "0e:00:00:00:00:08" },
  ],
  fdb: [
    { device: "flannel.2", mac: "0e:00:00:00:00:07", destination: "192.0.2.2" },
    { device: "flannel.1", mac: "0e:00:00:00:00:07", destination: "192.0.2.7" },
    { device: "flannel.1", mac: "0e:00:00:00:00:07", destination: "192.0.2.8" },
  ],
  vxlans: [],
});

test.each([
  ["10.244.7.1", "192.0.2.7"],
  ["10.244.7.9", "192.0.2.9"],
  ["10.244.8.1", "192.0.2.1"],
  ["10.245.0.1", undefined],
  ["fd00:10:244:7::1", "fd00::7"],
  ["fd00:10:244:7::9", "fd00::9"],
  ["fd00:10:244:8::1", undefined],
])("packets for %s go by way of %s: the longest prefix, and of equal ones the first", (to, way) => {
  const address = parseAddress(to);
  expect(address && TABLE.routeTo(address)?.gateway).toBe(way);
});

test("the end of a tunnel is what neighbour and FDB entry of that device say", () => {
  expect(TABLE.tunnelEnd("flannel.1", "10.244.7.0")).toBe("192.0.2.7");
  expect(TABLE.tunnelEnd("flannel.1", "10.244.8.0")).toBeUndefined();
  expect(TABLE.tunnelEnd("flannel.1", "10.244.9.0")).toBeUndefined();
  expect(TABLE.tunnelEnd("flannel.2", "10.244.7.0")).toBeUndefined();
});
