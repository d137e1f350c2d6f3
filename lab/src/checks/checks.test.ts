import { describe, expect, test } from "vitest";
import type { HostKernel } from "../observe/kernel-state.ts";
import { leaseDetails } from "../observe/lease-details.ts";
import { type HostView, kernelEqualsLeases } from "./kernel-equals-leases.ts";
import { noPacketLost } from "./no-packet-lost.ts";
import { podsReachEachOther } from "./pods-reach-each-other.ts";
import { subnetsAreKept } from "./subnets-are-kept.ts";

const pair = {
  from: "n1",
  to: "n2",
  family: "ipv4",
  sent: 1,
  received: 1,
  expected: true,
} as const;

describe("pods reach each other", () => {
  test("passes when every expected pair answered, whatever the others did", () => {
    const other = { ...pair, to: "n3", received: 0, expected: false };
    expect(podsReachEachOther({ hosts: [], pairs: [pair, other] }).verdict).toBe("pass");
  });

  test("fails naming the pair", () => {
    expect(podsReachEachOther({ hosts: [], pairs: [{ ...pair, received: 0 }] })).toEqual({
      verdict: "fail",
      details: ["n1 → n2 (ipv4): 0 of 1 answers"],
    });
  });

  test("is unknown when nothing was sent", () => {
    expect(podsReachEachOther({ hosts: [], pairs: [] }).verdict).toBe("unknown");
    expect(
      podsReachEachOther({ hosts: [], pairs: [{ ...pair, sent: 0, received: 0 }] }).verdict,
    ).toBe("unknown");
  });
});

describe("no packet lost", () => {
  test("needs enough packets to say anything", () => {
    expect(noPacketLost([], 0).verdict).toBe("unknown");
    expect(noPacketLost([{ name: "p", sent: 99, received: 99, longestGapMs: 1 }], 0).verdict).toBe(
      "unknown",
    );
    expect(
      noPacketLost([{ name: "p", sent: 500, received: 500, longestGapMs: 1 }], 0).verdict,
    ).toBe("pass");
  });

  test("one packet is enough to fail", () => {
    expect(
      noPacketLost([{ name: "p", sent: 500, received: 499, longestGapMs: 1 }], 0).verdict,
    ).toBe("fail");
  });
});

describe("subnets are kept", () => {
  const before = new Map([["n1", "10.244.1.0/24"]]);

  test("passes when file and store say the same as before", () => {
    expect(subnetsAreKept(before, { files: before, store: before }).verdict).toBe("pass");
  });

  test("fails when either says another", () => {
    const other = new Map([["n1", "10.244.9.0/24"]]);
    expect(subnetsAreKept(before, { files: before, store: other }).verdict).toBe("fail");
    expect(subnetsAreKept(before, { files: other, store: before }).verdict).toBe("fail");
    expect(subnetsAreKept(before, { files: before, store: new Map() }).verdict).toBe("fail");
  });

  test("is unknown when nothing was remembered", () => {
    expect(subnetsAreKept(undefined, { files: before, store: before }).verdict).toBe("unknown");
  });
});

