/** Values of the agent's domain, generated. */
import { addToIp, cidr, cidrAddress, familyBits, formatIp, maskCidr } from "agent/core/ip.ts";
import type { Cidr, Family, Ip, PerFamily } from "agent/core/ip.ts";
import type { Lease, LeaseAttributes } from "agent/core/lease.ts";
import { parseMac } from "agent/core/mac.ts";
import type { Mac } from "agent/core/mac.ts";
import type { NetworkConfig, NetworkRange } from "agent/core/network-config.ts";
import * as fc from "fast-check";

export const anyFamily: fc.Arbitrary<Family> = fc.constantFrom(4, 6);

/** Values with long runs of zeros and ones, where carries and compression go wrong, besides plain random ones. */
function bits(width: number): fc.Arbitrary<bigint> {
  const max = (1n << BigInt(width)) - 1n;
  const groups = fc
    .array(fc.constantFrom(0, 0, 1, 0xff), { minLength: width / 8, maxLength: width / 8 })
    .map((bytes) => bytes.reduce((value, byte) => (value << 8n) | BigInt(byte), 0n));
  return fc.oneof(fc.bigInt({ min: 0n, max }), groups);
}

/** IPv4-mapped IPv6 addresses have no text of their own, so there are none here. */
export function ip(family: Family): fc.Arbitrary<Ip> {
  return bits(familyBits(family))
    .filter((value) => family === 4 || value >> 32n !== 0xffffn)
    .map((value) => formatIp(family, value));
}

export const anyIp: fc.Arbitrary<Ip> = anyFamily.chain(ip);

/** Host bits may be set. */
export function prefix(family: Family, minLength = 0): fc.Arbitrary<Cidr> {
  return fc
    .tuple(ip(family), fc.integer({ min: minLength, max: familyBits(family) }))
    .map(([address, length]) => cidr(address, length));
}

/** A node's share of a network: what a subnet key can say. */
export function subnet(family: Family): fc.Arbitrary<Cidr> {
  return fc
    .tuple(ip(family), fc.integer({ min: 1, max: familyBits(family) - 1 }))
    .map(([address, length]) => maskCidr(cidr(address, length)));
}

export const mac: fc.Arbitrary<Mac> = fc
  .uint8Array({ minLength: 6, maxLength: 6 })
  .map((bytes) =>
    parseMac(Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join(":")),
  );

/** What a dual-stack or an IPv4 node holds; the forms that etcd keys have. */
export const leasedSubnets: fc.Arbitrary<PerFamily<Cidr>> = fc.oneof(
  subnet(4).map((four) => ({ 4: four })),
  fc.tuple(subnet(4), subnet(6)).map(([four, six]) => ({ 4: four, 6: six })),
);

/** JSON that survives text: no -0, no number that is written otherwise than it is read. */
const backendData: fc.Arbitrary<unknown> = fc
  .jsonValue({ maxDepth: 3 })
  .map((value): unknown => JSON.parse(JSON.stringify(value)));

function somePerFamily<Value>(
  value: (family: Family) => fc.Arbitrary<Value>,
): fc.Arbitrary<PerFamily<Value>> {
  return fc.oneof(
    fc.constant({}),
    value(4).map((four) => ({ 4: four })),
    value(6).map((six) => ({ 6: six })),
    fc.tuple(value(4), value(6)).map(([four, six]) => ({ 4: four, 6: six })),
  );
}

export const attributes: fc.Arbitrary<LeaseAttributes> = fc.record({
  publicIps: somePerFamily((family) =>
    ip(family).filter((address) => address !== "0.0.0.0" && address !== "::"),
  ),
  backendType: fc.oneof(fc.constantFrom("", "vxlan", "host-gw"), fc.string()),
  backendData: somePerFamily(() => backendData),
});

export const lease: fc.Arbitrary<Lease> = fc
  .tuple(attributes, leasedSubnets)
  .map(([published, subnets]) => ({ ...published, subnets }));

/** A network of up to 2^`maxShareBits` subnets with any boundary that the rules allow. */
export function range(family: Family, maxShareBits: number): fc.Arbitrary<NetworkRange> {
  const width = familyBits(family);
  return fc
    .tuple(ip(family), fc.integer({ min: 2, max: maxShareBits }), fc.integer({ min: 2, max: 10 }))
    .chain(([address, shareBits, hostBits]) => {
      const network = maskCidr(cidr(address, width - shareBits - hostBits));
      const number = fc.bigInt({ min: 0n, max: (1n << BigInt(shareBits)) - 1n });
      return fc.tuple(fc.constant({ network, hostBits }), number, number);
    })
    .map(([{ network, hostBits }, one, other]) => {
      const [low, high] = one < other ? [one, other] : [other, one];
      return {
        network,
        subnetMin: subnetAt(network, low, hostBits),
        subnetMax: subnetAt(network, high, hostBits),
        subnetLength: width - hostBits,
      };
    });
}

/** Ranges for one family, the other, or both. */
export function config(maxShareBits: number): fc.Arbitrary<Pick<NetworkConfig, "ranges">> {
  return somePerFamily((family) => range(family, maxShareBits))
    .filter((ranges) => Object.keys(ranges).length > 0)
    .map((ranges) => ({ ranges }));
}

/** Text of the kind that bad peers and broken tools write: random, and damaged copies of good text. */
export function damaged(good: fc.Arbitrary<string>): fc.Arbitrary<string> {
  const cut = fc
    .tuple(good, fc.nat(), fc.nat(), fc.string({ unit: "binary", maxLength: 4 }))
    .map(([text, from, length, filling]) => {
      const start = from % (text.length + 1);
      return text.slice(0, start) + filling + text.slice(start + (length % 4));
    });
  return fc.oneof(fc.string({ unit: "binary" }), fc.string({ unit: "grapheme" }), cut, good);
}

function subnetAt(network: Cidr, number: bigint, hostBits: number): Ip {
  return addToIp(cidrAddress(network), number << BigInt(hostBits));
}
