import { describe, expect, it } from "vitest";
import { InvariantWatch } from "../invariant-watch.ts";
import type { Sighting } from "../sightings.ts";
import {
  CLUSTER,
  FACTS,
  file,
  fileText,
  judged,
  laterOn,
  lease,
  nodeJoins,
  read,
  revision,
} from "../testing/story.ts";
import { fileNamesLease } from "./subnet-env.ts";

describe("E1, E2: subnet.env", () => {
  it("E1: half a file is told, wherever it ends", () => {
    const text = fileText(1);
    for (let end = 0; end < text.length; end += 1) {
      expect(judged(...CLUSTER, file(200, 1, text.slice(0, end))).told).toHaveLength(1);
    }
  });

  describe("E2: a file that names no lease of the node", () => {
    const told = ["E2 subnet.env names 10.244.2.0/24, which is not leased to the node"];
    const wrong = [...CLUSTER, file(200, 1, fileText(2))];
    const joining = [...CLUSTER, ...nodeJoins(190, 3), file(200, 3)];
    // The revisions of the cluster are up to 110.
    const lists: readonly [string, readonly Sighting[], readonly string[]][] = [
      ["is told once the store was asked after it was seen", [...wrong, read(200, 110)], told],
      ["is not judged by what the store was asked before", [...wrong, read(199, 110)], []],
      [
        "is told once the watch is where the store was",
        [...wrong, read(200, 600), laterOn(30_000), revision(600, lease(3))],
        told,
      ],
      ["is judged at the end of a run, not by time", [...wrong, laterOn(30_000)], []],
      [
        "is none where the watch tells of the lease late",
        [...joining, read(200, 210), laterOn(9000), revision(210, lease(3))],
        [],
      ],
      ["was replaced by one that does", [...wrong, file(250, 1), read(300, 110)], []],
    ];
    it.each(lists)("%s", (_what, sightings, lines) => {
      const of = judged(...sightings).told.filter((line) => line.startsWith("E2"));
      expect(of).toEqual(lines);
    });

    it("is waited for at the end of a run", () => {
      const watch = new InvariantWatch([fileNamesLease], FACTS);
      wrong.forEach((sighting) => watch.see(sighting));
      expect(watch.isSettled()).toBe(false);
      watch.see(read(200, 110));
      expect(watch.isSettled()).toBe(true);
    });
  });
});
