import {
  FAMILIES,
  cidrAddress,
  cidrLength,
  containsIp,
  familyBits,
  ipValue,
} from "agent/core/ip.ts";
import type { Cidr, Family, PerFamily } from "agent/core/ip.ts";
import { parseJson } from "agent/core/json-object.ts";
import { formatLeaseValue, parseLeaseValue } from "agent/core/lease-json.ts";
import { equalAttributes } from "agent/core/lease.ts";
import { AgentError } from "agent/core/errors.ts";
import { parseNetworkConfig } from "agent/core/network-config.ts";
import type { NetworkConfig } from "agent/core/network-config.ts";
import { isCompatibleSubnet } from "agent/core/subnet-allocator.ts";
import { formatSubnetFile, parseSubnetFile } from "agent/core/subnet-file.ts";
import { formatSubnetKey, parseSubnetKey } from "agent/core/subnet-key.ts";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { attributes, config, ip, leasedSubnets, prefix } from "./arbitraries.ts";

test("A12: a subnet key is read back", () => {
  fc.assert(
    fc.property(leasedSubnets, (subnets) => {
      expect(parseSubnetKey(formatSubnetKey(subnets))).toEqual(subnets);
    }),
  );
});

test("a subnet key that is read is written the same", () => {
  const segment = fc
    .tuple(
      fc.oneof(prefix(4), fc.constantFrom("010.3.1.0/24", "10.3.1.0/024", "0.0.0.0/0")),
      fc.option(fc.oneof(prefix(6), fc.constantFrom("FD00::/64", "fd00:0::/64", "::/0"))),
    )
    .map(([four, six]) => (six === null ? four : `${four}&${six}`).replaceAll("/", "-"));
  fc.assert(
    fc.property(segment, (key) => {
      const subnets = parseSubnetKey(key);
      expect(subnets === undefined ? key : formatSubnetKey(subnets)).toBe(key);
    }),
  );
});

test("A12: a lease value is read back, and written the same again", () => {
  fc.assert(
    fc.property(attributes, (published) => {
      const text = formatLeaseValue(published);
      expect(text).not.toMatch(/[\n<>&\u2028\u2029]/);
      const read = parseLeaseValue(text);
      expect(equalAttributes(read, published)).toBe(true);
      expect(formatLeaseValue(read)).toBe(text);
    }),
  );
});

test("leases publish the same exactly when their members do, in whatever order", () => {
  // Independent values are hardly ever equal, so the other one shares some parts.
  const pair = fc
    .tuple(attributes, attributes, fc.tuple(fc.boolean(), fc.boolean(), fc.boolean()))
    .map(([a, b, [samePublicIps, sameType, sameData]]) => ({
      a,
      b: {
        publicIps: samePublicIps ? a.publicIps : b.publicIps,
        backendType: sameType ? a.backendType : b.backendType,
        backendData: sameData ? a.backendData : b.backendData,
      },
    }));
  fc.assert(
    fc.property(pair, ({ a, b }) => {
      expect(equalAttributes(a, b)).toBe(sortedText(a) === sortedText(b));
    }),
    // Two values that only a wrong comparison takes for one another.
    {
      examples: [
        [
          {
            a: { publicIps: {}, backendType: "", backendData: { 4: {} } },
            b: { publicIps: {}, backendType: "", backendData: { 4: [] } },
          },
        ],
      ],
    },
  );
});

test("JSON is read as the platform reads it", () => {
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 5 }), (value) => {
      const text = JSON.stringify(value);
      expect(parseJson(text)).toEqual(JSON.parse(text));
    }),
  );
});

