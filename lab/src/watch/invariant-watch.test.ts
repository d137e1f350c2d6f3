import { describe, expect, it } from "vitest";
import {
  changes,
  CLUSTER,
  drop,
  dumped,
  FACTS,
  file,
  fileText,
  judged,
  laterOn,
  lease,
  MENDED,
  nodeJoins,
  objectsFor,
  putAll,
  removed,
  revision,
  round,
} from "./testing/story.ts";
import type { KernelObject, Sighting } from "./sightings.ts";
import { INVARIANT_CHECKS } from "./checks/registry.ts";
import { InvariantWatch } from "./invariant-watch.ts";

const QUIET_ROUND = round(3000, dumped(1, [2]), dumped(2, [1]));
const [fdb, neighbour, route] = objectsFor(2);
const TUNNEL_DOWN: KernelObject = { object: "link", device: "flannel.1", up: false };

function struck(at: number, host?: string): Sighting {
  return {
    witness: "stage",
    kind: "fault-began",
    at,
    fault: "f1",
    ...(host === undefined ? {} : { host }),
  };
}

describe("a run in which all is well", () => {
  it("violates nothing, and every check has looked", () => {
    const { told, watch } = judged(
      ...CLUSTER,
      ...MENDED,
      QUIET_ROUND,
      round(4000, dumped(1, [2]), dumped(2, [1])),
      laterOn(4100),
      laterOn(5000),
    );
    expect(told).toEqual([]);
    expect(watch.conclude(5100).filter(({ verdict }) => verdict !== "pass")).toEqual([]);
    expect(watch.conclude(5100).map(({ id }) => id)).toEqual(INVARIANT_CHECKS.map(({ id }) => id));
  });
});

describe("what could not be looked at", () => {
  it("is unknown: nothing seen, nothing to look at, a blind witness", () => {
    const nothing = judged().watch.conclude(1);
    expect(new Set(nothing.map(({ verdict }) => verdict))).toEqual(new Set(["unknown"]));
    const never = judged(...CLUSTER, round(300, dumped(1, []), dumped(2, [1])));
    const d1 = never.watch.conclude(400).find(({ id }) => id === "D1");
    expect(d1).toMatchObject({ verdict: "unknown", detail: "there was nothing to look at" });
    const overrun: Sighting = {
      witness: "kernel",
      kind: "blind",
      at: 3500,
      host: "n1",
      why: "events were lost",
    };
    const verdicts = judged(...CLUSTER, QUIET_ROUND, laterOn(4000), overrun).watch.conclude(5000);
    const ofKernel = ["D2", "D3", "D9", "D10", "D11"];
    expect(verdicts.filter(({ blind }) => blind).map(({ id }) => id)).toEqual(ofKernel);
    expect(verdicts.filter(({ verdict }) => verdict === "unknown").map(({ id }) => id)).toEqual(
      ofKernel,
    );
  });

  it("is not asked for where it cannot be: D3 is about tunnels", () => {
    const watch = new InvariantWatch(INVARIANT_CHECKS, { ...FACTS, backend: "host-gw" });
    expect(watch.conclude(1).map(({ id }) => id)).not.toContain("D3");
  });

  it("is a failure all the same where a violation was seen before", () => {
    const { watch } = judged(...CLUSTER, revision(200, lease(2, "10.244.1.0-24", { version: 2 })), {
      witness: "store",
      kind: "blind",
      at: 300,
      why: "compacted",
    });
    expect(watch.conclude(400).find(({ id }) => id === "A4")?.verdict).toBe("fail");
  });

  it("is not told again every second", () => {
    const rounds = [3000, 4000, 5000, 6000].map((at) => round(at, dumped(1, []), dumped(2, [1])));
    expect(judged(...CLUSTER, ...rounds).violations.map(({ id, host }) => [id, host])).toEqual([
      ["D1", "n1"],
    ]);
  });
});

