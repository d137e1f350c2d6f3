import { describe, expect, test } from "vitest";
import { CodecError } from "./errors.ts";
import { familyOfIp, formatIp, formatPrefix, parseIp, parsePrefix } from "./ip.ts";
import { formatMac, parseMac } from "./mac.ts";
import { fromHex, toHex } from "./testing/messages.ts";

describe("addresses", () => {
  test.each([
    ["0.0.0.0", "00 00 00 00"],
    ["10.42.2.0", "0a 2a 02 00"],
    ["255.255.255.255", "ff ff ff ff"],
    ["::", "00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00"],
    ["::1", "00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 01"],
    ["1::", "00 01 00 00 00 00 00 00 00 00 00 00 00 00 00 00"],
    ["2001:db8::1", "20 01 0d b8 00 00 00 00 00 00 00 00 00 00 00 01"],
    ["2001:db8:0:1:1:1:1:1", "20 01 0d b8 00 00 00 01 00 01 00 01 00 01 00 01"],
    ["2001:db8::1:0:0:1", "20 01 0d b8 00 00 00 00 00 01 00 00 00 00 00 01"],
    ["2001:0:0:1::1", "20 01 00 00 00 00 00 01 00 00 00 00 00 00 00 01"],
    ["::ffff:192.0.2.1", "00 00 00 00 00 00 00 00 00 00 ff ff c0 00 02 01"],
    ["fe80::207c:75ff:fea4:f34", "fe 80 00 00 00 00 00 00 20 7c 75 ff fe a4 0f 34"],
  ])("%s is %s and back", (text, hex) => {
    expect(toHex(parseIp(text))).toBe(hex);
    expect(formatIp(fromHex(hex))).toBe(text);
  });

  test.each([
    ["2001:DB8:0:0:0:0:0:1", "2001:db8::1"],
    ["2001:0db8::0001", "2001:db8::1"],
    ["64:ff9b::192.0.2.1", "64:ff9b::c000:201"],
    ["1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"],
    ["::2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8"],
  ])("%s is read, and printed as %s", (text, canonical) => {
    expect(formatIp(parseIp(text))).toBe(canonical);
  });

  test.each([
    "",
    "10.0.0",
    "10.0.0.0.0",
    "10.0.0.256",
    "10.0.0.01",
    "10.0.0.00",
    "10..0.0",
    "10.0.0.",
    ".10.0.0",
    "10.0.0.1 ",
    "10.0.0.-1",
    "0x10.0.0.1",
    ":",
    ":::",
    "1::2::3",
    "1:2:3:4:5:6:7",
    "1:2:3:4:5:6:7:8:9",
    "1:2:3:4:5:6:7:8::",
    "1:2:3:4::5:6:7:8",
    ":1:2:3:4:5:6:7",
    "1:2:3:4:5:6:7:",
    "12345::",
    "g::",
    "fe80::1%eth0",
    "::192.0.2.1:1",
    "192.0.2.1::",
    "::192.0.2.256",
    "1:2:3:4:5:6:7:192.0.2.1",
    "2001:db8::1/64",
  ])("%j is refused", (text) => {
    expect(() => parseIp(text)).toThrow(CodecError);
  });

  test("the family follows from the text", () => {
    expect(familyOfIp("192.0.2.1")).toBe("inet");
    expect(familyOfIp("::ffff:192.0.2.1")).toBe("inet6");
  });

  test("bytes of another length are refused", () => {
    expect(() => formatIp(new Uint8Array(5))).toThrow("an IP address of 5 bytes");
  });
});

describe("prefixes", () => {
  test.each([
    ["0.0.0.0/0", "inet", 0],
    ["10.42.0.0/16", "inet", 16],
    ["10.42.2.128/25", "inet", 25],
    ["192.0.2.1/32", "inet", 32],
    ["::/0", "inet6", 0],
    ["2001:db8::/33", "inet6", 33],
    ["2001:db8::1/128", "inet6", 128],
  ] as const)("%s is read and printed", (text, family, length) => {
    const prefix = parsePrefix(text);
    expect(prefix).toMatchObject({ family, length });
    expect(formatPrefix(prefix.family, prefix.bytes, prefix.length)).toBe(text);
  });

  test("a default route comes without an address", () => {
    expect(formatPrefix("inet", undefined, 0)).toBe("0.0.0.0/0");
    expect(formatPrefix("inet6", undefined, 0)).toBe("::/0");
  });

  test.each([
    ["10.42.0.0", "is not a prefix"],
    ["10.42.0.0/", "is not a prefix"],
    ["10.42.0.0/016", "is not a prefix"],
    ["10.42.0.0/-1", "is not a prefix"],
    ["10.42.0.0/16/16", "is not a prefix"],
    ["10.42.0.0/33", "is longer than 32 bits"],
    ["2001:db8::/129", "is longer than 128 bits"],
    ["10.42.0.1/16", "has bits set behind its length"],
    ["10.42.2.64/25", "has bits set behind its length"],
    ["128.0.0.0/0", "has bits set behind its length"],
    ["2001:db8::1/127", "has bits set behind its length"],
    ["x/8", "is not an IP address"],
  ])("%s is refused", (text, why) => {
    expect(() => parsePrefix(text)).toThrow(why);
    expect(() => parsePrefix(text)).toThrow(CodecError);
  });

  test("a header that lies about its prefix is refused", () => {
    expect(() => formatPrefix("inet", new Uint8Array(16), 8)).toThrow(CodecError);
    expect(() => formatPrefix("inet", new Uint8Array(4), 33)).toThrow(CodecError);
  });
});

describe("MACs", () => {
  test("are lower-case colon hex", () => {
    expect(toHex(parseMac("0e:00:00:00:00:a2"))).toBe("0e 00 00 00 00 a2");
    expect(formatMac(fromHex("0e000000 00a2"))).toBe("0e:00:00:00:00:a2");
  });

  test("of a tunnel are absent", () => {
    expect(formatMac(fromHex("c0000201"))).toBeUndefined();
  });

  test.each([
    "",
    "0e:00:00:00:00",
    "0E:00:00:00:00:02",
    "0e-00-00-00-00-02",
    "0e:00:00:00:00:02:03",
  ])("%j is refused", (text) => {
    expect(() => parseMac(text)).toThrow(CodecError);
  });
});
