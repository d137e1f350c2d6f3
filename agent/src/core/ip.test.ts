import { describe, expect, test } from "vitest";
import { AgentError } from "./errors.ts";
import {
  addToIp,
  cidrAddress,
  cidrLength,
  compareIp,
  containsIp,
  familyOf,
  formatIp,
  hostCidr,
  ipValue,
  isGlobalUnicast,
  isLinkLocal,
  isLoopback,
  isMulticast,
  isUnspecified,
  maskCidr,
  overlaps,
  parseCidr,
  parseIp,
  perFamily,
  tryParseCidr,
  tryParseIp,
} from "./ip.ts";

describe("addresses", () => {
  test.each([
    ["192.0.2.1", "192.0.2.1"],
    ["0.0.0.0", "0.0.0.0"],
    ["255.255.255.255", "255.255.255.255"],
    ["2001:DB8:0:0:0:0:0:1", "2001:db8::1"],
    ["2001:db8::0001", "2001:db8::1"],
    ["fc00:0:0:1::", "fc00:0:0:1::"],
    ["fc00::8000:0:0:0", "fc00::8000:0:0:0"],
    // RFC 5952 section 4.2: the longest run, the leftmost on a tie, never a single group.
    ["2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"],
    ["2001:0:0:1:0:0:0:1", "2001:0:0:1::1"],
    ["2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"],
    ["0:0:0:0:0:0:0:0", "::"],
    ["1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"],
    ["64:ff9b::192.0.2.33", "64:ff9b::c000:221"],
  ])("%s is written %s", (text, canonical) => {
    expect(parseIp(text)).toBe(canonical);
    expect(parseIp(canonical)).toBe(canonical);
  });

  test.each([
    "",
    "192.0.2",
    "192.0.2.256",
    "192.0.02.1",
    "192.0.2.1 ",
    "192.0.2.1\n",
    "1.2.3.4.5",
    ":",
    ":::",
    "::1::",
    "1:2:3:4:5:6:7:8:9",
    "1:2:3:4:5:6:7::8",
    "12345::",
    "g::",
    "fe80::1%eth0",
    "192.0.2.1::",
    "::ffff:192.0.2.1",
    "::ffff:c000:201",
  ])("%j is refused", (text) => {
    expect(() => parseIp(text)).toThrow(AgentError);
    expect(tryParseIp(text)).toBeUndefined();
  });

  test("arithmetic wraps at the width of the family", () => {
    expect(addToIp(parseIp("10.3.255.255"), 1n)).toBe("10.4.0.0");
    expect(addToIp(parseIp("255.255.255.255"), 1n)).toBe("0.0.0.0");
    expect(addToIp(parseIp("::"), -1n)).toBe("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff");
    expect(ipValue(parseIp("1.2.3.4"))).toBe(0x01020304n);
    expect(formatIp(6, 1n << 112n)).toBe("1::");
  });

  test("order is by value, IPv4 first", () => {
    const sorted = ["::1", "10.0.0.10", "10.0.0.9", "::"].map(parseIp).toSorted(compareIp);
    expect(sorted).toEqual(["10.0.0.9", "10.0.0.10", "::", "::1"]);
    expect(compareIp(parseIp("::1"), parseIp("::1"))).toBe(0);
  });

  test.each([
    ["10.0.0.1", "global"],
    ["172.16.0.1", "global"],
    ["fd00::1", "global"],
    ["2001:db8::1", "global"],
    ["127.9.9.9", "loopback"],
    ["::1", "loopback"],
    ["224.0.0.1", "multicast"],
    ["239.255.255.255", "multicast"],
    ["ff02::1", "multicast"],
    ["169.254.1.1", "link-local"],
    ["fe80::1", "link-local"],
    ["febf::1", "link-local"],
    ["fec0::1", "global"],
    ["0.0.0.0", "unspecified"],
    ["::", "unspecified"],
    ["255.255.255.255", "none"],
    ["240.0.0.1", "global"],
  ])("%s is %s", (text, kind) => {
    const address = parseIp(text);
    const kinds = {
      global: isGlobalUnicast(address),
      loopback: isLoopback(address),
      multicast: isMulticast(address),
      "link-local": isLinkLocal(address),
      unspecified: isUnspecified(address),
    };
    expect(Object.entries(kinds).flatMap(([name, is]) => (is ? [name] : []))).toEqual(
      kind === "none" ? [] : [kind],
    );
  });
});

