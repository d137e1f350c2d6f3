import {
  addToIp,
  cidr,
  cidrAddress,
  cidrLength,
  compareIp,
  containsIp,
  familyBits,
  familyOf,
  formatIp,
  hostCidr,
  ipValue,
  maskCidr,
  overlaps,
  parseCidr,
  parseIp,
} from "agent/core/ip.ts";
import type { Cidr, Ip } from "agent/core/ip.ts";
import { isUnicastMac, localMac, parseMac } from "agent/core/mac.ts";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { anyFamily, anyIp, ip, mac, prefix } from "./arbitraries.ts";

/** The bits of an address, read off its text without the code under test. */
function bitsOf(address: Ip): string {
  if (!address.includes(":"))
    return address
      .split(".")
      .map((octet) => Number(octet).toString(2).padStart(8, "0"))
      .join("");
  const [head = [], tail = []] = address
    .split("::")
    .map((half) => half.split(":").filter((group) => group !== ""));
  const zeros = Array<string>(8 - head.length - tail.length).fill("0");
  return [...head, ...zeros, ...tail]
    .map((group) => Number.parseInt(group, 16).toString(2).padStart(16, "0"))
    .join("");
}

function networkBits(value: Cidr): string {
  return bitsOf(cidrAddress(value)).slice(0, cidrLength(value));
}

/** Two prefixes of which the second often is a near relative of the first. */
const pairs = fc.tuple(anyFamily, anyFamily).chain(([family, other]) =>
  fc.tuple(
    prefix(family),
    fc.oneof(
      prefix(other),
      fc
        .tuple(ip(family), fc.nat(familyBits(family)), fc.nat(familyBits(family)))
        .map(([noise, keep, length]) => ({ noise, keep, length })),
    ),
  ),
);

function relative([first, second]: [
  Cidr,
  Cidr | { readonly noise: Ip; readonly keep: number; readonly length: number },
]): readonly [Cidr, Cidr] {
  if (typeof second === "string") return [first, second];
  const family = familyOf(first);
  const low = (1n << BigInt(familyBits(family) - second.keep)) - 1n;
  const value = (ipValue(cidrAddress(first)) & ~low) | (ipValue(second.noise) & low);
  return [first, cidr(formatIp(family, value), second.length)];
}

test("an address is read back from its text, however it is spelled", () => {
  fc.assert(
    fc.property(anyIp, (address) => {
      expect(parseIp(address)).toBe(address);
      expect(parseIp(address.toUpperCase())).toBe(address);
      expect(formatIp(familyOf(address), BigInt(`0b${bitsOf(address)}`))).toBe(address);
      const groups = bitsOf(address).match(/.{16}/g) ?? [];
      const long = groups.map((group) => Number.parseInt(group, 2).toString(16).padStart(4, "0"));
      expect(address.includes(":") ? parseIp(long.join(":")) : address).toBe(address);
    }),
  );
});

test("a prefix is read back from its text, and masking it twice is masking it once", () => {
  fc.assert(
    fc.property(anyFamily.chain(prefix), (value) => {
      expect(parseCidr(value)).toBe(value);
      const masked = maskCidr(value);
      expect(maskCidr(masked)).toBe(masked);
      expect(networkBits(masked)).toBe(networkBits(value));
      expect(bitsOf(cidrAddress(masked)).slice(cidrLength(masked))).toMatch(/^0*$/);
    }),
  );
});

test("a hardware address is read back from its text, and a made one is a station's", () => {
  fc.assert(
    fc.property(mac, fc.uint8Array({ minLength: 6, maxLength: 6 }), (address, bytes) => {
      expect(parseMac(address)).toBe(address);
      expect(parseMac(address.toUpperCase().replaceAll(":", "-"))).toBe(address);
      expect(isUnicastMac(localMac(bytes))).toBe(true);
    }),
  );
});

test("containing and overlapping agree with the bits", () => {
  fc.assert(
    fc.property(pairs, (pair) => {
      const [a, b] = relative(pair);
      const sameFamily = familyOf(a) === familyOf(b);
      const inside = sameFamily && networkBits(b).startsWith(networkBits(a));
      const around = sameFamily && networkBits(a).startsWith(networkBits(b));
      expect(containsIp(a, b)).toBe(inside);
      expect(containsIp(b, a)).toBe(around);
      expect(overlaps(a, b)).toBe(inside || around);
      expect(overlaps(b, a)).toBe(inside || around);
      const address = cidrAddress(b);
      expect(containsIp(a, address)).toBe(sameFamily && bitsOf(address).startsWith(networkBits(a)));
      expect(containsIp(a, hostCidr(address))).toBe(containsIp(a, address));
    }),
  );
});

test("adding goes round and comes back, and order is the order of the bits", () => {
  fc.assert(
    fc.property(anyIp, anyIp, fc.bigInt(), (a, b, offset) => {
      expect(addToIp(addToIp(a, offset), -offset)).toBe(a);
      expect(addToIp(a, 1n << BigInt(familyBits(familyOf(a))))).toBe(a);
      const expected =
        familyOf(a) === familyOf(b)
          ? Math.sign(bitsOf(a).localeCompare(bitsOf(b)))
          : Math.sign(familyOf(a) - familyOf(b));
      expect(Math.sign(compareIp(a, b))).toBe(expected);
      expect(compareIp(a, a)).toBe(0);
    }),
  );
});
