import assert from "node:assert/strict";
import { AgentError } from "agent/core/errors.ts";
import { parseInterfacePattern } from "agent/core/interface-pattern.ts";
import {
  FAMILIES,
  containsIp,
  parseCidr,
  parseIp,
  tryParseCidr,
  tryParseIp,
} from "agent/core/ip.ts";
import { openObject, parseJson } from "agent/core/json-object.ts";
import type { ObjectReader } from "agent/core/json-object.ts";
import { formatLeaseValue, parseLeaseValue } from "agent/core/lease-json.ts";
import { equalAttributes } from "agent/core/lease.ts";
import { checkPeerFamily } from "agent/core/lease-validation.ts";
import { parseMac } from "agent/core/mac.ts";
import { parseNetworkConfig } from "agent/core/network-config.ts";
import { parseSubnetFile } from "agent/core/subnet-file.ts";
import { formatSubnetKey, parseSubnetKey } from "agent/core/subnet-key.ts";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  anyFamily,
  anyIp,
  attributes,
  config,
  damaged,
  lease,
  leasedSubnets,
  mac,
  prefix,
} from "./arbitraries.ts";

const anyPrefix = anyFamily.chain(prefix);
const keys = leasedSubnets.map(formatSubnetKey);
const values = attributes.map(formatLeaseValue);
const configs = fc.constantFrom(
  '{"Network":"10.3.0.0/16","SubnetLen":24,"SubnetMin":"10.3.5.0","Backend":{"Type":"vxlan","VNI":1}}',
  '{"EnableIPv4":false,"EnableIPv6":true,"IPv6Network":"fc00::/48","IPv6SubnetLen":64,"Backend":{"Type":"host-gw"}}',
  "null",
);
const files = fc.constantFrom(
  "FLANNEL_NETWORK=10.5.0.0/16\nFLANNEL_SUBNET=10.5.72.1/24\nFLANNEL_MTU=1450\nFLANNEL_IPMASQ=true\n",
  "A='x'\nexport FLANNEL_IPV6_SUBNET=\"${A}fc00::1/64\" # $B\n",
);
const patterns = fc.constantFrom(String.raw`(?i)^eth[0-9]+\.\d$`, String.raw`(?P<a>en|wl)\-`);

describe.each<[string, (text: string) => unknown, fc.Arbitrary<string>]>([
  ["parseIp", parseIp, anyIp],
  ["parseCidr", parseCidr, anyPrefix],
  ["parseMac", parseMac, mac],
  ["parseJson", parseJson, values],
  ["parseLeaseValue", parseLeaseValue, values],
  ["parseNetworkConfig", parseNetworkConfig, configs],
  ["parseInterfacePattern", parseInterfacePattern, patterns],
])("%s", (_, parse, good) => {
  test("answers any text with a value or with one line that has a code", () => {
    fc.assert(
      fc.property(damaged(good), (text) => {
        const message = refusal(() => parse(text));
        expect(message).not.toMatch(/[\n\r]/);
      }),
    );
  });
});

describe.each<[string, (text: string) => unknown, fc.Arbitrary<string>]>([
  ["tryParseIp", tryParseIp, anyIp],
  ["tryParseCidr", tryParseCidr, anyPrefix],
  ["parseSubnetKey", parseSubnetKey, keys],
  ["parseSubnetFile", parseSubnetFile, files],
])("%s", (_, parse, good) => {
  test("never throws", () => {
    fc.assert(
      fc.property(damaged(good), (text) => {
        expect(() => parse(text)).not.toThrow();
      }),
    );
  });
});

test("an object of any shape is read or refused, member by member", () => {
  fc.assert(
    fc.property(fc.anything(), fc.string(), (value, name) => {
      const read = (run: (reader: ObjectReader) => unknown): string =>
        refusal(() => run(openObject(value, "data")));
      for (const message of [
        read((reader) => reader.string(name, "")),
        read((reader) => reader.boolean(name, true)),
        read((reader) => reader.integer(name, 0)),
        read((reader) => reader.unknownNames([name])),
      ])
        expect(message).toMatch(/^$|^data/);
    }),
  );
});

test("deep nesting is refused, not a crash", () => {
  fc.assert(
    fc.property(
      fc.constantFrom("[", '{"a":', '[{"a":'),
      fc.integer({ min: 65, max: 20_000 }),
      (open, depth) => {
        expect(refusal(() => parseLeaseValue(`{"BackendData":${open.repeat(depth)}`))).not.toBe("");
      },
    ),
  );
});

test("A13: a lease of any content is judged, and a sound one keeps to its network", () => {
  fc.assert(
    fc.property(lease, lease, config(8), (peer, own, wanted) => {
      expect(equalAttributes(peer, peer)).toBe(true);
      for (const family of FAMILIES) {
        if (checkPeerFamily(peer, wanted, family, own.subnets) !== undefined) continue;
        const subnet = peer.subnets[family];
        const network = wanted.ranges[family]?.network;
        const publicIp = peer.publicIps[family];
        assert(subnet !== undefined && network !== undefined);
        expect(containsIp(network, subnet)).toBe(true);
        expect(publicIp !== undefined && !containsIp(network, publicIp)).toBe(true);
      }
    }),
  );
});

/** The message of an AgentError, empty without one; any other error ends the test. */
function refusal(run: () => unknown): string {
  try {
    run();
    return "";
  } catch (error) {
    if (error instanceof AgentError) return error.message;
    throw error;
  }
}
