import { describe, expect, it } from "vitest";
import {
  baseline,
  blow,
  changes,
  CLUSTER,
  FOREIGN_ROUTE,
  judged,
  objectsFor,
  putAll,
  removed,
} from "../testing/story.ts";
import type { KernelObject, Sighting } from "../sightings.ts";

const NEIGHBOUR: KernelObject = {
  object: "neighbour",
  address: "172.31.1.1",
  device: "eth0",
  mac: "0e:00:00:00:00:99",
};
const ADDRESS: KernelObject = { object: "address", device: "eth0", address: "172.31.1.11" };
const LINK: KernelObject = { object: "link", device: "eth0", up: true };
const [, , route] = objectsFor(2);

describe("D2: what is somebody else's", () => {
  it.each<[string, readonly Sighting[], readonly string[]]>([
    [
      "a route that goes",
      [changes(1000, "n1", removed(FOREIGN_ROUTE))],
      ["D2 route 198.51.100.0/24 via 172.31.1.1 dev eth0 proto static was removed"],
    ],
    [
      "a route that leads elsewhere",
      [
        changes(1000, "n1", {
          kind: "put",
          object: { ...FOREIGN_ROUTE, gateway: "172.31.1.12" },
          replaces: true,
        }),
      ],
      [
        "D2 route 198.51.100.0/24 via 172.31.1.1 dev eth0 proto static was made route 198.51.100.0/24 via 172.31.1.12 dev eth0 proto static",
      ],
    ],
    [
      "what came while the agent was there: neighbour, address, link",
      [
        changes(1000, "n1", ...putAll([NEIGHBOUR, ADDRESS, LINK])),
        changes(2000, "n1", removed(NEIGHBOUR), removed(ADDRESS), {
          kind: "put",
          object: { ...LINK, up: false },
        }),
      ],
      [
        "D2 neighbour 172.31.1.1 dev eth0 lladdr 0e:00:00:00:00:99 was removed",
        "D2 address 172.31.1.11 dev eth0 was removed",
        "D2 link eth0 up was made link eth0 down",
      ],
    ],
    [
      "what another host's fault is no excuse for",
      [...blow(900, "n2"), changes(900, "n1", removed(FOREIGN_ROUTE))],
      ["D2 route 198.51.100.0/24 via 172.31.1.1 dev eth0 proto static was removed"],
    ],
  ])("is told: %s", (_what, more, told) => {
    expect(judged(...CLUSTER, ...more).told).toEqual(told);
  });

  it.each<[string, readonly Sighting[]]>([
    ["what is the agent's own", [...blow(900, "n1"), changes(1500, "n1", ...putAll([route]))]],
    [
      "a route of host-gw, and what stands on the tunnel",
      [
        baseline(900, "n1", { ...FOREIGN_ROUTE, destination: "10.244.9.0/24" }),
        changes(1000, "n1", removed({ ...FOREIGN_ROUTE, destination: "10.244.9.0/24" })),
      ],
    ],
    [
      "the pods' bridge, which the lab makes and takes away",
      [
        changes(1000, "n1", { kind: "put", object: { ...LINK, device: "cni0" } }),
        changes(1100, "n1", removed({ ...LINK, device: "cni0" })),
      ],
    ],
    [
      "what a fault of the lab does",
      [...blow(900, "n1"), changes(950, "n1", removed(FOREIGN_ROUTE))],
    ],
    ["something that was never there", [changes(1000, "n1", removed(NEIGHBOUR))]],
    ["the same once more", [changes(1000, "n1", ...putAll([FOREIGN_ROUTE]))]],
    [
      "a connected route, which the kernel takes with its address",
      [
        baseline(900, "n1", { ...FOREIGN_ROUTE, protocol: 2 }),
        changes(1000, "n1", removed({ ...FOREIGN_ROUTE, protocol: 2 })),
      ],
    ],
  ])("may change: %s", (_what, more) => {
    expect(judged(...CLUSTER, ...more).told).toEqual([]);
  });
});
