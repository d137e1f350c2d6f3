/** Restores from a backup that happen while an agent cannot see them: two worlds that random plans hit too seldom. */
import { describe, expect, test } from "vitest";
import { type Fault, type FaultKind, type Plan, planOfSeed } from "./plan.ts";
import { simulate } from "./simulate.ts";

const SEEDS = [1, 2, 3];

function fault(kind: FaultKind, node: number, atSeconds: number, seconds = 1): Fault {
  return { kind, round: 0, node, atSeconds, seconds, variant: 1 };
}

function directed(seed: number, shape: Partial<Plan>): Plan {
  const plan = planOfSeed(seed, { nodes: { min: 4, max: 4 }, minutes: 10 });
  return { ...plan, range: "roomy", members: 1, framing: "whole", ...shape };
}

/**
 * The first node knows a change that the backup undoes. It is cut off during the restore, and until the new history has more
 * revisions than the node knew of the old one: revisions and name of the cluster are as if nothing had happened.
 */
function undoneUnseen(seed: number): Plan {
  return directed(seed, {
    ttlSeconds: 86_400,
    renewMarginMinutes: 60,
    faults: [
      fault("overwrite", 1, 30),
      fault("refuse", 0, 50, 100),
      fault("restore-snapshot-same-name", 0, 60),
      ...[70, 80].flatMap((at) => [fault("overwrite", 2, at), fault("overwrite", 3, at + 1)]),
    ],
  });
}

/**
 * The only node sleeps while its renewed key goes back to what it was, and is then given to another node at the very revision of the
 * renewal. When it wakes, its next renewal is due before it hears of that.
 */
function sameRevisionAgain(seed: number): Plan {
  return directed(seed, {
    nodes: 1,
    ttlSeconds: 120,
    renewMarginMinutes: 1,
    faults: [
      fault("pause", 0, 65, 60),
      fault("restore-snapshot-same-name", 0, 70),
      fault("overwrite", 0, 75),
    ],
  });
}

async function reported(plan: Plan): Promise<readonly string[]> {
  return (await simulate(plan)).violations.map(({ id, detail }) => `${id}: ${detail}`);
}

describe("a backup restored under the old name", () => {
  test.each(SEEDS)("C9: a change that it undid unseen is noticed (seed %i)", async (seed) => {
    expect(await reported(undoneUnseen(seed))).toEqual([]);
  });

  test.each(SEEDS)(
    "A4, B3': another node's key at the revision of our renewal is not overwritten (seed %i)",
    async (seed) => {
      expect(await reported(sameRevisionAgain(seed))).toEqual([]);
    },
  );
});
