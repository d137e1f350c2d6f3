import { describe, expect, test } from "vitest";
import { parseCidr } from "./ip.ts";
import { parseNetworkConfig } from "./network-config.ts";
import { formatSubnetFile, parseSubnetFile } from "./subnet-file.ts";

describe("writing", () => {
  test("an IPv4 node gets four lines", () => {
    expect(
      formatSubnetFile({
        config: parseNetworkConfig('{"Network":"10.244.0.0/16"}'),
        subnets: { 4: parseCidr("10.244.1.0/24") },
        mtu: 1450,
        ipMasq: true,
      }),
    ).toBe(
      "FLANNEL_NETWORK=10.244.0.0/16\nFLANNEL_SUBNET=10.244.1.1/24\nFLANNEL_MTU=1450\nFLANNEL_IPMASQ=true\n",
    );
  });

  test("a dual-stack node gets six, an IPv6 node four", () => {
    const subnets = { 4: parseCidr("10.244.1.0/24"), 6: parseCidr("fc00:0:0:1::/64") };
    const six = '"EnableIPv6":true,"IPv6Network":"fc00::/48"';
    const text = (json: string): string =>
      formatSubnetFile({ config: parseNetworkConfig(json), subnets, mtu: 1430, ipMasq: false });
    expect(text(`{"Network":"10.244.0.0/16",${six}}`)).toBe(
      [
        "FLANNEL_NETWORK=10.244.0.0/16",
        "FLANNEL_SUBNET=10.244.1.1/24",
        "FLANNEL_IPV6_NETWORK=fc00::/48",
        "FLANNEL_IPV6_SUBNET=fc00:0:0:1::1/64",
        "FLANNEL_MTU=1430",
        "FLANNEL_IPMASQ=false",
        "",
      ].join("\n"),
    );
    expect(text(`{"EnableIPv4":false,${six}}`)).toMatch(
      /^FLANNEL_IPV6_NETWORK=[^\n]*\nFLANNEL_IPV6_SUBNET=/,
    );
  });

  test("an enabled family without a subnet is refused", () => {
    expect(() =>
      formatSubnetFile({
        config: parseNetworkConfig('{"Network":"10.244.0.0/16"}'),
        subnets: {},
        mtu: 1450,
        ipMasq: false,
      }),
    ).toThrow("no IPv4 subnet was leased although IPv4 is enabled");
  });
});

describe("reading", () => {
  test("values come back masked", () => {
    expect(
      parseSubnetFile(
        "FLANNEL_NETWORK=10.5.0.0/16\nFLANNEL_SUBNET=10.5.72.1/24\nFLANNEL_IPV6_NETWORK=fc00::/48\nFLANNEL_IPV6_SUBNET=fc00:0:0:1::1/64\nFLANNEL_MTU=1450\nFLANNEL_IPMASQ=true\n",
      ),
    ).toEqual({
      networks: { 4: "10.5.0.0/16", 6: "fc00::/48" },
      subnets: { 4: "10.5.72.0/24", 6: "fc00:0:0:1::/64" },
      warnings: [],
    });
  });

  test.each([
    ["FLANNEL_SUBNET: 10.5.72.1/24"],
    ["export FLANNEL_SUBNET=10.5.72.1/24"],
    ['  FLANNEL_SUBNET = "10.5.72.1/24"  # the bridge'],
    ["FLANNEL_SUBNET='10.5.72.1/24'"],
    ["# FLANNEL_SUBNET=10.9.9.0/24\r\nFLANNEL_SUBNET=10.5.72.1/24 # mine\r\n"],
    ["BASE=10.5.72\nFLANNEL_SUBNET=$BASE.1/24"],
    ['BASE=10.5.72\nFLANNEL_SUBNET="${BASE}.1/24"'],
    ["FLANNEL_SUBNET=10.9.9.1/24\nFLANNEL_SUBNET=10.5.72.1/24"],
    ["not a line\n\n=\nFLANNEL_SUBNET=10.5.72.1/24"],
  ])("%j is read as dotenv", (text) => {
    expect(parseSubnetFile(text)).toEqual({
      networks: {},
      subnets: { 4: "10.5.72.0/24" },
      warnings: [],
    });
  });

  test.each([
    [
      "FLANNEL_SUBNET=not-a-cidr",
      ['FLANNEL_SUBNET: ignoring "not-a-cidr": expected an IPv4 prefix'],
    ],
    ["FLANNEL_SUBNET=", ['FLANNEL_SUBNET: ignoring "": expected an IPv4 prefix']],
    ["FLANNEL_SUBNET=fc00::/64", ['FLANNEL_SUBNET: ignoring "fc00::/64": expected an IPv4 prefix']],
    [
      "FLANNEL_IPV6_SUBNET=10.5.72.1/24",
      ['FLANNEL_IPV6_SUBNET: ignoring "10.5.72.1/24": expected an IPv6 prefix'],
    ],
    ["FLANNEL_SUBNET='$BASE'", ['FLANNEL_SUBNET: ignoring "$BASE": expected an IPv4 prefix']],
    [
      "FLANNEL_SUBNET=10.244.1.0/24,not-a-cidr,10.244.2.0/24",
      [
        'FLANNEL_SUBNET: ignoring "not-a-cidr": expected an IPv4 prefix',
        "FLANNEL_SUBNET: ignoring all 2 prefixes: expected one",
      ],
    ],
    ["", []],
  ])("%j is none, with a warning", (text, warnings) => {
    expect(parseSubnetFile(text)).toEqual({ networks: {}, subnets: {}, warnings });
  });

  test("one valid element among bad ones is used", () => {
    expect(parseSubnetFile("FLANNEL_IPV6_SUBNET=x,fd00::1/64").subnets).toEqual({ 6: "fd00::/64" });
  });
});
