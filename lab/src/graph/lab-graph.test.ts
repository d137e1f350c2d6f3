import { describe, expect, it } from "vitest";
import type { HostSeen } from "../observe/host-seen.ts";
import { addressesOf } from "../observe/host-seen.ts";
import type { HostKernel } from "../observe/kernel-state.ts";
import { edgesOf, troublesOf } from "./edges.ts";
import { graphOf, onSameSegment } from "./lab-graph.ts";
import { formatSvg } from "./svg.ts";
import { formatDot, formatMermaid } from "./text-drawings.ts";

const macOf = (index: number): string => `0e:00:00:00:00:0${index}`;

/** Host n2 of network 192.0.2.0/24 with pods in 10.244.2.0/24; `peers` are reached over vxlan. */
function tunnelHost(index: number, peers: readonly number[]): HostSeen {
  return {
    name: `n${index}`,
    addresses: [`192.0.2.${index}/24`],
    podSubnets: [`10.244.${index}.0/24`],
    kernel: {
      vxlans: [{ device: "flannel.1", mac: macOf(index) }],
      routes: [
        { ...plainRoute("default", "192.0.2.254"), protocol: "static" },
        { ...plainRoute("192.0.2.0/24", undefined), protocol: "kernel" },
        ...peers.map((peer) => ({
          ...plainRoute(`10.244.${peer}.0/24`, `10.244.${peer}.0`),
          device: "flannel.1",
          onlink: true,
        })),
      ],
      neighbours: peers.map((peer) => ({
        family: "ipv4",
        address: `10.244.${peer}.0`,
        device: "flannel.1",
        mac: macOf(peer),
      })),
      fdb: peers.map((peer) => ({
        device: "flannel.1",
        mac: macOf(peer),
        destination: `192.0.2.${peer}`,
      })),
    },
  };
}

function plainRoute(
  destination: string,
  gateway: string | undefined,
): HostKernel["routes"][number] {
  return { family: "ipv4", destination, gateway, device: "eth0", onlink: false, protocol: "boot" };
}

function changed(host: HostSeen, change: (kernel: HostKernel) => Partial<HostKernel>): HostSeen {
  return { ...host, kernel: { ...host.kernel, ...change(host.kernel) } };
}

const N1 = tunnelHost(1, [2, 3]);
const N2 = tunnelHost(2, [1, 3]);
const N3 = tunnelHost(3, [1, 2]);
const always = (): boolean => true;

it("draws a whole mesh once per pair, and nothing else", () => {
  const graph = graphOf([N1, N2, N3], always);
  expect(formatMermaid(graph)).toMatchInlineSnapshot(`
    "flowchart LR
      subgraph segment1["192.0.2.0/24"]
        n1["n1<br/>192.0.2.1/24<br/>pods 10.244.1.0/24"]
        n2["n2<br/>192.0.2.2/24<br/>pods 10.244.2.0/24"]
        n3["n3<br/>192.0.2.3/24<br/>pods 10.244.3.0/24"]
      end
      n1 <-->|"vxlan"| n2
      n1 <-->|"vxlan"| n3
      n2 <-->|"vxlan"| n3
    "
  `);
  expect(formatDot(graph)).toMatchInlineSnapshot(`
    "digraph lab {
      graph [layout="fdp"];
      node [shape="box"];
      subgraph cluster_1 {
        label="192.0.2.0/24";
        n1 [label="n1\\n192.0.2.1/24\\npods 10.244.1.0/24"];
        n2 [label="n2\\n192.0.2.2/24\\npods 10.244.2.0/24"];
        n3 [label="n3\\n192.0.2.3/24\\npods 10.244.3.0/24"];
      }
      n1 -> n2 [label="vxlan", color="#2a6fb0", dir="both"];
      n1 -> n3 [label="vxlan", color="#2a6fb0", dir="both"];
      n2 -> n3 [label="vxlan", color="#2a6fb0", dir="both"];
    }
    "
  `);
  expect(troublesOf(graph)).toEqual([]);
  expect(graph.ways[0]?.lines).toEqual([
    "route 10.244.2.0/24 via 10.244.2.0 dev flannel.1 onlink",
    "neighbour 10.244.2.0 dev flannel.1 lladdr 0e:00:00:00:00:02",
    "fdb 0e:00:00:00:00:02 dev flannel.1 dst 192.0.2.2",
  ]);
});

