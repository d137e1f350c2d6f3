import { isIPv4, isIPv6 } from "node:net";

/** The lab's own reading of IP addresses, apart from the agent's: it is a second opinion. */
export type IpFamily = "ipv4" | "ipv6";

export interface Address {
  readonly family: IpFamily;
  readonly value: bigint;
}

export interface Cidr {
  readonly address: Address;
  readonly prefixLength: number;
}

/** Bits of an address of each family. */
export const ADDRESS_BITS: Readonly<Record<IpFamily, number>> = { ipv4: 32, ipv6: 128 };

const GROUPS = 8;

/** Returns undefined when the text is no IP address. An embedded dotted quad in IPv6 text is refused. */
export function parseAddress(text: string): Address | undefined {
  if (isIPv4(text)) {
    const value = text.split(".").reduce((sum, part) => sum * 256n + BigInt(part), 0n);
    return { family: "ipv4", value };
  }
  if (!isIPv6(text) || text.includes(".") || text.includes("%")) {
    return undefined;
  }
  const [head = "", tail] = text.split("::");
  const before = head === "" ? [] : head.split(":");
  const after = tail === undefined || tail === "" ? [] : tail.split(":");
  const zeros = tail === undefined ? 0 : GROUPS - before.length - after.length;
  const groups = [...before, ...Array.from({ length: zeros }, () => "0"), ...after];
  const value = groups.reduce((sum, group) => sum * 65536n + BigInt(`0x${group}`), 0n);
  return { family: "ipv6", value };
}

/** IPv6 in the shortest form of RFC 5952 section 4: the longest run of two or more zero groups is left out. */
export function formatAddress({ family, value }: Address): string {
  if (family === "ipv4") {
    return [24n, 16n, 8n, 0n].map((shift) => String((value >> shift) & 255n)).join(".");
  }
  const groups = Array.from({ length: GROUPS }, (_, index) =>
    ((value >> BigInt(16 * (GROUPS - 1 - index))) & 65535n).toString(16),
  );
  let best = { start: 0, length: 1 };
  for (let start = 0; start < GROUPS; start += 1) {
    let length = 0;
    while (groups[start + length] === "0") {
      length += 1;
    }
    if (length > best.length) {
      best = { start, length };
    }
  }
  if (best.length < 2) {
    return groups.join(":");
  }
  const before = groups.slice(0, best.start).join(":");
  const after = groups.slice(best.start + best.length).join(":");
  return `${before}::${after}`;
}

/** Returns undefined when the text is not `address/length`. Host bits are kept. */
export function parseCidr(text: string): Cidr | undefined {
  const match = /^([^/]+)\/(\d{1,3})$/.exec(text);
  const address = parseAddress(match?.[1] ?? "");
  const prefixLength = Number(match?.[2]);
  if (address === undefined || !(prefixLength <= ADDRESS_BITS[address.family])) {
    return undefined;
  }
  return { address, prefixLength };
}

export function formatCidr({ address, prefixLength }: Cidr): string {
  return `${formatAddress(address)}/${prefixLength}`;
}

/** The network an address with its prefix lies in: host bits cleared. */
export function networkOf({ address, prefixLength }: Cidr): Cidr {
  const hostBits = BigInt(ADDRESS_BITS[address.family] - prefixLength);
  return {
    address: { family: address.family, value: (address.value >> hostBits) << hostBits },
    prefixLength,
  };
}

/** The address `offset` further on. */
export function addToAddress(address: Address, offset: bigint): Address {
  return { family: address.family, value: address.value + offset };
}
