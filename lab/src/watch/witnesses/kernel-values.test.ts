import type { FdbEntryState, Link, NeighbourEntry, RouteEvent, RouteState } from "linux";
import { describe, expect, it } from "vitest";
import {
  dumpWithNames,
  formatObject,
  namesOf,
  type NamespaceDump,
  toChanges,
  toHostKernel,
  toObjects,
} from "./kernel-values.ts";

const link = (index: number, name: string): Link => ({
  index,
  name,
  mtu: 1450,
  up: true,
  lowerUp: true,
  loopback: false,
  pointToPoint: false,
  transmitQueueLength: 1000,
});
const route = (destination: string, more: Partial<RouteState> = {}): RouteState => ({
  destination,
  linkIndex: 2,
  table: 254,
  protocol: 3,
  scope: 0,
  type: "unicast",
  onlink: false,
  ...more,
});
const neighbour = (address: string, more: Partial<NeighbourEntry> = {}): NeighbourEntry => ({
  address,
  linkIndex: 3,
  mac: "0e:00:00:00:00:02",
  state: "permanent",
  router: false,
  proxy: false,
  externallyLearned: false,
  ...more,
});
const fdb: FdbEntryState = {
  linkIndex: 3,
  mac: "0e:00:00:00:00:02",
  destination: "192.0.2.2",
  state: "permanent",
  self: true,
};

const DUMP = {
  links: [link(2, "eth0"), { ...link(3, "flannel.1"), kind: "vxlan", mac: "0e:00:00:00:00:01" }],
  routes: [
    route("0.0.0.0/0", { gateway: "192.0.2.1" }),
    route("198.51.100.7/32", { protocol: 2 }),
    route("2001:db8::7/128", { protocol: 116 }),
    route("10.244.2.0/24", { gateway: "10.244.2.0", linkIndex: 3, onlink: true }),
    route("192.0.2.0/32", { table: 255, type: "broadcast" }),
    route("203.0.113.0/24", { type: "blackhole" }),
  ],
  neighbours: [
    neighbour("10.244.2.0"),
    neighbour("192.0.2.2", { linkIndex: 2, state: "reachable" }),
    neighbour("192.0.2.9", { proxy: true }),
  ],
  fdb: [fdb, { linkIndex: 3, mac: "33:33:00:00:00:01", state: "permanent", self: true } as const],
};

describe("the kernel's values", () => {
  it("are those of a dump by ip and bridge: main table, permanent neighbours, FDB entries with a destination", () => {
    const { routes, neighbours, fdb: entries, vxlans } = toHostKernel(DUMP);
    expect(
      routes.map(({ family, destination, gateway, device, onlink, protocol }) => [
        family,
        destination,
        gateway,
        device,
        onlink,
        protocol,
      ]),
    ).toEqual([
      ["ipv4", "default", "192.0.2.1", "eth0", false, "boot"],
      ["ipv4", "198.51.100.7", undefined, "eth0", false, "kernel"],
      ["ipv6", "2001:db8::7", undefined, "eth0", false, "116"],
      ["ipv4", "10.244.2.0/24", "10.244.2.0", "flannel.1", true, "boot"],
    ]);
    expect(vxlans).toEqual([{ device: "flannel.1", mac: "0e:00:00:00:00:01" }]);
    expect(neighbours).toEqual([
      { family: "ipv4", address: "10.244.2.0", device: "flannel.1", mac: "0e:00:00:00:00:02" },
    ]);
    expect(entries).toEqual([
      { device: "flannel.1", mac: "0e:00:00:00:00:02", destination: "192.0.2.2" },
    ]);
  });

  it("print as ip and bridge say them", () => {
    expect(toObjects(DUMP).map(formatObject)).toEqual([
      "link eth0 up",
      "link flannel.1 up",
      "fdb 0e:00:00:00:00:02 dev flannel.1 dst 192.0.2.2",
      "neighbour 10.244.2.0 dev flannel.1 lladdr 0e:00:00:00:00:02",
      "route default via 192.0.2.1 dev eth0 proto boot",
      "route 198.51.100.7 dev eth0 proto kernel",
      "route 2001:db8::7 dev eth0 proto 116",
      "route 10.244.2.0/24 via 10.244.2.0 dev flannel.1 proto boot",
    ]);
  });

  it("are read anew while one is on a device that was made in between", async () => {
    const late: NamespaceDump = { ...DUMP, routes: [route("10.244.3.0/24", { linkIndex: 9 })] };
    const whole: NamespaceDump = { ...late, links: [...DUMP.links, link(9, "cni0")] };
    const dumps = [late, late, whole, DUMP];
    const read = (): Promise<NamespaceDump> => Promise.resolve(dumps.shift() ?? late);
    const [first] = toHostKernel(await dumpWithNames(read)).routes;
    expect(first?.device).toBe("cni0");
    expect(dumps).toEqual([DUMP]);
    // One that has no name in any of five dumps is told by its number.
    dumps.splice(0, 1, late, late, late, late, late, whole);
    const [second] = toHostKernel(await dumpWithNames(read)).routes;
    expect(second?.device).toBe("link9");
    expect(dumps).toEqual([whole]);
  });

  it("follow the events: new names, resolved neighbours left out, removals whatever their state", () => {
    const names = namesOf(DUMP.links);
    const said = (event: RouteEvent): readonly string[] =>
      toChanges(event, names).map(({ kind, object }) => `${kind} ${formatObject(object)}`);
    expect(said({ kind: "put", object: "link", link: { ...link(9, "cni0"), up: false } })).toEqual([
      "put link cni0 down",
    ]);
    expect(
      said({
        kind: "put",
        object: "route",
        route: route("10.244.3.0/24", { linkIndex: 9, protocol: 2 }),
      }),
    ).toEqual(["put route 10.244.3.0/24 dev cni0 proto kernel"]);
    expect(
      said({
        kind: "put",
        object: "neighbour",
        neighbour: neighbour("192.0.2.2", { state: "stale" }),
      }),
    ).toEqual([]);
    expect(
      said({
        kind: "remove",
        object: "neighbour",
        neighbour: neighbour("10.244.2.0", { state: "failed" }),
      }),
    ).toEqual(["remove neighbour 10.244.2.0 dev flannel.1 lladdr 0e:00:00:00:00:02"]);
    expect(said({ kind: "remove", object: "fdb", fdbEntry: fdb })).toEqual([
      "remove fdb 0e:00:00:00:00:02 dev flannel.1 dst 192.0.2.2",
    ]);
    expect(said({ kind: "overrun" })).toEqual([]);
  });
});
