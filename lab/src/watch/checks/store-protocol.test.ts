import { describe, expect, it } from "vitest";
import { asked, CLUSTER, connections, ipOf, judged } from "../testing/story.ts";
import type { Sighting } from "../sightings.ts";

const LEASES = "/coreos.com/network/subnets";
const KEY = `${LEASES}/10.244.1.0-24`;

const times = <T>(count: number, of: (index: number) => T): readonly T[] =>
  Array.from({ length: count }, (_, index) => of(index));
const lists = (count: number, everyMs: number, beginMs = 1000): readonly Sighting[] =>
  times(count, (index) =>
    asked(beginMs + index * everyMs, 1, { verb: "Range", lists: `${LEASES}/` }),
  );
const listsOf = (node: number, at: number): readonly Sighting[] => [
  asked(at, node, { verb: "Range", lists: `${LEASES}/` }),
];
const swapped = (at: number): readonly Sighting[] =>
  [1, 2].map((node) => ({
    witness: "stage",
    kind: "host-joined",
    at,
    host: `n${node}`,
    publicIps: { ipv4: ipOf(3 - node) },
  }));
const started = (at: number): Sighting => ({
  witness: "stage",
  kind: "agent-started",
  at,
  host: "n1",
});

describe("what agents ask the store", () => {
  it.each<[string, readonly Sighting[], readonly string[]]>([
    [
      "C3: lists without end",
      lists(60, 150),
      ["C3 the leases were listed 21 times in 10 s", "E5 the store answered 41 requests in 10 s"],
    ],
    [
      "E5: other requests without end",
      times(45, (index) => asked(1000 + index, 1, { verb: "LeaseGrant" })),
      ["E5 the store answered 41 requests in 10 s"],
    ],
    [
      "E5: connections without end",
      times(9, (index) => connections(1000 + index * 250, 1, 5)),
      ["E5 45 connections were begun in 10 s"],
    ],
    [
      "B6: an unconditional write, and an unconditional deletion",
      [
        asked(1000, 1, { verb: "Put", writes: [{ key: KEY, isConditional: false }] }),
        asked(1001, 2, { verb: "DeleteRange", writes: [{ key: KEY, isConditional: false }] }),
      ],
      [
        "B6 Put of 10.244.1.0-24 without a condition on it",
        "B6 DeleteRange of 10.244.1.0-24 without a condition on it",
      ],
    ],
    [
      "C3: an agent that is not ready yet is judged by itself",
      [started(1000), ...lists(21, 10, 1100)],
      ["C3 the leases were listed 21 times in 10 s"],
    ],
  ])("%s is told", (_what, more, told) => {
    expect(judged(...CLUSTER, ...more).told).toEqual(told);
  });

  it.each<[string, readonly Sighting[]]>([
    ["C3: a list a second", lists(60, 1001)],
    [
      "C3: several starts, each with its lists",
      times(9, (index) => [started(1000 + index * 100), ...lists(5, 1, 1001 + index * 100)]).flat(),
    ],
    [
      "C3, E5: as much of each of two nodes that exchange their addresses",
      [
        ...swapped(1000),
        ...times(15, (index) => [...lists(1, 1, 1100 + index), ...listsOf(2, 1100 + index)]).flat(),
      ],
    ],
    [
      "C3, E5, B6: what the lab asks by its own hand",
      times(100, (index) => ({
        ...asked(1000 + index, 1, { verb: "Range", lists: `${LEASES}/` }),
        request: {
          client: "172.31.1.2",
          verb: "Put",
          lists: LEASES,
          writes: [{ key: KEY, isConditional: false }],
        },
      })),
    ],
    [
      "B6: another key",
      [asked(1000, 1, { verb: "Put", writes: [{ key: "/other", isConditional: false }] })],
    ],
    ["E5: two tries a second", times(60, (index) => connections(1000 + index * 1000, 1, 2))],
  ])("%s is no violation", (_what, more) => {
    expect(judged(...CLUSTER, ...more).told).toEqual([]);
  });
});
