import { expect, it } from "vitest";
import { failedPairs, type PingMatrix, type PingPair } from "../lab.ts";
import { describePair, formatPingMatrix, summarizePings } from "./ping-table.ts";

const pair = (from: string, to: string, received: number, expected = true): PingPair => ({
  from,
  to,
  family: "ipv4",
  sent: 2,
  received,
  ...(received === 0 ? {} : { averageMs: 0.061 }),
  expected,
});
const MATRIX: PingMatrix = {
  hosts: ["n1", "n2", "n3"],
  pairs: [
    pair("n1", "n2", 2),
    pair("n1", "n3", 0),
    pair("n2", "n1", 1),
    pair("n2", "n3", 0, false),
    pair("n3", "n1", 2, false),
  ],
};

it("prints who reaches whom, marking losses and pairs that are not expected to pass", () => {
  expect(formatPingMatrix(MATRIX)).toMatchInlineSnapshot(`
    "ipv4 ms  n1      n2    n3
    n1       -       0.06  ✗
    n2       ✗ 1/2   -     ·
    n3       (0.06)        -
    "
  `);
});

it("counts a pair that lost any packet as failed, if it was to pass", () => {
  expect(failedPairs(MATRIX).map(describePair)).toEqual([
    "n1 → n3 ipv4: 0 of 2 answered",
    "n2 → n1 ipv4: 1 of 2 answered",
  ]);
  expect(summarizePings(MATRIX)).toBe("1/3 pod pairs reach each other, 2 not expected to");
  expect(summarizePings({ ...MATRIX, isSample: true })).toContain("(a sample of all)");
});
