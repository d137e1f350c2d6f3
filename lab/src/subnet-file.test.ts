import { describe, expect, it } from "vitest";
import { formatCidr } from "./addresses.ts";
import { parseSubnetFile, subnetsOf } from "./subnet-file.ts";

const SINGLE = `FLANNEL_NETWORK=10.244.0.0/16
FLANNEL_SUBNET=10.244.7.1/24
FLANNEL_MTU=1450
FLANNEL_IPMASQ=false
`;
const DUAL = `FLANNEL_NETWORK=10.244.0.0/16
FLANNEL_SUBNET=10.244.7.1/24
FLANNEL_IPV6_NETWORK=fd00:10:244::/48
FLANNEL_IPV6_SUBNET=fd00:10:244:7::1/64
FLANNEL_MTU=1430
FLANNEL_IPMASQ=true
`;

describe("subnet.env", () => {
  it("gives the gateway and MTU of one family", () => {
    const file = parseSubnetFile(SINGLE);
    expect(file?.mtu).toBe(1450);
    expect(file?.gateways.map(formatCidr)).toEqual(["10.244.7.1/24"]);
    expect(file && subnetsOf(file)).toEqual(["10.244.7.0/24"]);
  });

  it("gives both families in order", () => {
    const file = parseSubnetFile(DUAL);
    expect(file && subnetsOf(file)).toEqual(["10.244.7.0/24", "fd00:10:244:7::/64"]);
  });

  it("is not complete at any cut of its text", () => {
    for (let length = 0; length < DUAL.indexOf("FLANNEL_IPMASQ="); length += 1) {
      expect(parseSubnetFile(DUAL.slice(0, length))).toBeUndefined();
    }
  });

  it.each([
    ["a subnet that is no CIDR", SINGLE.replace("10.244.7.1/24", "10.244.7.1")],
    ["an MTU that is no number", SINGLE.replace("1450", "big")],
    ["a network without its subnet", DUAL.replace(/FLANNEL_IPV6_SUBNET.*\n/, "")],
    ["no subnet at all", "FLANNEL_MTU=1450\nFLANNEL_IPMASQ=false\n"],
  ])("is refused with %s", (_why, text) => {
    expect(parseSubnetFile(text)).toBeUndefined();
  });
});
