import { describe, expect, it } from "vitest";
import type { Sighting } from "../sightings.ts";
import { CLUSTER, dumped, judged, laterOn, lease, revision, round } from "../testing/story.ts";

/** How many things D1 looked at, and whether it waits for more. */
function d1(...more: readonly Sighting[]): readonly [number, boolean] {
  const { watch } = judged(...CLUSTER, ...more);
  const check = watch.conclude(9000).find(({ id }) => id === "D1");
  return [check?.looked ?? 0, watch.isSettled()];
}

const right = (at: number): Sighting => round(at, dumped(1, [2]), dumped(2, [1]));
const wrong = (at: number): Sighting => round(at, dumped(1, []), dumped(2, [1]));

describe("D1: a check of dumps", () => {
  it("waits for a dump after the last change", () => {
    expect(d1(laterOn(1000))).toEqual([0, false]);
    const renewed = revision(1001, lease(1, undefined, { version: 2 }));
    expect(d1(right(1000), renewed)).toEqual([2, false]);
  });

  it("takes what is right for a look at once", () => {
    expect(d1(right(1000))).toEqual([2, true]);
  });

  it("waits for something to look at, as long as there was nothing", () => {
    expect(d1(round(1000))).toEqual([0, false]);
    expect(d1(right(1000), round(1001))).toEqual([2, true]);
  });

  it("waits for the quiet before it tells what is wrong, and for what may excuse it", () => {
    expect(d1(wrong(1000))).toEqual([0, false]);
    expect(d1(right(3000), wrong(3001))).toEqual([4, false]);
    expect(d1(wrong(3000))).toEqual([2, false]);
    expect(d1(wrong(3000), laterOn(3520))).toEqual([2, true]);
  });

  it("gives the agents time to find out what a fault made of the world, where it needs some", () => {
    const story = (at: number, resyncMs?: number): readonly Sighting[] => [
      { witness: "stage", kind: "fault-began", at: 900, fault: "f1" },
      {
        witness: "stage",
        kind: "fault-ended",
        at: 1000,
        fault: "f1",
        ...(resyncMs === undefined ? {} : { resyncMs }),
      },
      wrong(at),
      laterOn(at + 520),
    ];
    const violations = (...more: Parameters<typeof story>): number =>
      judged(...CLUSTER, ...story(...more)).violations.filter(({ id }) => id === "D1").length;
    expect(violations(4000)).toBe(1);
    expect(violations(4000, 3000)).toBe(0);
    expect(violations(4001, 3000)).toBe(1);
  });

  it("does not look, nor wait, while a fault is on", () => {
    const struck: Sighting = { witness: "stage", kind: "fault-began", at: 1000, fault: "f1" };
    expect(d1(struck, right(1001))).toEqual([0, true]);
  });
});