describe("says what is missing or leads elsewhere", () => {
  it.each<[string, HostSeen, string[]]>([
    [
      "no route, and what it left",
      changed(N1, ({ routes }) => ({
        routes: routes.filter(({ destination }) => destination !== "10.244.2.0/24"),
      })),
      [
        "n1 → n2 missing: no route to 10.244.2.0/24",
        "n1 also holds: fdb 0e:00:00:00:00:02 dev flannel.1 dst 192.0.2.2",
        "n1 also holds: neighbour 10.244.2.0 dev flannel.1 lladdr 0e:00:00:00:00:02",
      ],
    ],
    [
      "no neighbour",
      changed(N1, ({ neighbours }) => ({
        neighbours: neighbours.slice(1),
        fdb: N1.kernel.fdb.slice(1),
      })),
      ["n1 → n2 missing: no neighbour 10.244.2.0 on flannel.1"],
    ],
    [
      "no FDB entry",
      changed(N1, ({ fdb }) => ({ fdb: fdb.slice(1) })),
      ["n1 → n2 missing: no fdb entry for 0e:00:00:00:00:02 on flannel.1"],
    ],
    [
      "another host's public address",
      changed(N1, ({ fdb }) => ({
        fdb: fdb.map((entry) => ({ ...entry, destination: "192.0.2.3" })),
      })),
      ["n1 → n2 wrong: fdb entry 0e:00:00:00:00:02 leads to 192.0.2.3, which is n3"],
    ],
    [
      "nobody's gateway",
      changed(N1, ({ routes }) => ({
        routes: [...routes.slice(0, 3), plainRoute("10.244.3.0/24", "192.0.2.77")],
        neighbours: N1.kernel.neighbours.slice(0, 1),
        fdb: N1.kernel.fdb.slice(0, 1),
      })),
      ["n1 → n3 wrong: route to 10.244.3.0/24 leads to 192.0.2.77, nobody's address"],
    ],
    [
      "a route that leads to nobody's pods",
      changed(N1, ({ routes }) => ({
        routes: [...routes, plainRoute("10.244.9.0/24", "192.0.2.2")],
      })),
      ["n1 also holds: route 10.244.9.0/24 via 192.0.2.2 dev eth0"],
    ],
  ])("%s", (_what, host, troubles) => {
    const graph = graphOf([host, N2, N3], always);
    expect(troublesOf(graph)).toEqual(troubles);
    for (const format of [formatMermaid, formatDot]) {
      expect(troubles.every((trouble) => format(graph).includes(trouble))).toBe(true);
    }
    const svg = formatSvg(graph);
    expect(troubles.every((trouble) => svg.includes(trouble.replaceAll("'", "&#39;")))).toBe(true);
  });

  it("a device with another MAC than its peers send to", () => {
    const renewed = changed(N2, () => ({ vxlans: [{ device: "flannel.1", mac: macOf(9) }] }));
    expect(troublesOf(graphOf([N1, renewed], always))).toContain(
      "n1 → n2 wrong: neighbour 10.244.2.0 is 0e:00:00:00:00:02, but n2's flannel.1 is 0e:00:00:00:00:09",
    );
  });

  it("no device at all", () => {
    const bare = changed(N2, () => ({ vxlans: [], routes: [], neighbours: [], fdb: [] }));
    const graph = graphOf([tunnelHost(1, [2]), bare], always);
    expect(troublesOf(graph)).toEqual([
      "n1 → n2 missing: n2 has no flannel.1",
      "n2 → n1 missing: no route to 10.244.1.0/24",
    ]);
    expect(edgesOf(graph).map(({ isBoth }) => isBoth)).toEqual([false, false]);
  });
});

it("expects no way between hosts that cannot have one, and draws those that are there", () => {
  const far: HostSeen = { ...tunnelHost(4, []), addresses: ["198.51.100.4/24"] };
  const near = changed(tunnelHost(1, []), () => ({
    routes: [plainRoute("10.244.2.0/24", "192.0.2.2")],
  }));
  const graph = graphOf([near, tunnelHost(2, []), far], onSameSegment);
  expect(graph.segments).toEqual([
    { networks: ["192.0.2.0/24"], hosts: ["n1", "n2"] },
    { networks: ["198.51.100.0/24"], hosts: ["n4"] },
  ]);
  expect(graph.ways.map(({ from, to, carrier, state }) => [from, to, carrier, state])).toEqual([
    ["n1", "n2", "route", "whole"],
    ["n2", "n1", "", "missing"],
  ]);
});

it("draws a picture that only depends on what is in it, with every host in a place of its own", () => {
  for (const count of [1, 2, 3, 12]) {
    const indexes = Array.from({ length: count }, (_, index) => index + 1);
    const hosts = indexes.map((index) =>
      tunnelHost(
        index,
        indexes.filter((other) => other !== index),
      ),
    );
    const svg = formatSvg(graphOf(hosts, always));
    expect(formatSvg(graphOf(structuredClone(hosts), always))).toBe(svg);
    expect(svg.match(/class="box"/g)).toHaveLength(count);
    expect(
      svg.match(/class="way vxlan" x1="[^"]*" y1="[^"]*" x2="[^"]*" y2="[^"]*" marker/g) ?? [],
    ).toHaveLength((count * (count - 1)) / 2);
    expect(svg).not.toMatch(/NaN|undefined|Infinity/);
    const places = [...svg.matchAll(/<rect class="box" x="([^"]*)" y="([^"]*)"/g)].map(
      ([, x, y]) => ({ x: Number(x), y: Number(y) }),
    );
    for (const [index, a] of places.entries()) {
      expect(
        places.slice(index + 1).some((b) => Math.abs(a.x - b.x) < 178 && Math.abs(a.y - b.y) < 63),
      ).toBe(false);
    }
  }
});

it("reads addresses as ip(8) prints them", () => {
  const text = JSON.stringify([
    {
      ifname: "eth0",
      addr_info: [
        { local: "192.0.2.1", prefixlen: 24 },
        { local: "2001:db8::1", prefixlen: 64 },
        {},
      ],
    },
    { ifname: "cni0" },
  ]);
  expect(addressesOf(text, "eth0")).toEqual(["192.0.2.1/24", "2001:db8::1/64"]);
  expect(addressesOf(text, "cni0")).toEqual([]);
  expect(addressesOf("", "eth0")).toEqual([]);
});
