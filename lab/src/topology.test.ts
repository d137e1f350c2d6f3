import { expect, it } from "vitest";
import { hostIndex, planHost, planTopology, storeEndpoints } from "./topology.ts";

it("deals hosts to segments in turn, each address telling segment and number", () => {
  const { segments, store, hosts } = planTopology({
    nodes: 3,
    segments: 2,
    storeMembers: 3,
    families: ["ipv4"],
  });
  expect(segments).toEqual([
    { bridge: "seg1", mac: "02:00:ac:1f:01:01", addresses: ["172.31.1.1/24"] },
    { bridge: "seg2", mac: "02:00:ac:1f:02:01", addresses: ["172.31.2.1/24"] },
  ]);
  expect(store.map(({ name, bridge, addresses }) => [name, bridge, addresses[0]?.address])).toEqual(
    [
      ["etcd", "seg1", "172.31.1.2"],
      ["etcd2", "seg1", "172.31.1.3"],
      ["etcd3", "seg1", "172.31.1.4"],
    ],
  );
  expect(storeEndpoints(2)).toEqual(["http://172.31.1.2:2379", "http://172.31.1.3:2379"]);
  expect(hosts.map(({ name, bridge, addresses }) => [name, bridge, addresses[0]?.address])).toEqual(
    [
      ["n1", "seg1", "172.31.1.11"],
      ["n2", "seg2", "172.31.2.12"],
      ["n3", "seg1", "172.31.1.13"],
    ],
  );
});

it("gives every host a second address in dual stack, in hexadecimal", () => {
  const host = planHost(22, { segments: 16, families: ["ipv4", "ipv6"] });
  expect(host.segment).toBe(6);
  expect(host.addresses).toEqual([
    { family: "ipv4", address: "172.31.6.32", prefixLength: 24, router: "172.31.6.1" },
    { family: "ipv6", address: "fd00:31:0:6::20", prefixLength: 64, router: "fd00:31:0:6::1" },
  ]);
});

it("never gives two hosts the same address", () => {
  const { hosts, store } = planTopology({
    nodes: 240,
    segments: 16,
    storeMembers: 5,
    families: ["ipv4", "ipv6"],
  });
  const addresses = [...store, ...hosts].flatMap((one) =>
    one.addresses.map(({ address }) => address),
  );
  expect(new Set(addresses).size).toBe(490);
});

it.each([
  ["n1", 1],
  ["n240", 240],
  ["n0", undefined],
  ["n01", undefined],
  ["n", undefined],
  ["m1", undefined],
  ["n1 ", undefined],
  ["n1000", undefined],
])("reads %j as host number %s", (name, index) => {
  expect(hostIndex(name)).toBe(index);
});
