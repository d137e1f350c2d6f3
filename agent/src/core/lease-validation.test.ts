import { describe, expect, test } from "vitest";
import { FAMILIES, parseCidr, parseIp } from "./ip.ts";
import type { Lease } from "./lease.ts";
import { checkPeerFamily } from "./lease-validation.ts";
import { parseNetworkConfig } from "./network-config.ts";
import type { NetworkConfig } from "./network-config.ts";

const single = parseNetworkConfig('{"Network":"10.3.0.0/16"}');
const dual = parseNetworkConfig(
  '{"Network":"10.3.0.0/16","EnableIPv6":true,"IPv6Network":"fd00:3::/48"}',
);
const sixOnly = parseNetworkConfig(
  '{"EnableIPv4":false,"EnableIPv6":true,"IPv6Network":"fd00:3::/48"}',
);

interface Words {
  readonly subnet?: string;
  readonly subnet6?: string;
  readonly ip?: string;
  readonly ip6?: string;
}

function peer({ subnet, subnet6, ip, ip6 }: Words): Lease {
  return {
    subnets: {
      ...(subnet === undefined ? {} : { 4: parseCidr(subnet) }),
      ...(subnet6 === undefined ? {} : { 6: parseCidr(subnet6) }),
    },
    publicIps: {
      ...(ip === undefined ? {} : { 4: parseIp(ip) }),
      ...(ip6 === undefined ? {} : { 6: parseIp(ip6) }),
    },
    backendType: "vxlan",
    backendData: {},
  };
}

/** The first complaint about a family that the lease has and the config enables. */
function check(
  lease: Lease,
  config: NetworkConfig,
  own: Lease["subnets"] = {},
): string | undefined {
  return FAMILIES.filter(
    (family) => config.ranges[family] !== undefined && lease.subnets[family] !== undefined,
  )
    .map((family) => checkPeerFamily(lease, config, family, own))
    .find((reason) => reason !== undefined);
}

const four = { subnet: "10.3.7.0/24", ip: "192.0.2.7" };
const six = { subnet6: "fd00:3:0:7::/64", ip6: "2001:db8::7" };

test("sound leases pass, whatever a family that is off here says", () => {
  expect(check(peer(four), single)).toBeUndefined();
  expect(check(peer({ ...four, subnet6: "2001:db8::/32" }), single)).toBeUndefined();
  expect(check(peer({ ...four, ...six }), dual)).toBeUndefined();
  expect(check(peer(four), dual)).toBeUndefined();
  expect(check(peer({ ...six, subnet: "172.16.0.0/24" }), sixOnly)).toBeUndefined();
});

describe.each([
  [four, single],
  [six, sixOnly],
])("in one family, %j", (good, config) => {
  const subnetMember = good === four ? "subnet" : "subnet6";
  const ipMember = good === four ? "ip" : "ip6";
  const reason = (words: Words): string | undefined => check(peer({ ...good, ...words }), config);

  test.each(
    good === four
      ? ["10.4.7.0/24", "10.0.0.0/8", "10.3.0.0/16", "0.0.0.0/1", "10.3.7.1/24"]
      : ["fd00:4::/64", "fd00::/16", "fd00:3::/48", "::/1", "fd00:3:0:7::1/64"],
  )("the subnet %s is refused", (subnet) => {
    expect(reason({ [subnetMember]: subnet })).toMatch(
      /^subnet .+ (is no share of the network|has host bits set)/,
    );
  });

  test.each(
    good === four
      ? ["0.0.0.0", "127.0.0.1", "224.0.0.1", "255.255.255.255", "10.3.9.1"]
      : ["::", "::1", "ff02::1", "fd00:3:0:9::1"],
  )("the public IP %s is refused", (ip) => {
    expect(reason({ [ipMember]: ip })).toMatch(/public IP/);
  });

  test("a missing public IP and the own subnet are refused", () => {
    const subnets = peer(good).subnets;
    expect(check({ ...peer(good), publicIps: {} }, config)).toMatch(/^no public IPv/);
    expect(check(peer(good), config, subnets)).toMatch(/overlaps this node's own/);
  });
});

test("a family that the lease has not, or that is off here, is refused", () => {
  expect(checkPeerFamily(peer(six), dual, 4)).toBe("no IPv4 subnet");
  expect(checkPeerFamily(peer(six), single, 6)).toBe("IPv6 is not enabled here");
});

test("a mistake in one family is no fault of the other", () => {
  const words = { ...four, ...six };
  const wrongSix = peer({ ...words, ip6: "::1" });
  expect(check(wrongSix, dual)).toBe("public IP ::1 is a loopback address");
  expect(check(wrongSix, single)).toBeUndefined();
  const wrongFour = peer({ ...words, subnet: "10.4.0.0/24" });
  expect(check(wrongFour, dual)).toMatch(/^subnet 10\.4\.0\.0\/24 is no share/);
  expect(check(wrongFour, sixOnly)).toBeUndefined();
});
