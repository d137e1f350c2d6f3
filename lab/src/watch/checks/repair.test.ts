import { describe, expect, it } from "vitest";
import {
  blow,
  changes,
  CLUSTER,
  drop,
  dumped,
  judged,
  laterOn,
  objectsFor,
  putAll,
  removed,
  revision,
  round,
} from "../testing/story.ts";
import type { KernelObject, Sighting } from "../sightings.ts";

const [fdb, neighbour, route] = objectsFor(2);
const DEVICE: KernelObject = { object: "link", device: "flannel.1", up: true };
const right = (at: number): Sighting => round(at, dumped(1, [2]), dumped(2, [1]));
const wrong = (at: number): Sighting => round(at, dumped(1, []), dumped(2, [1]));

/** What one of the two checks tells of a story. */
function told(id: "D10" | "D11", ...more: readonly Sighting[]): readonly string[] {
  return judged(...CLUSTER, ...more)
    .violations.filter((violation) => violation.id === id)
    .map(({ at, host, detail }) => `${at} ${host ?? ""} ${detail}`);
}

function figures(id: "D10" | "D11", ...more: readonly Sighting[]): readonly [number, boolean] {
  const { watch } = judged(...CLUSTER, ...more);
  return [watch.conclude(9000).find((one) => one.id === id)?.looked ?? 0, watch.isSettled()];
}

describe("D11: an entry that was taken away", () => {
  it.each<[string, readonly Sighting[], readonly string[]]>([
    [
      "a route that does not come back",
      [...blow(1000, "n1"), changes(1000, "n1", removed(route)), laterOn(4000)],
      [
        "1000 n1 route 10.244.2.0/24 via 10.244.2.0 dev flannel.1 proto boot went, and was not back in 1000 ms",
      ],
    ],
    [
      "one that the agent itself took away",
      [changes(1000, "n1", removed(fdb)), laterOn(3100)],
      [
        "1000 n1 fdb 0e:00:00:00:00:02 dev flannel.1 dst 172.31.1.12 went, and was not back in 1000 ms",
      ],
    ],
    [
      "a neighbour that was altered",
      [
        changes(1000, "n1", {
          kind: "put",
          object: {
            object: "neighbour",
            device: "flannel.1",
            address: "10.244.2.0",
            mac: "0e:00:00:00:00:66",
          },
        }),
        laterOn(3100),
      ],
      [
        "1000 n1 neighbour 10.244.2.0 dev flannel.1 lladdr 0e:00:00:00:00:02 went, and was not back in 1000 ms",
      ],
    ],
    [
      "one that comes back too late",
      [changes(1000, "n1", removed(route)), laterOn(3100), changes(3200, "n1", ...putAll([route]))],
      [
        "1000 n1 route 10.244.2.0/24 via 10.244.2.0 dev flannel.1 proto boot went, and was not back in 1000 ms",
      ],
    ],
  ])("is told: %s", (_what, more, violations) => {
    expect(told("D11", ...more)).toEqual(violations);
  });

  it.each<[string, readonly Sighting[]]>([
    [
      "that comes back",
      [changes(1000, "n1", removed(route)), changes(1900, "n1", ...putAll([route])), laterOn(9000)],
    ],
    [
      "of a lease that is no more, which the store's watch says later",
      [changes(1000, "n1", removed(route)), revision(1400, drop("10.244.2.0-24")), laterOn(9000)],
    ],
    [
      "of an agent that does not run",
      [
        { witness: "stage", kind: "agent-ended", at: 900, host: "n1" },
        changes(1000, "n1", removed(neighbour)),
        laterOn(9000),
      ],
    ],
    [
      "with its device",
      [
        changes(1000, "n1", removed(neighbour), removed(fdb), removed(DEVICE)),
        changes(4000, "n1", ...putAll([DEVICE, fdb, neighbour, route])),
        laterOn(9000),
      ],
    ],
    [
      "as long as a fault is on",
      [
        { witness: "stage", kind: "fault-began", at: 900, fault: "f1", host: "n1" },
        changes(1000, "n1", removed(route)),
        laterOn(8000),
        { witness: "stage", kind: "fault-ended", at: 8000, fault: "f1" },
        changes(9000, "n1", ...putAll([route])),
        laterOn(20_000),
      ],
    ],
  ])("is no violation: %s", (_what, more) => {
    expect(told("D11", ...more)).toEqual([]);
  });

  it("was looked at when it is back, and is waited for until then", () => {
    const gone = changes(1000, "n1", removed(route));
    expect(figures("D11", right(900), gone)[0]).toBe(0);
    expect(judged(...CLUSTER, right(900), gone).watch.isSettled()).toBe(false);
    const back = changes(1100, "n1", ...putAll([route]));
    expect(figures("D11", right(900), gone, back)).toEqual([1, true]);
  });
});

describe("D10: a tunnel device that was deleted", () => {
  const gone = changes(1000, "n1", removed(DEVICE));

  it("is told when it is not back after 5 s, with all peers", () => {
    const detail = "missing route 10.244.2.0/24 via 10.244.2.0 dev flannel.1 onlink";
    expect(told("D10", gone, wrong(3000), wrong(5999))).toEqual([]);
    expect(told("D10", gone, wrong(5999), wrong(6000), wrong(7000))).toEqual([
      `1000 n1 flannel.1 was deleted, and 5000 ms later: ${detail}`,
    ]);
  });

  it("is no violation when it is back, or when something excuses the agent", () => {
    expect(told("D10", gone, wrong(3000), right(5000), wrong(9000))).toEqual([]);
    expect(figures("D10", gone, right(5000))).toEqual([1, true]);
    const ended: Sighting = { witness: "stage", kind: "agent-ended", at: 1500, host: "n1" };
    expect(told("D10", gone, ended, wrong(9000))).toEqual([]);
    const struck: Sighting = {
      witness: "stage",
      kind: "fault-began",
      at: 900,
      fault: "f1",
      host: "n1",
    };
    expect(told("D10", struck, gone, wrong(9000))).toEqual([]);
  });
});
