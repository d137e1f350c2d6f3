import { describe, expect, it } from "vitest";
import type { Sighting } from "../sightings.ts";
import { CLUSTER, drop, file, judged, lease, nodeJoins, revision } from "../testing/story.ts";

describe("D5, D6: traffic", () => {
  const pair = { witness: "probe", from: "n1", to: "n2", family: "ipv4" } as const;
  const gap = (beginAt: number, endAt: number, isFirst = false): Sighting => ({
    ...pair,
    kind: "gap",
    at: endAt,
    beginAt,
    endAt,
    lost: 5,
    isFirst,
  });
  const allowed = (at: number, maxGapMs: number, to?: string): Sighting => ({
    witness: "stage",
    kind: "gaps-allowed",
    at,
    allowance: "a",
    maxGapMs,
    ...(to === undefined ? {} : { pair: { from: "n1", to } }),
  });
  const ended = (at: number): Sighting => ({
    witness: "stage",
    kind: "allowance-ended",
    at,
    allowance: "a",
  });

  it("D5: a gap is told unless it is allowed, at its time, of its length, for its pair", () => {
    const told = ["D5 n1 → n2 ipv4: 5 packets lost in 400 ms, 0 ms are allowed"];
    expect(judged(...CLUSTER, gap(200, 600)).told).toEqual(told);
    expect(judged(...CLUSTER, allowed(190, 400), gap(200, 600)).told).toEqual([]);
    expect(judged(...CLUSTER, allowed(190, 399), gap(200, 600)).told).toEqual([
      told[0]?.replace("0 ms are", "399 ms are"),
    ]);
    expect(judged(...CLUSTER, allowed(190, 400, "n2"), gap(200, 600)).told).toEqual([]);
    expect(judged(...CLUSTER, allowed(190, 400, "n3"), gap(200, 600)).told).toEqual(told);
    expect(judged(...CLUSTER, allowed(190, 400), ended(500), gap(200, 600)).told).toEqual([]);
    expect(judged(...CLUSTER, allowed(601, 400), gap(200, 600)).told).toEqual(told);
    // Of a new peer, a second after the agents of both ends are ready.
    const first = (endAt: number): Sighting => gap(200, endAt, true);
    expect(judged(...CLUSTER, first(1200)).told).toEqual([]);
    expect(judged(...CLUSTER, first(1201)).told).toHaveLength(1);
    const restarted: Sighting = { witness: "stage", kind: "agent-started", at: 190, host: "n1" };
    expect(judged(...CLUSTER, restarted, first(9000)).told).toEqual([]);
    expect(judged(...CLUSTER, restarted, file(3000, 1), first(4000)).told).toEqual([]);
    expect(judged(...CLUSTER, restarted, file(3000, 1), first(4001)).told).toHaveLength(1);
    expect(judged(...CLUSTER, restarted, gap(200, 600)).told).toEqual(told);
    // Of one that cannot hear of it, a second after it can; a fault that came later, or struck another, is no excuse.
    const deaf = (at: number, host = "n1"): Sighting => ({
      witness: "stage",
      kind: "fault-began",
      at,
      fault: "f1",
      host,
      deaf: true,
    });
    const hears: Sighting = { witness: "stage", kind: "fault-ended", at: 3000, fault: "f1" };
    expect(judged(...CLUSTER, deaf(190), first(9000)).told).toEqual([]);
    expect(judged(...CLUSTER, deaf(190), hears, first(4200)).told).toEqual([]);
    expect(judged(...CLUSTER, deaf(190), hears, first(4201)).told).toHaveLength(1);
    // The heal is told as another beginning.
    expect(judged(...CLUSTER, deaf(190), deaf(2500), hears, first(2400)).told).toEqual([]);
    expect(judged(...CLUSTER, deaf(190, "n3"), first(1201)).told).toHaveLength(1);
    expect(judged(...CLUSTER, deaf(1202), first(1201)).told).toHaveLength(1);
    const hindered: Sighting = {
      witness: "stage",
      kind: "fault-began",
      at: 190,
      fault: "f1",
      host: "n1",
    };
    expect(judged(...CLUSTER, hindered, first(1201)).told).toHaveLength(1);
    expect(judged(...CLUSTER, deaf(190), gap(200, 600)).told).toEqual(told);
    const of = (more: Partial<Extract<Sighting, { readonly kind: "gaps-allowed" }>>): Sighting => ({
      witness: "stage",
      kind: "gaps-allowed",
      at: 190,
      allowance: "a",
      maxGapMs: 400,
      ...more,
    });
    expect(judged(...CLUSTER, of({ host: "n2" }), gap(200, 600)).told).toEqual([]);
    expect(judged(...CLUSTER, of({ host: "n3" }), gap(200, 600)).told).toEqual(told);
    expect(judged(...CLUSTER, of({ at: 100, forMs: 99 }), gap(200, 600)).told).toEqual(told);
    expect(judged(...CLUSTER, of({ at: 100, forMs: 100 }), gap(200, 600)).told).toEqual([]);
    const untilEnd = of({ maxGapMs: 50, untilEnd: true });
    expect(judged(...CLUSTER, untilEnd, gap(200, 600)).told).toEqual([]);
    expect(judged(...CLUSTER, untilEnd, ended(550), gap(200, 600)).told).toEqual([]);
    expect(judged(...CLUSTER, untilEnd, ended(549), gap(200, 600)).told).toHaveLength(1);
    expect(judged(...CLUSTER, allowed(190, 400), ended(199), gap(200, 600)).told).toEqual(told);
  });

  it("D5: who lost its lease while it cannot hear of that has the time of a repair once it can", () => {
    const stage = { witness: "stage" } as const;
    const expired = (host: string): readonly Sighting[] => [
      { ...stage, kind: "fault-began", at: 190, fault: "f1", host, deaf: true },
      {
        ...stage,
        kind: "gaps-allowed",
        at: 199,
        allowance: "b",
        maxGapMs: 400,
        forMs: 400,
        host: "n2",
        onceHeard: true,
      },
    ];
    const hears: Sighting = { ...stage, kind: "fault-ended", at: 3000, fault: "f1" };
    // An end of a fault is heard of a little later.
    const told = (host: string, endAt: number): readonly string[] =>
      judged(...CLUSTER, ...expired(host), hears, gap(200, endAt)).told;
    expect(told("n2", 3600)).toEqual([]);
    expect(told("n2", 3601)).toHaveLength(1);
    expect(told("n1", 600)).toEqual([]);
    expect(told("n1", 601)).toHaveLength(1);
    expect(judged(...CLUSTER, ...expired("n2"), gap(200, 9000)).told).toEqual([]);
  });

  it("D6: a packet that came to another than an owner at its time is told", () => {
    const stray = (at: number, receivedBy: string): Sighting => ({
      ...pair,
      kind: "misdelivered",
      at,
      sentAt: at - 1,
      address: "10.244.2.2",
      receivedBy,
    });
    const third = nodeJoins(3, 3);
    const moved = revision(
      300,
      drop("10.244.2.0-24"),
      lease(3, "10.244.2.0-24", { createRevision: 300 }),
    );
    expect(judged(...CLUSTER, ...third, stray(250, "n3")).told).toEqual([
      "D6 a packet of n1 for 10.244.2.2 came to n3",
    ]);
    expect(judged(...CLUSTER, ...third, moved, stray(301, "n3"), stray(301, "n2")).told).toEqual(
      [],
    );
    expect(judged(...CLUSTER, ...third, moved, stray(350, "n2")).told).toEqual([
      "D6 a packet of n1 for 10.244.2.2 came to n2",
    ]);
  });
});
