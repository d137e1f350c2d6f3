import { describe, expect, test } from "vitest";
import { AgentError } from "./errors.ts";
import { parseCidr, parseIp } from "./ip.ts";
import { parseNetworkConfig } from "./network-config.ts";
import type { NetworkRange } from "./network-config.ts";
import {
  chooseSubnets,
  freeSubnets,
  isCompatible,
  isCompatibleSubnet,
} from "./subnet-allocator.ts";

const range: NetworkRange = {
  network: parseCidr("10.3.0.0/16"),
  subnetMin: parseIp("10.3.1.0"),
  subnetMax: parseIp("10.3.6.0"),
  subnetLength: 24,
};
const sixRange: NetworkRange = {
  network: parseCidr("fc00::/48"),
  subnetMin: parseIp("fc00:0:0:1::"),
  subnetMax: parseIp("fc00:0:0:ffff::"),
  subnetLength: 64,
};
const cidrs = (...texts: string[]) => texts.map(parseCidr);
const noPick = (): number => {
  throw new Error("nothing to draw from");
};

describe("free subnets", () => {
  test("are the range without what is taken, lowest first", () => {
    expect(freeSubnets(range, cidrs("10.3.2.0/24", "10.3.5.0/24", "fc00::/64"))).toEqual([
      "10.3.1.0/24",
      "10.3.3.0/24",
      "10.3.4.0/24",
      "10.3.6.0/24",
    ]);
    expect(freeSubnets(sixRange, cidrs("fc00:0:0:1::/64"), 2)).toEqual([
      "fc00:0:0:2::/64",
      "fc00:0:0:3::/64",
    ]);
  });

  test("avoid taken prefixes of any length, nested ones too", () => {
    expect(freeSubnets(range, cidrs("10.3.3.128/25", "10.3.4.7/32", "10.3.6.0/23"))).toEqual([
      "10.3.1.0/24",
      "10.3.2.0/24",
      "10.3.5.0/24",
    ]);
    expect(
      freeSubnets(range, cidrs("10.3.2.0/23", "10.3.0.0/22", "10.3.4.0/23", "10.3.0.0/21")),
    ).toEqual([]);
    expect(freeSubnets(range, cidrs("10.3.0.0/22", "10.3.2.0/23"))[0]).toBe("10.3.4.0/24");
    expect(freeSubnets(range, cidrs("0.0.0.0/0"))).toEqual([]);
    expect(freeSubnets(range, cidrs("11.0.0.0/8", "10.2.0.0/15"))).toEqual([]);
  });

  test("end where the range ends, also at the end of the address space", () => {
    const end = parseNetworkConfig('{"Network":"255.255.255.0/24"}').ranges[4];
    expect(end === undefined ? [] : freeSubnets(end, [])).toEqual([
      "255.255.255.64/26",
      "255.255.255.128/26",
      "255.255.255.192/26",
    ]);
    expect(freeSubnets({ ...range, subnetMax: parseIp("10.3.0.0") }, [])).toEqual([]);
  });

  test("are found among thousands of leases of a range with 2^78 subnets", () => {
    const wide: NetworkRange = {
      network: parseCidr("fc00::/48"),
      subnetMin: parseIp("fc00::4"),
      subnetMax: parseIp("fc00::ffff:ffff:ffff:ffff:fffc"),
      subnetLength: 126,
    };
    const taken = Array.from({ length: 5_000 }, (_, index) =>
      parseCidr(`fc00::${(4 * (index + 1)).toString(16)}/126`),
    );
    expect(freeSubnets(wide, [...taken, parseCidr("fc00::5000/116")], 2)).toEqual([
      "fc00::4e24/126",
      "fc00::4e28/126",
    ]);
  });

  test("are a hundred unless told otherwise", () => {
    expect(freeSubnets(sixRange, [])).toHaveLength(100);
  });
});

describe("choosing", () => {
  const config = { ranges: { 4: range, 6: sixRange } };

  test("draws in each family from its own free subnets", () => {
    const limits: number[] = [];
    const taken = [{ 4: parseCidr("10.3.1.0/24"), 6: parseCidr("fc00:0:0:1::/64") }];
    const chosen = chooseSubnets(config, taken, (limit) => {
      limits.push(limit);
      return limit - 1;
    });
    expect(chosen).toEqual({ 4: "10.3.6.0/24", 6: "fc00:0:0:65::/64" });
    expect(limits).toEqual([5, 100]);
  });

  test("takes the preferred subnet of each family where it fits and is free", () => {
    const preferred = { 4: parseCidr("10.3.6.0/24"), 6: parseCidr("fc00:0:0:9::/64") };
    expect(chooseSubnets(config, [], noPick, preferred)).toEqual(preferred);
    expect(
      chooseSubnets(config, [{ 6: parseCidr("fc00:0:0:9::/64") }], () => 0, preferred),
    ).toEqual({ 4: "10.3.6.0/24", 6: "fc00:0:0:1::/64" });
    expect(chooseSubnets(config, [], () => 1, { 4: parseCidr("10.4.1.0/24") })).toEqual({
      4: "10.3.2.0/24",
      6: "fc00:0:0:2::/64",
    });
  });

  test("the only free one is found, and then none is", () => {
    const ranges = { 4: { ...range, subnetMin: range.subnetMax } };
    expect(chooseSubnets({ ranges }, [], () => 0)).toEqual({ 4: "10.3.6.0/24" });
    expect(() => chooseSubnets({ ranges }, [{ 4: parseCidr("10.3.6.0/24") }], noPick)).toThrow(
      new AgentError(
        "subnet-exhausted",
        "out of subnets: no free IPv4 /24 from 10.3.6.0 to 10.3.6.0 in 10.3.0.0/16, 1 leased; remove leases of nodes that are gone or widen the network",
      ),
    );
  });

  test("one exhausted family is enough to have none", () => {
    const ranges = { 4: range, 6: { ...sixRange, subnetMin: sixRange.subnetMax } };
    expect(() =>
      chooseSubnets({ ranges }, [{ 6: parseCidr("fc00:0:0:ffff::/64") }], () => 0),
    ).toThrow("out of subnets: no free IPv6 /64 from fc00:0:0:ffff::");
  });
});

test("a lease fits when each enabled family does and no other is there", () => {
  const four = parseCidr("10.3.5.0/24");
  const six = parseCidr("fc00:0:0:5::/64");
  const both = { ranges: { 4: range, 6: sixRange } };
  expect(isCompatible({ 4: four }, { ranges: { 4: range } })).toBe(true);
  expect(isCompatible({ 4: four, 6: six }, both)).toBe(true);
  expect(isCompatible({ 6: six }, { ranges: { 6: sixRange } })).toBe(true);
  expect(isCompatible({ 4: four }, both)).toBe(false);
  expect(isCompatible({ 4: four, 6: six }, { ranges: { 4: range } })).toBe(false);
  expect(isCompatible({}, both)).toBe(false);
});

test.each([
  ["10.3.1.0/24", true],
  ["10.3.6.0/24", true],
  ["10.3.0.0/24", false],
  ["10.3.7.0/24", false],
  ["10.3.5.0/25", false],
  ["10.3.5.1/24", false],
  ["fc00:0:0:5::/64", false],
])("%s fits the range: %s", (subnet, fits) => {
  expect(isCompatibleSubnet(parseCidr(subnet), range)).toBe(fits);
});
