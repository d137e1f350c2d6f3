import { describe, expect, test } from "vitest";
import { AgentError } from "./errors.ts";
import type { Family } from "./ip.ts";
import { formatNetworkConfig, parseNetworkConfig } from "./network-config.ts";

/** "length, min … max" of one family, as spec 02 section 4.3 writes it. */
function rangeOf(text: string, family: Family): string {
  const range = parseNetworkConfig(text).ranges[family];
  return range === undefined
    ? "off"
    : `${range.network} L ${range.subnetLength}, ${range.subnetMin} … ${range.subnetMax}`;
}

function errorOf(text: string): string {
  try {
    parseNetworkConfig(text);
  } catch (error) {
    if (error instanceof AgentError && error.code === "config-invalid") return error.message;
    throw error;
  }
  return "accepted";
}

const four = (network: string, more = ""): string => `{"Network":"${network}"${more}}`;
const six = (network: string, more = ""): string =>
  `{"EnableIPv4":false,"EnableIPv6":true,"IPv6Network":"${network}"${more}}`;

describe("boundary examples of the reference, spec 02 section 4.3", () => {
  test.each([
    [four("10.3.0.0/16"), "10.3.0.0/16 L 24, 10.3.1.0 … 10.3.255.0"],
    [four("10.3.0.0/22"), "10.3.0.0/22 L 24, 10.3.1.0 … 10.3.3.0"],
    [four("10.3.0.0/23"), "10.3.0.0/23 L 25, 10.3.0.128 … 10.3.1.128"],
    [four("10.3.0.0/24"), "10.3.0.0/24 L 26, 10.3.0.64 … 10.3.0.192"],
    [four("10.3.0.0/28"), "10.3.0.0/28 L 30, 10.3.0.4 … 10.3.0.12"],
    [four("10.3.0.0/8"), "10.0.0.0/8 L 24, 10.0.1.0 … 10.255.255.0"],
    [four("255.0.0.0/8"), "255.0.0.0/8 L 24, 255.0.1.0 … 255.255.255.0"],
    [four("10.0.0.0/1"), "0.0.0.0/1 L 24, 0.0.1.0 … 127.255.255.0"],
    [four("10.3.0.0/16", ',"SubnetLen":18'), "10.3.0.0/16 L 18, 10.3.64.0 … 10.3.192.0"],
    [four("10.3.0.0/16", ',"SubnetLen":30'), "10.3.0.0/16 L 30, 10.3.0.4 … 10.3.255.252"],
    [four("10.3.0.0/16", ',"SubnetMin":"10.3.0.0"'), "10.3.0.0/16 L 24, 10.3.0.0 … 10.3.255.0"],
    [four("10.3.0.0/16", ',"SubnetMax":"10.3.0.0"'), "10.3.0.0/16 L 24, 10.3.1.0 … 10.3.0.0"],
  ])("%s gives %s", (text, expected) => {
    expect(rangeOf(text, 4)).toBe(expected);
  });

  test.each([
    [six("fc00::/48"), "fc00::/48 L 64, fc00:0:0:1:: … fc00:0:0:ffff::"],
    [six("fc00::/62"), "fc00::/62 L 64, fc00:0:0:1:: … fc00:0:0:3::"],
    [six("fc00::/63"), "fc00::/63 L 65, fc00::8000:0:0:0 … fc00:0:0:1:8000::"],
    [six("fc00::/124"), "fc00::/124 L 126, fc00::4 … fc00::c"],
    [six("fc00::/48", ',"IPv6SubnetLen":50'), "fc00::/48 L 50, fc00:0:0:4000:: … fc00:0:0:c000::"],
    [
      six("fc00::/48", ',"IPv6SubnetLen":126'),
      "fc00::/48 L 126, fc00::4 … fc00::ffff:ffff:ffff:ffff:fffc",
    ],
  ])("%s gives %s", (text, expected) => {
    expect(rangeOf(text, 6)).toBe(expected);
    expect(rangeOf(text, 4)).toBe("off");
  });

  test.each([
    [four("10.3.0.0/29"), "network is too small. Minimum useful network prefix is /28"],
    [four("0.0.0.0/0"), "please define a correct Network parameter in the flannel config"],
    ["{}", "please define a correct Network parameter in the flannel config"],
    ["null", "please define a correct Network parameter in the flannel config"],
    [
      four("10.3.0.0/16", ',"SubnetLen":17'),
      "network must be able to accommodate at least four subnets",
    ],
    [four("10.3.0.0/16", ',"SubnetLen":31'), "SubnetLen must be less than /31"],
    [
      four("10.3.0.0/16", ',"SubnetMin":"10.3.5.1"'),
      "SubnetMin is not on a SubnetLen boundary: 10.3.5.1",
    ],
    [
      four("10.3.0.0/16", ',"SubnetMax":"10.3.255.255"'),
      "SubnetMax is not on a SubnetLen boundary: 10.3.255.255",
    ],
    [
      four("10.3.0.0/16", ',"SubnetMin":"10.4.0.0"'),
      "SubnetMin is not in the range of the Network",
    ],
    [
      four("10.3.0.0/16", ',"SubnetMax":"10.2.0.0"'),
      "SubnetMax is not in the range of the Network",
    ],
    [six("fc00::/125"), "IPv6Network is too small. Minimum useful network prefix is /124"],
    [
      six("fc00::/48", ',"IPv6SubnetLen":49'),
      "network must be able to accommodate at least four subnets",
    ],
    [six("fc00::/48", ',"IPv6SubnetLen":127'), "SubnetLen must be less than /127"],
    [
      six("fc00::/48", ',"IPv6SubnetMin":"fc00::1"'),
      "IPv6SubnetMin is not on a SubnetLen boundary: fc00::1",
    ],
    [
      six("fc00::/48", ',"IPv6SubnetMin":"fc01::"'),
      "IPv6SubnetMin is not in the range of the IPv6Network",
    ],
    [
      six("fc00::/48", ',"IPv6SubnetMax":"fc01::"'),
      "IPv6SubnetMax is not in the range of the IPv6Network",
    ],
    [
      four("10.3.0.0/16", ',"EnableIPv6":true'),
      "please define a correct IPv6Network parameter in the flannel config",
    ],
  ])("%s is refused with the reference's words", (text, words) => {
    const message = errorOf(text);
    expect(message).toMatch(/^network config: [^:]/);
    expect(message).toContain(words);
    expect(message).not.toContain("\n");
  });

  test("an explicit length in a network too small for the default is judged by itself", () => {
    expect(rangeOf(four("10.3.0.0/28", ',"SubnetLen":30'), 4)).toContain("L 30");
    expect(errorOf(four("10.3.0.0/29", ',"SubnetLen":30'))).toContain("at least four subnets");
  });
});

