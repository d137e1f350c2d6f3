import { AgentError } from "agent/core/errors.ts";
import {
  FAMILIES,
  addToIp,
  cidr,
  cidrAddress,
  familyBits,
  familyOf,
  ipValue,
  overlaps,
} from "agent/core/ip.ts";
import type { Cidr, Family, PerFamily } from "agent/core/ip.ts";
import type { NetworkRange } from "agent/core/network-config.ts";
import { chooseSubnets, freeSubnets, isCompatible } from "agent/core/subnet-allocator.ts";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { anyFamily, config, prefix, range } from "./arbitraries.ts";

/** At most 2^6 subnets a family: few enough to list. */
const SHARE_BITS = 6;

/** Every subnet of a range, listed without the code under test. */
function allSubnets({ subnetMin, subnetMax, subnetLength }: NetworkRange): readonly Cidr[] {
  const size = 1n << BigInt(familyBits(familyOf(subnetMin)) - subnetLength);
  const subnets: Cidr[] = [];
  for (let offset = 0n; ipValue(subnetMin) + offset <= ipValue(subnetMax); offset += size)
    subnets.push(cidr(addToIp(subnetMin, offset), subnetLength));
  return subnets;
}

/** Subnets of the range, smaller and larger relatives of them, and prefixes from anywhere. */
function takenIn(available: NetworkRange): fc.Arbitrary<Cidr> {
  const family = familyOf(available.network);
  const nearby = fc
    .tuple(fc.constantFrom(...allSubnets(available)), fc.integer({ min: -3, max: 2 }))
    .map(([subnet, change]) =>
      cidr(cidrAddress(subnet), Math.min(available.subnetLength + change, familyBits(family))),
    );
  return fc.oneof(
    { weight: 8, arbitrary: fc.constantFrom(...allSubnets(available)) },
    { weight: 2, arbitrary: nearby },
    { weight: 1, arbitrary: prefix(family, 1) },
  );
}

const cases = config(SHARE_BITS).chain((wanted) => {
  const taken = FAMILIES.map((family) => {
    const available = wanted.ranges[family];
    const each: fc.Arbitrary<PerFamily<Cidr>> =
      available === undefined
        ? prefix(family, 1).map((subnet) => ({ [family]: subnet }))
        : takenIn(available).map((subnet) => ({ [family]: subnet }));
    return fc.array(each, { maxLength: 60 });
  });
  return fc.record({
    wanted: fc.constant(wanted),
    taken: fc.tuple(...taken).map((lists) => lists.flat()),
    draw: fc.nat(99),
  });
});

test("A2, A7: chosen subnets overlap nothing taken and fit, and there are none only when a family is full", () => {
  fc.assert(
    fc.property(cases, ({ wanted, taken, draw }) => {
      const full = FAMILIES.filter((family) => {
        const available = wanted.ranges[family];
        return available !== undefined && freeByListing(available, taken, family).length === 0;
      });
      const chosen = tryChoose(() => chooseSubnets(wanted, taken, (limit) => draw % limit));
      expect(chosen === undefined).toBe(full.length > 0);
      if (chosen === undefined) return;
      expect(isCompatible(chosen, wanted)).toBe(true);
      for (const family of FAMILIES) {
        const mine = chosen[family];
        for (const { [family]: other } of taken)
          expect(mine !== undefined && other !== undefined && overlaps(mine, other)).toBe(false);
      }
    }),
  );
});

test("free subnets are the same as by listing all", () => {
  const ranges = anyFamily
    .chain((family) => range(family, SHARE_BITS))
    .chain((available) =>
      fc.tuple(
        fc.constant(available),
        fc.array(takenIn(available), { maxLength: 60 }),
        fc.integer({ min: 1, max: 100 }),
      ),
    );
  fc.assert(
    fc.property(ranges, ([available, taken, limit]) => {
      const listed = allSubnets(available).filter(
        (subnet) => !taken.some((other) => overlaps(subnet, other)),
      );
      expect(freeSubnets(available, taken, limit)).toEqual(listed.slice(0, limit));
    }),
  );
});

test("one after the other, nodes fill every family of the range and never share", () => {
  fc.assert(
    fc.property(config(4), fc.infiniteStream(fc.nat(99)), (wanted, draws) => {
      const sizes = FAMILIES.flatMap((family) => {
        const available = wanted.ranges[family];
        return available === undefined ? [] : [allSubnets(available).length];
      });
      const taken: PerFamily<Cidr>[] = [];
      for (;;) {
        const pick = (limit: number): number => Number(draws.next().value) % limit;
        const chosen = tryChoose(() => chooseSubnets(wanted, taken, pick));
        if (chosen === undefined) break;
        taken.push(chosen);
        expect(taken.length).toBeLessThanOrEqual(Math.min(...sizes));
      }
      expect(taken).toHaveLength(Math.min(...sizes));
      for (const family of FAMILIES) {
        const subnets = taken.flatMap((each) => each[family] ?? []);
        expect(new Set(subnets).size).toBe(subnets.length);
      }
    }),
  );
});

test("a preferred subnet is kept exactly when it fits and is free", () => {
  const wishes = anyFamily
    .chain((family) => range(family, SHARE_BITS))
    .chain((available) =>
      fc.tuple(
        fc.constant(available),
        fc.array(takenIn(available), { maxLength: 20 }),
        takenIn(available),
      ),
    );
  fc.assert(
    fc.property(wishes, ([available, taken, wish]) => {
      const family = familyOf(available.network);
      const wanted = { ranges: { [family]: available } };
      const others = taken.map((subnet) => ({ [family]: subnet }));
      const chosen = tryChoose(() => chooseSubnets(wanted, others, () => 0, { [family]: wish }));
      const fits =
        allSubnets(available).includes(wish) && !taken.some((other) => overlaps(other, wish));
      const lowest = allSubnets(available).find(
        (subnet) => !taken.some((other) => overlaps(subnet, other)),
      );
      expect(chosen?.[family]).toBe(fits ? wish : lowest);
    }),
  );
});

function freeByListing(
  available: NetworkRange,
  taken: readonly PerFamily<Cidr>[],
  family: Family,
): readonly Cidr[] {
  return allSubnets(available).filter(
    (subnet) =>
      !taken.some((each) => {
        const other = each[family];
        return other !== undefined && overlaps(subnet, other);
      }),
  );
}

function tryChoose(choose: () => PerFamily<Cidr>): PerFamily<Cidr> | undefined {
  try {
    return choose();
  } catch (error) {
    if (error instanceof AgentError && error.code === "subnet-exhausted") return undefined;
    throw error;
  }
}
