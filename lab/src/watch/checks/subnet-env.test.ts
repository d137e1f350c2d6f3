import { describe, expect, it } from "vitest";
import {
  CLUSTER,
  file,
  fileText,
  judged,
  laterOn,
  lease,
  nodeJoins,
  revision,
} from "../testing/story.ts";

describe("E1, E2: subnet.env", () => {
  it("E1: half a file is told, wherever it ends", () => {
    const text = fileText(1);
    for (let end = 0; end < text.length; end += 1) {
      expect(judged(...CLUSTER, file(200, 1, text.slice(0, end))).told).toHaveLength(1);
    }
  });

  it("E2: a file that names no lease of the node is told, unless the lease is only seen a little later", () => {
    const told = ["E2 subnet.env names 10.244.2.0/24, which is not leased to the node"];
    expect(judged(...CLUSTER, file(200, 1, fileText(2)), laterOn(800)).told).toEqual(told);
    expect(judged(...CLUSTER, file(200, 1, fileText(2)), laterOn(699)).told).toEqual([]);
    const joining = [...CLUSTER, ...nodeJoins(190, 3), file(200, 3)];
    expect(judged(...joining, revision(600, lease(3)), laterOn(800)).told).toEqual([]);
    expect(judged(...joining, laterOn(701), revision(710, lease(3))).told).toHaveLength(1);
  });
});
