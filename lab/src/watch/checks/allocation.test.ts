import { describe, expect, it } from "vitest";
import type { Sighting } from "../sightings.ts";
import { CLUSTER, CONFIG, drop, judged, lease, put, revision } from "../testing/story.ts";

const RESERVED = lease(3, "10.244.3.0-24", { leaseId: null });

/** The lab says that it is about to write a key. */
function labPuts(at: number, change: ReturnType<typeof lease>): Sighting {
  const { key, value } = change.kind === "put" ? change.entry : { key: change.key, value: "" };
  return { witness: "stage", kind: "lab-writes", at, key, value };
}

describe("allocation", () => {
  it.each<[string, readonly Sighting[], readonly string[]]>([
    [
      "A1: overlapping subnets",
      [revision(200, lease(3, "10.244.0.0-22"))],
      [
        "A1 revision 200: 10.244.0.0/22 of 172.31.1.13 overlaps 10.244.1.0/24 of 172.31.1.11",
        "A1 revision 200: 10.244.0.0/22 of 172.31.1.13 overlaps 10.244.2.0/24 of 172.31.1.12",
        "A2 revision 200: 10.244.0.0-22: its length is not 24",
      ],
    ],
    [
      "A1: overlap in the second family only",
      [
        revision(200, lease(3, "10.244.3.0-24&fd00:10:244:1::-64")),
        revision(201, lease(4, "10.244.4.0-24&fd00:10:244:1::-64")),
      ],
      [
        "A2 revision 200: 10.244.3.0-24&fd00:10:244:1::-64: its family is not configured",
        "A1 revision 201: fd00:10:244:1::/64 of 172.31.1.14 overlaps fd00:10:244:1::/64 of 172.31.1.13",
        "A2 revision 201: 10.244.4.0-24&fd00:10:244:1::-64: its family is not configured",
      ],
    ],
    [
      "A2: the first subnet, which is not used",
      [revision(200, lease(3, "10.244.0.0-24"))],
      ["A2 revision 200: 10.244.0.0-24: it is outside SubnetMin and SubnetMax"],
    ],
    [
      "A2: host bits",
      [revision(200, lease(3, "10.244.3.1-24"))],
      ["A2 revision 200: 10.244.3.1-24: it has host bits"],
    ],
    [
      "A2: another network",
      [revision(200, lease(3, "10.245.3.0-24"))],
      ["A2 revision 200: 10.245.3.0-24: it is outside SubnetMin and SubnetMax"],
    ],
    [
      "A3: a second subnet of one node",
      [revision(200, lease(1, "10.244.9.0-24"))],
      ["A3 revision 200: 172.31.1.11 owns 10.244.9.0-24 and 10.244.1.0-24"],
    ],
    [
      "A4, B3': an owner that changed in one life of the key",
      [revision(200, drop("10.244.2.0-24"), lease(2, "10.244.1.0-24", { version: 2 }))],
      [
        "A4 revision 200: 10.244.1.0-24: owner changed from 172.31.1.11 to 172.31.1.12 without a deletion",
        "B3' revision 200: 172.31.1.12 wrote 10.244.1.0-24 of 172.31.1.11",
      ],
    ],
    [
      "A9: a reservation that the lab made, and its node put on an etcd lease, with the same value",
      [
        labPuts(200, RESERVED),
        revision(200, RESERVED),
        revision(201, lease(3, "10.244.3.0-24", { version: 2, leaseId: "88" })),
      ],
      ["A9 revision 201: 10.244.3.0-24 was a reservation and has etcd lease 88 now"],
    ],
    [
      "A9: a reservation that got an etcd lease",
      [
        revision(200, lease(3, "10.244.3.0-24", { leaseId: null })),
        revision(201, lease(3, "10.244.3.0-24", { version: 2, leaseId: "88" })),
      ],
      ["A9 revision 201: 10.244.3.0-24 was a reservation and has etcd lease 88 now"],
    ],
  ])("%s is told", (_what, more, told) => {
    expect(judged(...CLUSTER, ...more).told).toEqual(told);
  });

  it.each<[string, readonly Sighting[]]>([
    [
      "A1, A3: a subnet that changes hands in one revision",
      [revision(200, drop("10.244.1.0-24"), lease(1, "10.244.9.0-24", { createRevision: 200 }))],
    ],
    [
      "A4: an owner of a new life of the key",
      [
        revision(200, drop("10.244.1.0-24"), drop("10.244.2.0-24")),
        revision(201, lease(2, "10.244.1.0-24", { createRevision: 201 })),
      ],
    ],
    [
      "A9: a reservation that is renewed as one",
      [
        revision(200, lease(3, "10.244.3.0-24", { leaseId: null })),
        revision(201, lease(3, "10.244.3.0-24", { version: 2, leaseId: null })),
      ],
    ],
    [
      "A2: a subnet of the config before",
      [
        revision(200, put("config", CONFIG.replace("10.244", "10.99"), { leaseId: null })),
        revision(201, lease(3)),
      ],
    ],
    [
      "A4, B3': a node that the lab renumbered keeps its key",
      [
        {
          witness: "stage",
          kind: "host-joined",
          at: 190,
          host: "n1",
          publicIps: { ipv4: "172.31.1.99" },
        },
        revision(
          200,
          put(
            "subnets/10.244.1.0-24",
            JSON.stringify({ PublicIP: "172.31.1.99", BackendType: "vxlan" }),
            { version: 2 },
          ),
        ),
      ],
    ],
    ["A2: a reservation anywhere", [revision(200, lease(3, "192.168.0.0-20", { leaseId: null }))]],
    [
      "A13: keys that are no leases",
      [revision(200, put("subnets/garbage", "x"), put("subnets/10.244.1.0-24x", "{}"))],
    ],
  ])("%s is no violation", (_what, more) => {
    expect(judged(...CLUSTER, ...more).told).toEqual([]);
  });

  it("A4: what the lab wrote itself is nobody's mistake, what an agent wrote then is", () => {
    const overwrite = lease(2, "10.244.1.0-24", { version: 2 });
    const [key, value] =
      overwrite.kind === "put" ? [overwrite.entry.key, overwrite.entry.value] : ["", ""];
    const announced: Sighting = { witness: "stage", kind: "lab-writes", at: 190, key, value };
    const back = revision(300, lease(1, "10.244.1.0-24", { version: 3 }));
    expect(judged(...CLUSTER, announced, revision(200, overwrite)).told).toEqual([]);
    expect(judged(...CLUSTER, announced, revision(200, overwrite), back).told).toEqual([
      "A4 revision 300: 10.244.1.0-24: owner changed from 172.31.1.12 to 172.31.1.11 without a deletion",
      "B3' revision 300: 172.31.1.11 wrote 10.244.1.0-24 of 172.31.1.12",
    ]);
  });

  it("A2: is unknown without a config to hold subnets against", () => {
    const { watch } = judged(revision(100, lease(1)));
    const checked = watch.conclude(200);
    expect(checked.find(({ id }) => id === "A2")).toMatchObject({ verdict: "unknown", looked: 0 });
    expect(checked.find(({ id }) => id === "A1")).toMatchObject({ verdict: "pass", looked: 1 });
  });
});
