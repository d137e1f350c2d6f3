/** Subnets by what contains what, for as many lengths as there are: as a rule one. */
import { cidr, cidrAddress, cidrLength, containsIp, maskCidr } from "../core/ip.ts";
import type { Cidr } from "../core/ip.ts";

export class SubnetIndex<Holder> {
  readonly #compare: (a: Holder, b: Holder) => number;
  /** By prefix length, then by subnet; the holders of one subnet in order. */
  readonly #lengths = new Map<number, Map<Cidr, Holder[]>>();

  constructor(compare: (a: Holder, b: Holder) => number) {
    this.#compare = compare;
  }

  /** @param subnet without host bits. @returns whether it is now the first holder of that subnet */
  add(subnet: Cidr, holder: Holder): boolean {
    const length = cidrLength(subnet);
    const subnets = this.#lengths.get(length) ?? new Map<Cidr, Holder[]>();
    this.#lengths.set(length, subnets);
    const holders = subnets.get(subnet);
    if (holders === undefined) {
      subnets.set(subnet, [holder]);
      return true;
    }
    const at = this.#place(holders, holder);
    holders.splice(at, 0, holder);
    return at === 0;
  }

  /** @returns whether it was the first holder of that subnet */
  remove(subnet: Cidr, holder: Holder): boolean {
    const length = cidrLength(subnet);
    const subnets = this.#lengths.get(length);
    const holders = subnets?.get(subnet) ?? [];
    const at = holders.indexOf(holder);
    if (at !== -1) holders.splice(at, 1);
    if (holders.length === 0) subnets?.delete(subnet);
    if (subnets?.size === 0) this.#lengths.delete(length);
    return at === 0;
  }

  /** Where it belongs among the holders of one subnet, of which a store may have any number. */
  #place(holders: readonly Holder[], holder: Holder): number {
    let low = 0;
    let high = holders.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const other = holders[middle];
      if (other !== undefined && this.#compare(other, holder) <= 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** The first holder of the widest subnet that contains this one or is it. */
  outermost(subnet: Cidr): Holder | undefined {
    const length = cidrLength(subnet);
    const same = this.#lengths.get(length);
    if (same !== undefined && this.#lengths.size === 1) return same.get(subnet)?.[0];
    let widest: { readonly length: number; readonly holder: Holder } | undefined;
    for (const [other, subnets] of this.#lengths) {
      if (other > length || (widest !== undefined && other > widest.length)) continue;
      const around = other === length ? subnet : maskCidr(cidr(cidrAddress(subnet), other));
      const holder = subnets.get(around)?.[0];
      if (holder !== undefined) widest = { length: other, holder };
    }
    return widest?.holder;
  }

  /** The holders of this subnet and of all inside it. */
  within(subnet: Cidr): readonly Holder[] {
    const length = cidrLength(subnet);
    const same = this.#lengths.get(length);
    const found = same?.get(subnet) ?? [];
    if (same !== undefined && this.#lengths.size === 1) return found;
    const inside: Holder[] = [];
    for (const [other, subnets] of this.#lengths)
      if (other > length)
        for (const [inner, holders] of subnets)
          if (containsIp(subnet, inner)) inside.push(...holders);
    return [...found, ...inside];
  }
}