describe("members", () => {
  test("the reference's own examples parse unchanged", () => {
    expect(rangeOf('{ "network": "10.3.0.0/16" }', 4)).toContain("10.3.1.0 … 10.3.255.0");
    const fourMembers =
      '"Network":"10.3.0.0/16","SubnetMin":"10.3.5.0","SubnetMax":"10.3.8.0","SubnetLen":28';
    expect(rangeOf(`{${fourMembers}}`, 4)).toBe("10.3.0.0/16 L 28, 10.3.5.0 … 10.3.8.0");
    const sixMembers =
      ',"IPv6SubnetMin":"fc00:0:0:1::","IPv6SubnetMax":"fc00:0:0:f::","IPv6SubnetLen":124';
    expect(rangeOf(six("fc00::/48", sixMembers), 6)).toBe(
      "fc00::/48 L 124, fc00:0:0:1:: … fc00:0:0:f::",
    );
  });

  test("host bits are masked away", () => {
    expect(rangeOf(four("10.3.5.7/16"), 4)).toMatch(/^10\.3\.0\.0\/16 /);
  });

  test("zero addresses, zero lengths and a null in IPv6 count as unset", () => {
    expect(
      rangeOf(four("10.3.0.0/16", ',"SubnetMin":"0.0.0.0","SubnetMax":"0.0.0.0","SubnetLen":0'), 4),
    ).toBe("10.3.0.0/16 L 24, 10.3.1.0 … 10.3.255.0");
    expect(
      rangeOf(
        six("fc00::/48", ',"IPv6SubnetMin":"::","IPv6SubnetMax":null,"IPv6SubnetLen":null'),
        6,
      ),
    ).toBe("fc00::/48 L 64, fc00:0:0:1:: … fc00:0:0:ffff::");
  });

  test.each([
    [
      '{"Network":null}',
      'Network: invalid CIDR address: null; give Network as an IPv4 prefix such as "10.244.0.0/16"',
    ],
    ['{"Network":""}', 'Network: invalid CIDR address: ""'],
    ['{"Network":"fc00::/48"}', "Network: invalid IPv4 CIDR format: fc00::/48"],
    ['{"Network":"010.3.0.0/16"}', "Network: invalid IP address"],
    ['{"Network":10}', "Network: invalid CIDR address: 10"],
    [four("10.3.0.0/16", ',"IPv6Network":null'), "IPv6Network: invalid CIDR address: null"],
    [four("10.3.0.0/16", ',"IPv6Network":"10.4.0.0/16"'), "IPv6Network: invalid IPv6 CIDR format"],
    [four("10.3.0.0/16", ',"SubnetMin":null'), "SubnetMin: invalid IP address: null"],
    [four("10.3.0.0/16", ',"SubnetMin":""'), 'SubnetMin: invalid IP address: ""'],
    [four("10.3.0.0/16", ',"SubnetMax":"fc00::"'), "SubnetMax: invalid IPv4 address: fc00::"],
    [four("10.3.0.0/16", ',"SubnetLen":"24"'), 'SubnetLen is "24": expected a whole number'],
    [four("10.3.0.0/16", ',"SubnetLen":24.0'), "SubnetLen is 24.0: expected a whole number"],
    [four("10.3.0.0/16", ',"EnableIPv6":"true"'), 'EnableIPv6 is "true": expected true or false'],
    ["", "invalid JSON: Unexpected end of JSON input"],
    ["[]", "network config is an array: expected a JSON object"],
  ])("%s is refused", (text, words) => {
    expect(errorOf(text)).toContain(words);
  });

  test("both families off passes: the caller says that there is no stack", () => {
    expect(parseNetworkConfig('{"EnableIPv4":false}').ranges).toEqual({});
  });

  test("nftables is off unless asked for", () => {
    expect(parseNetworkConfig(four("10.3.0.0/16")).enableNftables).toBe(false);
    expect(parseNetworkConfig(four("10.3.0.0/16", ',"EnableNFTables":true')).enableNftables).toBe(
      true,
    );
  });
});