describe("kernel equals leases", () => {
  const macs = ["02:00:00:00:00:01", "02:00:00:00:00:02"];
  const leases = leaseDetails(
    [1, 2].map((n) => ({
      key: `/coreos.com/network/subnets/10.244.${n}.0-24`,
      value: `{"PublicIP":"172.31.1.1${n}","PublicIPv6":null,"BackendType":"vxlan","BackendData":{"VNI":1,"VtepMAC":"${macs[n - 1]}"}}`,
      modRevision: n,
      createRevision: n,
    })),
  );
  const facts = {
    backend: "vxlan",
    directRouting: false,
    segmentLengths: { ipv4: 24, ipv6: 64 },
    families: ["ipv4"],
    networks: { ipv4: ["10.244.0.0/16", "10.245.0.0/16"], ipv6: ["fd00:10:244::/48"] },
  } as const;
  const connected = {
    family: "ipv4",
    destination: "10.244.1.0/24",
    gateway: undefined,
    device: "cni0",
    onlink: false,
    protocol: "kernel",
  } as const;

  function view(n: number, change: Partial<HostKernel> = {}): HostView {
    const peer = 3 - n;
    const vtep = `10.244.${peer}.0`;
    const mac = macs[peer - 1] ?? "";
    const route = {
      ...connected,
      destination: `${vtep}/24`,
      gateway: vtep,
      device: "flannel.1",
      onlink: true,
      protocol: "boot",
    };
    return {
      host: `n${n}`,
      publicIps: { ipv4: `172.31.1.1${n}` },
      kernel: {
        routes: [connected, route],
        neighbours: [{ family: "ipv4", address: vtep, device: "flannel.1", mac }],
        fdb: [{ device: "flannel.1", mac, destination: `172.31.1.1${peer}` }],
        vxlans: [{ device: "flannel.1", mac: macs[n - 1] ?? "" }],
        ...change,
      },
    };
  }

  test("passes on exactly the entries of the peers", () => {
    expect(kernelEqualsLeases(facts, leases, [view(1), view(2)])).toEqual({
      verdict: "pass",
      details: ["8 kernel entries on 2 hosts are those of 2 leases"],
    });
  });

  test("names what is missing", () => {
    expect(kernelEqualsLeases(facts, leases, [view(1, { fdb: [] }), view(2)]).details).toEqual([
      "n1: missing fdb 02:00:00:00:00:02 dev flannel.1 dst 172.31.1.12",
    ]);
  });

  test("names what is stale, on the tunnel and beside it", () => {
    const gone = {
      ...connected,
      destination: "10.244.9.0/24",
      gateway: "172.31.1.19",
      device: "eth0",
      protocol: "116",
    };
    const finding = kernelEqualsLeases(facts, leases, [
      view(1, { routes: [...view(1).kernel.routes, gone] }),
      view(2, {
        neighbours: [
          ...view(2).kernel.neighbours,
          { family: "ipv4", address: "10.244.9.0", device: "flannel.1", mac: "02:00:00:00:00:09" },
        ],
      }),
    ]);
    expect(finding.details).toEqual([
      "n1: stale route 10.244.9.0/24 via 172.31.1.19 dev eth0",
      "n2: stale neighbour 10.244.9.0 dev flannel.1 lladdr 02:00:00:00:00:09",
    ]);
  });

  test("names what is left of a network that the cluster was renumbered from", () => {
    const gone = {
      ...connected,
      destination: "10.245.9.0/24",
      gateway: "172.31.1.19",
      device: "eth0",
      protocol: "116",
    };
    const left = view(1, { routes: [...view(1).kernel.routes, gone] });
    const finding = kernelEqualsLeases(facts, leases, [left, view(2)]);
    expect(finding.details).toEqual(["n1: stale route 10.245.9.0/24 via 172.31.1.19 dev eth0"]);
  });

  test("wants plain routes to peers on the same segment with direct routing, and for host-gw", () => {
    const direct = {
      ...connected,
      destination: "10.244.2.0/24",
      gateway: "172.31.1.12",
      device: "eth0",
      protocol: "116",
    };
    const back = { ...direct, destination: "10.244.1.0/24", gateway: "172.31.1.11" };
    const views = [
      view(1, { routes: [direct], neighbours: [], fdb: [], vxlans: [] }),
      view(2, { routes: [back], neighbours: [], fdb: [], vxlans: [] }),
    ];
    const withDevices = views.map((one, index) => ({
      ...one,
      kernel: { ...one.kernel, vxlans: view(index + 1).kernel.vxlans },
    }));
    const direct2 = kernelEqualsLeases({ ...facts, directRouting: true }, leases, withDevices);
    expect(direct2.verdict).toBe("pass");
    expect(kernelEqualsLeases({ ...facts, backend: "host-gw" }, leases, views).verdict).toBe(
      "pass",
    );
    expect(kernelEqualsLeases(facts, leases, views).verdict).toBe("fail");
  });

  test("wants the device to have the MAC that the own lease names", () => {
    const other = [{ device: "flannel.1", mac: "02:00:00:00:00:99" }];
    const finding = kernelEqualsLeases(facts, leases, [view(1, { vxlans: other }), view(2)]);
    expect(finding.details).toEqual([
      "n1: missing device flannel.1 address 02:00:00:00:00:01",
      "n1: stale device flannel.1 address 02:00:00:00:00:99",
    ]);
  });

  test("takes a route outside the network for somebody else's, and a peer behind one for not direct", () => {
    const foreign = {
      ...connected,
      destination: "198.51.100.0/24",
      gateway: "172.31.1.1",
      device: "eth0",
      protocol: "static",
    };
    const detour = { ...foreign, destination: "172.31.1.12" };
    const views = [
      view(1, { routes: [...view(1).kernel.routes, foreign, detour] }),
      view(2, {
        routes: [{ ...foreign, destination: "10.244.1.0/24", gateway: "172.31.1.11" }],
        neighbours: [],
        fdb: [],
      }),
    ];
    expect(kernelEqualsLeases({ ...facts, directRouting: true }, leases, views)).toMatchObject({
      verdict: "pass",
    });
  });

  test("is unknown with nothing to compare", () => {
    expect(kernelEqualsLeases(facts, leases.slice(1), [view(1), view(2)]).verdict).toBe("unknown");
  });
});
