/** The addresses of the memory kernel's links. */
import { cidrAddress, containsIp, familyOf } from "../core/ip.ts";
import type { Ip } from "../core/ip.ts";
import { isSame } from "./identity.ts";
import type { Address } from "./kernel.ts";

export class MemoryAddresses {
  /** By link, in the order they were added. */
  readonly #addresses = new Map<string, readonly Address[]>();

  *all(): Generator<Address> {
    for (const addresses of this.#addresses.values()) yield* addresses;
  }

  of(link: string): readonly Address[] {
    return this.#addresses.get(link) ?? [];
  }

  /** The link that carries this address. */
  holderOf(address: Ip): string | undefined {
    for (const [link, addresses] of this.#addresses)
      if (addresses.some((held) => cidrAddress(held.address) === address)) return link;
    return undefined;
  }

  /** Whether it is new. */
  add(added: Address): boolean {
    const addresses = this.of(added.link);
    if (addresses.some((other) => isSame(other, added))) return false;
    const twin = addresses.some(
      (other) => cidrAddress(other.address) === cidrAddress(added.address),
    );
    // Source: net/ipv6/addrconf.c inet6_addr_modify, which leaves the length as it is.
    if (twin && familyOf(added.address) === 6) return false;
    this.#addresses.set(added.link, [...addresses, added]);
    return true;
  }

  /** Whether it was there. */
  remove({ link, address }: Address): boolean {
    const before = this.of(link);
    const after = before.filter((other) => other.address !== address);
    this.#addresses.set(link, after);
    return after.length < before.length;
  }

  removeLink(link: string): void {
    this.#addresses.delete(link);
  }

  /** What goes when a link is set down. */
  removeIpv6(link: string): void {
    this.#addresses.set(
      link,
      this.of(link).filter(({ address }) => familyOf(address) === 4),
    );
  }

  /** The link's address in the prefix of the next hop, else its first one of that family. */
  sourceFor(link: string, nextHop: Ip): Ip | undefined {
    const addresses = this.of(link)
      .map(({ address }) => address)
      .filter((address) => familyOf(address) === familyOf(nextHop));
    const nearest = addresses.find((address) => containsIp(address, nextHop)) ?? addresses[0];
    return nearest === undefined ? undefined : cidrAddress(nearest);
  }
}
