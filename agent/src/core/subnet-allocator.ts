/** Which free subnet a node takes, in each family by itself. Source: spec 03 section 5. */
import { AgentError } from "./errors.ts";
import {
  FAMILIES,
  cidr,
  cidrAddress,
  cidrLength,
  familyBits,
  familyOf,
  formatIp,
  ipValue,
  maskCidr,
  overlaps,
} from "./ip.ts";
import type { Cidr, Family, PerFamily } from "./ip.ts";
import type { NetworkConfig, NetworkRange } from "./network-config.ts";

/** As many as the reference draws from. */
const CANDIDATES = 100;

/** The first `limit` subnets of the range, lowest first, that overlap nothing taken. */
export function freeSubnets(
  range: NetworkRange,
  taken: readonly Cidr[],
  limit: number = CANDIDATES,
): readonly Cidr[] {
  const family = familyOf(range.network);
  const shift = BigInt(familyBits(family) - range.subnetLength);
  const last = ipValue(range.subnetMax) >> shift;
  const occupied = occupancy(range, taken);
  const free: Cidr[] = [];
  // Counts subnets, so every step is one subnet or one jump over a larger taken prefix.
  let number = ipValue(range.subnetMin) >> shift;
  let nextLarger = 0;
  while (number <= last && free.length < limit) {
    const larger = occupied.larger[nextLarger];
    if (larger !== undefined && number >= larger.first) {
      if (number <= larger.last) number = larger.last + 1n;
      nextLarger++;
    } else {
      if (!occupied.single.has(number))
        free.push(cidr(formatIp(family, number << shift), range.subnetLength));
      number++;
    }
  }
  return free;
}

/**
 * One subnet per enabled family that overlaps nothing taken: the preferred one where it fits the configuration and is
 * free, otherwise `pick` draws from the free ones of that family.
 * @param pick a whole number from 0 up to, not including, its argument
 * @throws AgentError "subnet-exhausted"
 */
export function chooseSubnets(
  config: Pick<NetworkConfig, "ranges">,
  taken: readonly PerFamily<Cidr>[],
  pick: (limit: number) => number,
  preferred: PerFamily<Cidr> = {},
): PerFamily<Cidr> {
  const chosen: Partial<Record<Family, Cidr>> = {};
  for (const family of FAMILIES) {
    const range = config.ranges[family];
    if (range === undefined) continue;
    const takenHere = taken.flatMap((subnets) => subnets[family] ?? []);
    const wish = preferred[family];
    if (
      wish !== undefined &&
      isCompatibleSubnet(wish, range) &&
      !takenHere.some((other) => overlaps(other, wish))
    ) {
      chosen[family] = wish;
      continue;
    }
    const free = freeSubnets(range, takenHere);
    const drawn = free.length === 0 ? undefined : free[pick(free.length)];
    if (drawn === undefined) throw exhausted(family, range, takenHere.length);
    chosen[family] = drawn;
  }
  return chosen;
}

/** Whether a lease fits the configuration: a subnet of the right length inside the range in every enabled family, none in the others. */
export function isCompatible(
  subnets: PerFamily<Cidr>,
  config: Pick<NetworkConfig, "ranges">,
): boolean {
  return FAMILIES.every((family) => {
    const range = config.ranges[family];
    const subnet = subnets[family];
    return range === undefined
      ? subnet === undefined
      : subnet !== undefined && isCompatibleSubnet(subnet, range);
  });
}

/** The same for one family: keep what still fits when the other family was switched on or off. */
export function isCompatibleSubnet(subnet: Cidr, range: NetworkRange): boolean {
  const address = ipValue(cidrAddress(subnet));
  return (
    familyOf(subnet) === familyOf(range.network) &&
    cidrLength(subnet) === range.subnetLength &&
    maskCidr(subnet) === subnet &&
    address >= ipValue(range.subnetMin) &&
    address <= ipValue(range.subnetMax)
  );
}

/** What is taken, in numbers of subnets of the range: one by one where no larger than a subnet, else as intervals in order. */
function occupancy(
  { network, subnetLength }: NetworkRange,
  taken: readonly Cidr[],
): {
  readonly single: ReadonlySet<bigint>;
  readonly larger: readonly { readonly first: bigint; readonly last: bigint }[];
} {
  const family = familyOf(network);
  const shift = BigInt(familyBits(family) - subnetLength);
  const single = new Set<bigint>();
  const larger: { readonly first: bigint; readonly last: bigint }[] = [];
  for (const subnet of taken) {
    if (familyOf(subnet) !== family) continue;
    const number = ipValue(cidrAddress(maskCidr(subnet))) >> shift;
    const length = cidrLength(subnet);
    if (length >= subnetLength) single.add(number);
    else larger.push({ first: number, last: number + (1n << BigInt(subnetLength - length)) - 1n });
  }
  return {
    single,
    larger: larger.toSorted((a, b) => (a.first < b.first ? -1 : a.first > b.first ? 1 : 0)),
  };
}

function exhausted(family: Family, range: NetworkRange, leased: number): AgentError {
  const { network, subnetMin, subnetMax, subnetLength } = range;
  return new AgentError(
    "subnet-exhausted",
    `out of subnets: no free IPv${family} /${subnetLength} from ${subnetMin} to ${subnetMax} in ${network}, ${leased} leased; remove leases of nodes that are gone or widen the network`,
  );
}
