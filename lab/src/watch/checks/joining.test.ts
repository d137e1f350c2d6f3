import { describe, expect, it } from "vitest";
import type { Sighting } from "../sightings.ts";
import {
  asked,
  CLUSTER,
  file,
  judged,
  laterOn,
  lease,
  nodeJoins,
  read,
  revision,
} from "../testing/story.ts";

const LEASES = "/coreos.com/network/subnets/";
const KEY = `${LEASES}10.244.3.0-24`;

const lists = (at: number): Sighting => asked(at, 3, { verb: "Range", lists: LEASES });
const tries = (at: number): Sighting =>
  asked(at, 3, { verb: "Txn", writes: [{ key: KEY, isConditional: true }] });
const stage = (at: number, kind: "agent-started" | "agent-ended"): Sighting => ({
  witness: "stage",
  kind,
  at,
  host: "n3",
});
const storeFault = (at: number, kind: "fault-began" | "fault-ended"): Sighting => ({
  witness: "stage",
  kind,
  at,
  fault: "f1",
});
const left = (at: number): Sighting => ({ witness: "stage", kind: "host-left", at, host: "n3" });

/** The store is asked how far it is, and its watch is there already. */
const looked = (at: number): Sighting => read(at, 110);

const waited = (at: number, waitedMs: number): Sighting => ({
  witness: "processor",
  kind: "waited",
  at,
  host: "n3",
  waitedMs,
});

const told = (...more: readonly Sighting[]): readonly string[] =>
  judged(...CLUSTER, ...more).told.filter((line) => line.startsWith("A8"));

describe("A8: who asks for a subnet", () => {
  const LATE = ["A8 asked for a subnet, and had none after 5 s"];

  it.each<[string, readonly Sighting[], readonly string[]]>([
    ["has none in time", [lists(1100), tries(1200), tries(6000), looked(6101)], LATE],
    ["is seen only when it tries to write one", [tries(1200), looked(6201)], LATE],
    [
      "has it late",
      [lists(1100), looked(6101), revision(6102, lease(3)), file(6103, 3), laterOn(30_000)],
      LATE,
    ],
    [
      "has none although a processor was there for long enough",
      [waited(1050, 700), lists(1100), waited(7000, 1600), looked(7001)],
      LATE,
    ],
    [
      "ends for a lost race",
      [lists(1100), tries(1200), stage(1300, "agent-ended")],
      ["A8 the agent asked for a subnet, and ended without one"],
    ],
    [
      "asks again when the store is back, in vain",
      [
        lists(1100),
        storeFault(1200, "fault-began"),
        laterOn(8000),
        storeFault(8001, "fault-ended"),
        lists(8300),
        looked(13_301),
      ],
      LATE,
    ],
  ])("%s, is told", (_what, more, lines) => {
    expect(told(...nodeJoins(1000, 3), ...more)).toEqual(lines);
  });

  it.each<[string, readonly Sighting[]]>([
    ["has it in time", [lists(1100), looked(6100), revision(6101, lease(3)), looked(20_000)]],
    [
      "has it in time, of which the watch tells late",
      [lists(1100), read(6101, 15_000), laterOn(14_000), revision(15_000, lease(3))],
    ],
    [
      "waits for a processor most of the time",
      [waited(1050, 700), lists(1100), waited(7000, 1600), looked(7000), revision(7001, lease(3))],
    ],
    ["is looked for by nobody", [lists(1100), laterOn(20_000)]],
    [
      "has it before the log tells who asked",
      [revision(1100, lease(3)), lists(1110), looked(20_000)],
    ],
    ["does not yet ask", [looked(20_000)]],
    [
      "asks while the store is away",
      [storeFault(1001, "fault-began"), lists(1100), looked(20_000)],
    ],
    [
      "is taken away with its host",
      [lists(1100), left(1200), stage(1201, "agent-ended"), looked(20_000)],
    ],
    [
      "ends with a subnet",
      [lists(1100), revision(1150, lease(3)), stage(1200, "agent-ended"), looked(20_000)],
    ],
    [
      "is killed by the lab",
      [
        lists(1100),
        storeFault(1200, "fault-began"),
        stage(1201, "agent-ended"),
        storeFault(1300, "fault-ended"),
        looked(20_000),
      ],
    ],
  ])("%s, is no violation", (_what, more) => {
    expect(told(...nodeJoins(1000, 3), ...more)).toEqual([]);
  });

  it("is waited for at the end of a run", () => {
    const asking = [...CLUSTER, ...nodeJoins(1000, 3), lists(1100)];
    expect(judged(...asking).watch.isSettled()).toBe(false);
    expect(judged(...asking, left(1200)).watch.isSettled()).toBe(false);
  });
});
