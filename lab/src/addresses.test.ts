import { describe, expect, it } from "vitest";
import {
  addToAddress,
  formatAddress,
  formatCidr,
  networkOf,
  parseAddress,
  parseCidr,
} from "./addresses.ts";

describe("addresses", () => {
  it.each([
    ["0.0.0.0", "0.0.0.0"],
    ["255.255.255.255", "255.255.255.255"],
    ["172.31.1.11", "172.31.1.11"],
    ["::", "::"],
    ["::1", "::1"],
    ["2001:DB8:0:0:1:0:0:1", "2001:db8::1:0:0:1"],
    ["2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"],
    ["fd00:31:0:1:0:0:0:b", "fd00:31:0:1::b"],
    ["fd00::", "fd00::"],
    ["0:0:1::", "0:0:1::"],
  ])("prints %s as %s", (text, printed) => {
    const address = parseAddress(text);
    expect(address && formatAddress(address)).toBe(printed);
  });

  it.each(["", "1.2.3", "1.2.3.256", "01.2.3.4", "fe80::1%eth0", "::ffff:1.2.3.4", "1::2::3", "x"])(
    "refuses %j as an address",
    (text) => {
      expect(parseAddress(text)).toBeUndefined();
    },
  );

  it.each([
    "10.0.0.0",
    "10.0.0.0/33",
    "fd00::/129",
    "10.0.0.0/",
    "/8",
    "10.0.0.0/8/8",
    "10.0.0.0/-1",
  ])("refuses %j as a CIDR", (text) => {
    expect(parseCidr(text)).toBeUndefined();
  });

  it.each([
    ["10.244.7.1/24", "10.244.7.0/24"],
    ["10.244.7.1/32", "10.244.7.1/32"],
    ["fd00:10:244:7::1/64", "fd00:10:244:7::/64"],
    ["10.1.2.3/0", "0.0.0.0/0"],
  ])("masks %s to %s", (text, network) => {
    const cidr = parseCidr(text);
    expect(cidr && formatCidr(networkOf(cidr))).toBe(network);
  });

  it("counts on from an address in both families", () => {
    const next = ["10.0.0.255", "fd00::ffff"].map((text) => {
      const address = parseAddress(text);
      return address && formatAddress(addToAddress(address, 1n));
    });
    expect(next).toEqual(["10.0.1.0", "fd00::1:0"]);
  });
});