describe("prefixes", () => {
  test("keep their host bits until masked", () => {
    const subnet = parseCidr("10.5.72.1/24");
    expect(subnet).toBe("10.5.72.1/24");
    expect(maskCidr(subnet)).toBe("10.5.72.0/24");
    expect(maskCidr(parseCidr("2001:db8::ffff/0"))).toBe("::/0");
    expect([cidrAddress(subnet), cidrLength(subnet), familyOf(subnet)]).toEqual([
      "10.5.72.1",
      24,
      4,
    ]);
    expect([hostCidr(parseIp("10.0.0.1")), hostCidr(parseIp("::1"))]).toEqual([
      "10.0.0.1/32",
      "::1/128",
    ]);
  });

  test.each([
    "",
    "10.0.0.0",
    "10.0.0.0/33",
    "::/129",
    "10.0.0.0/-1",
    "10.0.0.0/8/8",
    "10.0.0.0/",
    "/8",
    "10.0.0.0/8 ",
    "10.0.0.0/1e1",
  ])("%j is refused", (text) => {
    expect(() => parseCidr(text)).toThrow(AgentError);
    expect(tryParseCidr(text)).toBeUndefined();
  });

  test.each([
    ["10.244.0.0/16", "10.244.0.0/16", true],
    ["10.244.0.0/16", "10.244.5.0/24", true],
    ["10.244.0.0/16", "10.244.0.0/15", false],
    ["10.244.0.0/16", "192.168.0.0/24", false],
    ["10.244.0.0/16", "::/0", false],
    ["fd00::/48", "fd00:0:0:1::/64", true],
    ["fd00::/48", "fd00::/47", false],
    ["fd00::/48", "fd01::/64", false],
    ["0.0.0.0/0", "10.0.0.0/8", true],
    ["::/0", "10.0.0.0/8", false],
  ])("%s contains %s: %s", (outer, inner, expected) => {
    expect(containsIp(parseCidr(outer), parseCidr(inner))).toBe(expected);
  });

  test("contain addresses as the prefixes these are", () => {
    expect(containsIp(parseCidr("10.3.1.0/24"), parseIp("10.3.1.255"))).toBe(true);
    expect(containsIp(parseCidr("10.3.1.0/24"), parseIp("10.3.2.0"))).toBe(false);
  });

  test.each([
    ["10.3.1.0/24", "10.3.0.0/16", true],
    ["10.3.1.0/24", "10.3.2.0/24", false],
    ["10.3.1.0/24", "10.3.1.128/25", true],
    ["0.0.0.0/0", "10.3.1.0/24", true],
    ["fc00::/64", "10.3.1.0/24", false],
    ["fc00::/64", "fc00::/48", true],
  ])("%s and %s overlap: %s", (a, b, expected) => {
    expect(overlaps(parseCidr(a), parseCidr(b))).toBe(expected);
    expect(overlaps(parseCidr(b), parseCidr(a))).toBe(expected);
  });
});

test.each([
  [undefined, undefined, {}],
  ["a", undefined, { 4: "a" }],
  [undefined, "b", { 6: "b" }],
  ["a", "b", { 4: "a", 6: "b" }],
])("a value for each family that has one: %s and %s", (four, six, expected) => {
  expect(perFamily(four, six)).toStrictEqual(expected);
  expect(perFamily(four, six)).not.toBe(perFamily(four, six));
});