describe("B1: readiness", () => {
  const lost = revision(1000, drop("10.244.1.0-24"));
  const b1 = (...more: readonly Sighting[]): readonly string[] =>
    judged(...CLUSTER, ...more).told.filter((line) => line.startsWith("B1"));

  it("must end within 2 s of the lease's end", () => {
    expect(b1(lost, laterOn(3000))).toEqual([]);
    expect(b1(lost, laterOn(3001))).toHaveLength(1);
  });

  it("may go on with the same lease, another file, no agent, or a fault", () => {
    expect(b1(lost, revision(1500, lease(1)), laterOn(4000))).toEqual([]);
    expect(
      b1(
        lost,
        { witness: "file", kind: "changed", at: 1500, host: "n1", text: undefined },
        laterOn(4000),
      ),
    ).toEqual([]);
    expect(
      b1(lost, { witness: "stage", kind: "agent-ended", at: 1500, host: "n1" }, laterOn(4000)),
    ).toEqual([]);
    expect(b1(struck(900, "n1"), lost, laterOn(4000))).toEqual([]);
    expect(b1(struck(900, "n2"), lost, laterOn(4000))).toHaveLength(1);
  });
});

describe("D1, D7, D8, D9: dumps when it is quiet", () => {
  const seen = (...more: readonly Sighting[]): readonly string[] =>
    judged(...CLUSTER, ...more, laterOn(9000)).told;

  it.each<[string, Sighting, readonly string[]]>([
    [
      "D1: what is missing",
      round(3000, dumped(1, []), dumped(2, [1])),
      [
        "D1 missing route 10.244.2.0/24 via 10.244.2.0 dev flannel.1 onlink; missing neighbour 10.244.2.0 dev flannel.1 lladdr 0e:00:00:00:00:02; missing fdb 0e:00:00:00:00:02 dev flannel.1 dst 172.31.1.12",
      ],
    ],
    [
      "D1: what is stale",
      round(3000, dumped(1, [2, 3]), dumped(2, [1])),
      [
        "D1 stale route 10.244.3.0/24 via 10.244.3.0 dev flannel.1 onlink; stale neighbour 10.244.3.0 dev flannel.1 lladdr 0e:00:00:00:00:03; stale fdb 0e:00:00:00:00:03 dev flannel.1 dst 172.31.1.13",
      ],
    ],
  ])("%s is told", (_what, dump, told) => {
    expect(seen(dump)).toEqual(told);
  });

  it("D1: not before 2 s of quiet, nor during a fault, nor when something changed meanwhile", () => {
    const broken = (at: number): Sighting => round(at, dumped(1, []), dumped(2, [1]));
    expect(seen(broken(2149))).toEqual([]);
    expect(seen(broken(2150))).toHaveLength(1);
    // An agent that is started and not ready yet promises nothing, however long that takes.
    const restarted: Sighting = { witness: "stage", kind: "agent-started", at: 200, host: "n1" };
    expect(seen(restarted, broken(5000))).toEqual([]);
    expect(seen(restarted, file(2000, 1), broken(3999))).toEqual([]);
    expect(seen(restarted, file(2000, 1), broken(4000))).toHaveLength(1);
    expect(seen(struck(200), broken(3000))).toEqual([]);
    // The watch tells late what happened during the dump.
    expect(seen(broken(3000), revision(3010, lease(1, undefined, { version: 2 })))).toEqual([]);
    expect(seen(broken(3000), revision(3600, lease(1, undefined, { version: 2 })))).toHaveLength(1);
  });

  it("D7: a loop and a wrong end are told", () => {
    const third = [...nodeJoins(3, 3), revision(160, lease(3)), file(170, 3)];
    // n1 sends the subnet of n3 to n2, and n2 back to n1.
    const toward = (peer: number): ReturnType<typeof dumped> => {
      const host = dumped(
        peer === 2 ? 1 : 2,
        [1, 2, 3].filter((node) => node !== (peer === 2 ? 1 : 2)),
      );
      const fdbs = host.kernel.fdb.map((entry) =>
        entry.mac.endsWith("3") ? { ...entry, destination: `172.31.1.1${peer}` } : entry,
      );
      return { ...host, kernel: { ...host.kernel, fdb: fdbs } };
    };
    const told = seen(...third, round(3000, toward(2), toward(1), dumped(3, [1, 2])));
    expect(told.filter((line) => line.startsWith("D7"))).toEqual([
      "D7 10.244.3.0/24: n1 → n2 → n1 is a loop",
      "D7 10.244.3.0/24: n2 → n1 → n2 is a loop",
    ]);
    const stealing = dumped(2, [1]);
    const cni = {
      family: "ipv4",
      destination: "10.244.1.0/25",
      gateway: undefined,
      device: "cni0",
      onlink: false,
      protocol: "kernel",
    } as const;
    const thief = {
      ...stealing,
      kernel: { ...stealing.kernel, routes: [...stealing.kernel.routes, cni] },
    };
    expect(seen(round(3000, dumped(1, [2]), thief))).toEqual([
      "D7 10.244.1.0/24: n2 ends there, the owner is n1",
    ]);
  });

  it("D8: an MTU that does not fit is told", () => {
    const withMtu = (mtu: number): ReturnType<typeof dumped> => ({
      ...dumped(1, [2]),
      links: [
        { name: "eth0", mtu: 1500 },
        { name: "flannel.1", mtu },
      ],
    });
    expect(seen(file(160, 1, fileText(1, 1400)), QUIET_ROUND)).toEqual([
      "D8 FLANNEL_MTU is 1400, the path has room for 1450",
    ]);
    expect(seen(round(3000, withMtu(1500), dumped(2, [1])))).toEqual([
      "D8 flannel.1 has MTU 1500, the path has room for 1450",
    ]);
  });

  it("D9: an object for the own subnet, and a touched connected route, are told", () => {
    const own: KernelObject = {
      object: "route",
      family: "ipv4",
      destination: "10.244.1.0/24",
      gateway: "10.244.1.0",
      device: "flannel.1",
      protocol: 3,
    };
    const [, ownNeighbour] = objectsFor(1);
    const connected: KernelObject = {
      object: "route",
      family: "ipv4",
      destination: "10.244.1.0/24",
      device: "cni0",
      protocol: 2,
    };
    const bridge: KernelObject = { object: "link", device: "cni0", up: true };
    const d9 = (...more: readonly Sighting[]): readonly string[] =>
      seen(...more).filter((line) => line.startsWith("D9"));
    expect(d9(changes(200, "n1", ...putAll([own])))).toEqual([
      "D9 route 10.244.1.0/24 dev flannel.1 was put for the own subnet",
    ]);
    expect(d9(changes(200, "n1", ...putAll([ownNeighbour])))).toEqual([
      "D9 neighbour 10.244.1.0 dev flannel.1 was put for the own subnet",
    ]);
    expect(d9(changes(200, "n1", removed(connected)))).toEqual([
      "D9 the connected route 10.244.1.0/24 dev cni0 was removed",
    ]);
    expect(d9(changes(200, "n1", removed(connected), removed(bridge)))).toEqual([]);
    expect(d9(changes(200, "n1", removed(connected)), changes(600, "n1", removed(bridge)))).toEqual(
      ["D9 the connected route 10.244.1.0/24 dev cni0 was removed"],
    );
    expect(d9(changes(200, "n1", removed(connected)), changes(400, "n1", removed(bridge)))).toEqual(
      [],
    );
    expect(d9(changes(200, "n1", ...putAll([connected, route])))).toEqual([]);
    const host = dumped(1, [1, 2]);
    expect(d9(round(3000, host, dumped(2, [1])))).toEqual([
      "D9 route 10.244.1.0/24 dev flannel.1 is for the own subnet",
    ]);
  });
});