describe("backend", () => {
  const withBackend = (backend: string): string => four("10.3.0.0/16", `,"Backend":${backend}`);

  test("is udp when absent, lower-cased when named, empty when present without a type", () => {
    expect(parseNetworkConfig(four("10.3.0.0/16"))).toMatchObject({
      backendType: "udp",
      backendOptions: {},
    });
    expect(parseNetworkConfig(withBackend('{"type":"VXLAN","VNI":7}'))).toMatchObject({
      backendType: "vxlan",
      backendOptions: { type: "VXLAN", VNI: 7 },
    });
    for (const backend of ["{}", '{"Type":""}', '{"Type":null}', "null"])
      expect(parseNetworkConfig(withBackend(backend)).backendType).toBe("");
  });

  test.each(["[]", '"vxlan"', '{"Type":1}'])("%s is refused", (backend) => {
    expect(errorOf(withBackend(backend))).toContain("error decoding Backend property of config: ");
  });
});

test.each([
  ['{"Network":"10.3.0.0/16"}'],
  ['{"Network":"10.3.0.0/16","Backend":null}'],
  ['{"Network":"10.3.0.0/16","Backend":{}}'],
  ['{"Network":"10.3.0.0/16","Backend":{"type":"VXLAN","VNI":7},"EnableNFTables":true}'],
  ['{"Network":"10.3.0.0/8","SubnetLen":20,"SubnetMin":"10.10.0.0","SubnetMax":"10.99.0.0"}'],
  ['{"EnableIPv4":false,"EnableIPv6":true,"IPv6Network":"fc00::/48"}'],
  ['{"Network":"10.3.0.0/16","EnableIPv6":true,"IPv6Network":"fc00::/62","IPv6SubnetLen":64}'],
])("%s is written as it was read", (text) => {
  const config = parseNetworkConfig(text);
  const written = formatNetworkConfig(config);
  expect(parseNetworkConfig(written)).toEqual(config);
  expect(formatNetworkConfig(parseNetworkConfig(written))).toBe(written);
});
