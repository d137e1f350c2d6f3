/** Subnets by what contains what, for as many lengths as there are: as a rule one. */
import { cidr, cidrAddress, cidrLength, containsIp, maskCidr } from "../core/ip.ts";
import type { Cidr } from "../core/ip.ts";

export class SubnetIndex<Holder> {
  readonly #compare: (a: Holder, b: Holder) => number;
  /** By prefix length, then by subnet; the first holder of each. */
  readonly #lengths = new Map<number, Map<Cidr, Holder>>();
  /** All holders of one subnet, in order, where they are several. */
  readonly #rivals = new Map<Cidr, Holder[]>();

  constructor(compare: (a: Holder, b: Holder) => number) {
    this.#compare = compare;
  }

  /** Whether any subnet may have another holder, or another subnet inside it; as a rule none has. */
  get isNested(): boolean {
    return this.#lengths.size > 1 || this.#rivals.size > 0;
  }

  /** @param subnet without host bits. @returns whether it is now the first holder of that subnet */
  add(subnet: Cidr, holder: Holder): boolean {
    const length = cidrLength(subnet);
    const subnets = this.#lengths.get(length) ?? new Map<Cidr, Holder>();
    this.#lengths.set(length, subnets);
    const first = subnets.get(subnet);
    if (first === undefined) {
      subnets.set(subnet, holder);
      return true;
    }
    const holders = this.#rivals.get(subnet) ?? [first];
    const at = this.#place(holders, holder);
    holders.splice(at, 0, holder);
    this.#rivals.set(subnet, holders);
    if (at === 0) subnets.set(subnet, holder);
    return at === 0;
  }

  /** @returns whether it was the first holder of that subnet */
  remove(subnet: Cidr, holder: Holder): boolean {
    const length = cidrLength(subnet);
    const subnets = this.#lengths.get(length);
    const wasFirst = subnets?.get(subnet) === holder;
    const others = this.#rivals.get(subnet)?.filter((other) => other !== holder) ?? [];
    const [next] = others;
    if (others.length > 1) this.#rivals.set(subnet, others);
    else this.#rivals.delete(subnet);
    if (!wasFirst || subnets === undefined) return false;
    if (next === undefined) subnets.delete(subnet);
    else subnets.set(subnet, next);
    if (subnets.size === 0) this.#lengths.delete(length);
    return true;
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
    if (same !== undefined && this.#lengths.size === 1) return same.get(subnet);
    let widest: { readonly length: number; readonly holder: Holder } | undefined;
    for (const [other, subnets] of this.#lengths) {
      if (other > length || (widest !== undefined && other > widest.length)) continue;
      const around = other === length ? subnet : maskCidr(cidr(cidrAddress(subnet), other));
      const holder = subnets.get(around);
      if (holder !== undefined) widest = { length: other, holder };
    }
    return widest?.holder;
  }

  /** The holders of this subnet and of all inside it. */
  within(subnet: Cidr): readonly Holder[] {
    const length = cidrLength(subnet);
    const same = this.#lengths.get(length);
    const found = this.#holders(subnet, same?.get(subnet));
    if (same !== undefined && this.#lengths.size === 1) return found;
    const inside: Holder[] = [];
    for (const [other, subnets] of this.#lengths)
      if (other > length)
        for (const [inner, first] of subnets)
          if (containsIp(subnet, inner)) inside.push(...this.#holders(inner, first));
    return [...found, ...inside];
  }

  #holders(subnet: Cidr, first: Holder | undefined): readonly Holder[] {
    if (first === undefined) return [];
    return this.#rivals.get(subnet) ?? [first];
  }
}