describe("D3: the order of kernel objects", () => {
  const d3 = (...more: readonly Sighting[]): readonly string[] =>
    judged(...CLUSTER.slice(0, 5), ...more, laterOn(9000)).told;
  const standing = changes(200, "n1", ...putAll([fdb, neighbour, route]));

  it("is kept by fdb, neighbour, route, and the reverse, in either order of the first two", () => {
    expect(
      d3(standing, changes(300, "n1", removed(route), removed(neighbour), removed(fdb))),
    ).toEqual([]);
    expect(d3(changes(200, "n1", ...putAll([neighbour, fdb, route])))).toEqual([]);
  });

  it("is broken by a route without its neighbour or FDB entry", () => {
    expect(d3(changes(200, "n1", ...putAll([fdb, route, neighbour])))).toEqual([
      "D3 route 10.244.2.0/24 dev flannel.1 was put without neighbour 10.244.2.0",
    ]);
    expect(d3(changes(200, "n1", ...putAll([neighbour, route, fdb])))).toEqual([
      "D3 route 10.244.2.0/24 dev flannel.1 was put without FDB entry 0e:00:00:00:00:02",
    ]);
  });

  it("is broken by what is taken from under a route, unless the device or a fault took it", () => {
    const taken = changes(300, "n1", removed(neighbour));
    expect(d3(standing, taken)).toEqual([
      "D3 route 10.244.2.0/24 dev flannel.1 stood when neighbour 10.244.2.0 went",
    ]);
    expect(d3(standing, taken, changes(350, "n1", removed(TUNNEL_DOWN)))).toEqual([]);
    expect(d3(standing, taken, changes(700, "n1", removed(TUNNEL_DOWN)))).toHaveLength(1);
    expect(d3(standing, struck(250, "n1"), taken)).toEqual([]);
    expect(d3(standing, struck(250, "n2"), taken)).toHaveLength(1);
    // What a fault did is told by the kernel a little after its end.
    const over = (at: number, more: { readonly echo?: true } = {}): Sighting => ({
      witness: "stage",
      kind: "fault-ended",
      at,
      fault: "f1",
      ...more,
    });
    expect(d3(standing, struck(250, "n1"), over(280), taken)).toEqual([]);
    expect(d3(standing, struck(50, "n1"), over(99), taken)).toHaveLength(1);
    // Much later where the machine is busy: the first that is heard of that kernel since it began, within two seconds.
    const echoing = (at: number): Sighting => over(at, { echo: true });
    const late = (at: number): Sighting => changes(at, "n1", removed(neighbour));
    expect(d3(standing, struck(250, "n1"), echoing(280), late(600))).toEqual([]);
    expect(d3(standing, struck(250, "n1"), over(280), late(600))).toHaveLength(1);
    expect(d3(standing, struck(250, "n1"), echoing(280), late(2281))).toHaveLength(1);
    const heard = changes(
      300,
      "n1",
      removed({ object: "address", device: "eth0", address: "192.0.2.7" }),
    );
    expect(d3(standing, struck(250, "n1"), echoing(280), heard, late(600))).toHaveLength(1);
    const ofOther = changes(300, "n2", ...putAll([fdb]));
    expect(d3(standing, struck(250, "n1"), echoing(280), ofOther, late(600))).toEqual([]);
  });

  it("is kept by a neighbour that goes after a route over another device took the place of the tunnel's", () => {
    const put = { kind: "put", object: { ...route, device: "eth0" } } as const;
    const gone = [removed(neighbour), removed(fdb)];
    expect(d3(standing, changes(300, "n1", { ...put, replaces: true }, ...gone))).toEqual([]);
    expect(d3(standing, changes(300, "n1", put, ...gone))).toHaveLength(1);
  });

  it("is broken by a neighbour that changes to a MAC without FDB entry", () => {
    const other: KernelObject = {
      object: "neighbour",
      address: "10.244.2.0",
      device: "flannel.1",
      mac: "0e:00:00:00:00:09",
    };
    expect(d3(standing, changes(300, "n1", ...putAll([other])))).toEqual([
      "D3 route 10.244.2.0/24 dev flannel.1 stood when FDB entry 0e:00:00:00:00:09 went",
    ]);
  });

  it("begins with what was there", () => {
    const baseline: Sighting = {
      witness: "kernel",
      kind: "baseline",
      at: 150,
      host: "n1",
      objects: [neighbour, fdb],
    };
    expect(d3(baseline, changes(200, "n1", ...putAll([route])))).toEqual([]);
  });
});
