import { describe, expect, it } from "vitest";
import { type PingEnd, planPings, sampled } from "./ping-matrix.ts";

function ends(count: number): PingEnd[] {
  return Array.from({ length: count }, (_, index) => ({
    name: `n${index + 1}`,
    segment: 1,
    addresses: [{ family: "ipv4", address: `10.244.${index + 1}.2` }],
    pid: undefined,
  }));
}

function pairsOf(count: number): string[] {
  const plans = sampled(planPings(ends(count), ["ipv4"], () => true));
  return plans.flatMap(({ from, targets }) => targets.map(({ to }) => `${from.name} ${to}`));
}

describe("who is asked while a lab comes up", () => {
  it("every pair of a small lab", () => {
    expect(pairsOf(20)).toHaveLength(20 * 19);
  });

  it.each([21, 50, 100, 240])(
    "of %d hosts so few that their ARP entries fit, each as often as the others",
    (count) => {
      const pairs = pairsOf(count);
      expect(new Set(pairs).size).toBe(pairs.length);
      // Both hosts of a pair learn each other, whoever asks; each host and the store know each other, too.
      const acquainted = new Set(pairs.map((pair) => pair.split(" ").toSorted().join(" ")));
      expect(2 * acquainted.size).toBe(pairs.length);
      expect(2 * (acquainted.size + count)).toBeLessThanOrEqual(1000);
      for (const side of [0, 1]) {
        const counts = Map.groupBy(pairs, (pair) => pair.split(" ")[side]);
        expect(counts.size).toBe(count);
        expect(new Set([...counts.values()].map(({ length }) => length)).size).toBe(1);
      }
    },
  );
});