test("subnet.env gives back the networks and subnets", () => {
  const file = config(8).chain((ranges) =>
    fc.record({
      config: fc.constant(ranges),
      mtu: fc.integer({ min: 68, max: 65_535 }),
      ipMasq: fc.boolean(),
    }),
  );
  fc.assert(
    fc.property(file, (values) => {
      const subnets = firstSubnets(values.config);
      const text = formatSubnetFile({ ...values, subnets });
      expect(parseSubnetFile(text)).toEqual({
        networks: Object.fromEntries(
          Object.entries(values.config.ranges).map(([family, { network }]) => [family, network]),
        ),
        subnets,
        warnings: [],
      });
      expect(text.endsWith(`FLANNEL_MTU=${values.mtu}\nFLANNEL_IPMASQ=${values.ipMasq}\n`)).toBe(
        true,
      );
    }),
  );
});

/** Members that are often, but not always, good. */
function written(family: Family): fc.Arbitrary<Record<string, unknown>> {
  const start = family === 4 ? "" : "IPv6";
  return fc
    .tuple(prefix(family, 1), fc.nat(130), fc.option(ip(family)), fc.nat(3))
    .map(([network, length, other, choice]) => ({
      [family === 4 ? "EnableIPv4" : "EnableIPv6"]: true,
      [`${start}Network`]: network,
      ...(choice === 0 ? {} : { [`${start}SubnetLen`]: length }),
      ...(choice === 2 ? { [`${start}SubnetMin`]: cidrAddress(network) } : {}),
      ...(choice === 3 && other !== null ? { [`${start}SubnetMax`]: other } : {}),
    }));
}

test("a network configuration is refused or keeps to its own rules", () => {
  let accepted = 0;
  const document = fc
    .tuple(written(4), written(6), fc.boolean())
    .map(([four, six, dual]) => (dual ? { ...four, ...six } : four));
  fc.assert(
    fc.property(document, (members) => {
      const read = tryConfig(JSON.stringify(members));
      if (read === undefined) return;
      accepted++;
      for (const family of FAMILIES) {
        const range = read.ranges[family];
        expect(range === undefined).toBe(family === 6 && members["EnableIPv6"] !== true);
        if (range === undefined) continue;
        const { network, subnetMin, subnetMax, subnetLength } = range;
        expect(subnetLength).toBeGreaterThanOrEqual(cidrLength(network) + 2);
        expect(subnetLength).toBeLessThanOrEqual(familyBits(family) - 2);
        for (const limit of [subnetMin, subnetMax]) {
          expect(containsIp(network, limit)).toBe(true);
          const onlyThere = { ...range, subnetMin: limit, subnetMax: limit };
          expect(isCompatibleSubnet(firstOf(onlyThere), onlyThere)).toBe(true);
        }
        const start = family === 4 ? "" : "IPv6";
        const derived = members[`${start}SubnetMin`] ?? members[`${start}SubnetMax`];
        expect(derived !== undefined || ipValue(subnetMin) <= ipValue(subnetMax)).toBe(true);
      }
    }),
  );
  expect(accepted).toBeGreaterThan(0);
});

function tryConfig(text: string): NetworkConfig | undefined {
  try {
    return parseNetworkConfig(text);
  } catch (error) {
    if (error instanceof AgentError && error.code === "config-invalid") return undefined;
    throw error;
  }
}

function firstSubnets({ ranges }: Pick<NetworkConfig, "ranges">): PerFamily<Cidr> {
  const subnets: Partial<Record<Family, Cidr>> = {};
  for (const family of FAMILIES) {
    const range = ranges[family];
    if (range !== undefined) subnets[family] = firstOf(range);
  }
  return subnets;
}

function firstOf({ subnetMin, subnetLength }: NonNullable<NetworkConfig["ranges"][4]>): Cidr {
  return `${subnetMin}/${subnetLength}` as Cidr;
}

/** JSON with the members of every object in one order. */
function sortedText(value: unknown): string {
  return JSON.stringify(value, (_, inner: unknown) =>
    typeof inner === "object" && inner !== null && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).toSorted(([a], [b]) => (a < b ? -1 : 1)))
      : inner,
  );
}
