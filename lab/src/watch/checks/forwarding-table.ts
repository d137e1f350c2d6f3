import {
  ADDRESS_BITS,
  type Address,
  type Cidr,
  type IpFamily,
  parseAddress,
  parseCidr,
} from "../../addresses.ts";
import type { HostKernel, KernelRoute } from "../../observe/kernel-state.ts";

/** Of one prefix length: routes by the bits of their prefix. */
type Prefixes = ReadonlyMap<bigint, KernelRoute>;

/**
 * Where one host's kernel sends packets, read once: in a cluster of n hosts it is asked for n subnets, over and over.
 * A default route is none of its routes.
 */
export class ForwardingTable {
  /** By prefix length, the longest first. */
  readonly #lengths: Readonly<Record<IpFamily, readonly (readonly [number, Prefixes])[]>>;
  readonly #neighbours: ReadonlyMap<string, string>;
  readonly #fdb: ReadonlyMap<string, string>;

  constructor({ routes, neighbours, fdb }: HostKernel) {
    this.#lengths = { ipv4: prefixesOf(routes, "ipv4"), ipv6: prefixesOf(routes, "ipv6") };
    this.#neighbours = firstOfEach(neighbours, ({ device, address, mac }) => [
      `${device} ${address}`,
      mac,
    ]);
    this.#fdb = firstOfEach(fdb, ({ device, mac, destination }) => [
      `${device} ${mac}`,
      destination,
    ]);
  }

  /** The route of the longest prefix that an address lies in; undefined where there is none. Source: RFC 1812 section 5.2.4.3. */
  routeTo({ family, value }: Address): KernelRoute | undefined {
    for (const [length, prefixes] of this.#lengths[family]) {
      const route = prefixes.get(value >> BigInt(ADDRESS_BITS[family] - length));
      if (route !== undefined) {
        return route;
      }
    }
    return undefined;
  }

  /** The public IP that frames for a gateway on a tunnel device are sent to. */
  tunnelEnd(device: string, gateway: string): string | undefined {
    const mac = this.#neighbours.get(`${device} ${gateway}`);
    return mac === undefined ? undefined : this.#fdb.get(`${device} ${mac}`);
  }
}

function prefixesOf(
  routes: readonly KernelRoute[],
  family: IpFamily,
): readonly (readonly [number, Prefixes])[] {
  const lengths = new Map<number, Map<bigint, KernelRoute>>();
  for (const route of routes) {
    const cidr = route.family === family ? cidrOf(route) : undefined;
    if (cidr === undefined) {
      continue;
    }
    const { address, prefixLength } = cidr;
    const prefixes = lengths.get(prefixLength) ?? new Map<bigint, KernelRoute>();
    lengths.set(prefixLength, prefixes);
    const bits = address.value >> BigInt(ADDRESS_BITS[family] - prefixLength);
    // Of several routes for one prefix the kernel uses the first.
    if (!prefixes.has(bits)) {
      prefixes.set(bits, route);
    }
  }
  return [...lengths].toSorted(([a], [b]) => b - a);
}

/** A route to one address is printed without its length. */
function cidrOf({ destination, family }: KernelRoute): Cidr | undefined {
  if (destination === "default") {
    return undefined;
  }
  const address = parseAddress(destination);
  return address === undefined
    ? parseCidr(destination)
    : { address, prefixLength: ADDRESS_BITS[family] };
}

function firstOfEach<T>(
  values: readonly T[],
  entryOf: (value: T) => readonly [string, string],
): ReadonlyMap<string, string> {
  const first = new Map<string, string>();
  for (const value of values) {
    const [key, found] = entryOf(value);
    if (!first.has(key)) {
      first.set(key, found);
    }
  }
  return first;
}
