import { describe, expect, test } from "vitest";
import { AgentError } from "./errors.ts";
import { chooseExternalInterface, describeChoice } from "./external-interface.ts";
import type {
  CandidateAddress,
  InterfaceCandidate,
  InterfaceQuestion,
  InterfaceWishes,
} from "./external-interface.ts";
import { parseCidr, parseIp } from "./ip.ts";
import { parseNetworkConfig } from "./network-config.ts";

const SIX = '"EnableIPv6":true,"IPv6Network":"fd00::/48"';
const FAMILIES = {
  single: parseNetworkConfig('{"Network":"10.3.0.0/16"}'),
  six: parseNetworkConfig(`{"EnableIPv4":false,${SIX}}`),
  dual: parseNetworkConfig(`{"Network":"10.3.0.0/16",${SIX}}`),
};

/** `192.0.2.1/24`, then any of: deprecated, temporary, dynamic (not permanent). */
function address(text: string): CandidateAddress {
  const [prefix = "", ...flags] = text.split(" ");
  return {
    address: parseCidr(prefix),
    deprecated: flags.includes("deprecated"),
    permanent: !flags.includes("dynamic"),
    temporary: flags.includes("temporary"),
  };
}

function link(index: number, name: string, ...addresses: string[]): InterfaceCandidate {
  return { name, index, mtu: 1500, up: true, addresses: addresses.map(address) };
}

const MACHINE = [
  link(1, "lo", "127.0.0.1/8", "::1/128"),
  // A Vagrant machine: the NAT interface has the default route and the same address everywhere.
  link(2, "eth0", "10.0.2.15/24 dynamic", "fe80::2/64"),
  link(3, "eth1", "192.0.2.10/24", "2001:db8::10/64", "fe80::3/64"),
  link(4, "eth2", "198.51.100.10/24", "2001:db8:2::10/64"),
];

interface Given extends Partial<InterfaceWishes> {
  readonly families?: keyof typeof FAMILIES;
  readonly interfaces?: readonly InterfaceCandidate[];
  readonly defaultRoutes?: InterfaceQuestion["defaultRoutes"];
  readonly reach?: InterfaceQuestion["reach"];
}

function choose(given: Given): string {
  const { families = "single", interfaces = MACHINE, defaultRoutes, reach, ...wishes } = given;
  const { name, mtu, addresses, publicIps } = chooseExternalInterface({
    wishes: { names: [], patterns: [], canReach: "", publicIp: "", publicIpv6: "", ...wishes },
    config: FAMILIES[families],
    interfaces,
    defaultRoutes: defaultRoutes ?? [
      { family: 4, link: "eth0" },
      { family: 4, link: "eth2" },
      { family: 6, link: "eth2" },
    ],
    reach,
  });
  expect(mtu).toBe(1500);
  const words = [name, addresses[4], addresses[6], "as", publicIps[4], publicIps[6]];
  return words.filter((word) => word !== undefined).join(" ");
}

function refusal(given: Given): string {
  try {
    return choose(given);
  } catch (error) {
    if (!(error instanceof AgentError) || error.message.includes("\n")) throw error;
    return `${error.code}: ${error.message}`;
  }
}

describe("nothing asked for: the default route decides", () => {
  test.each<[Given, string]>([
    [{}, "eth0 10.0.2.15 as 10.0.2.15"],
    [{ families: "six" }, "eth2 2001:db8:2::10 as 2001:db8:2::10"],
    [
      {
        families: "dual",
        defaultRoutes: [
          { family: 6, link: "eth1" },
          { family: 4, link: "eth1" },
        ],
      },
      "eth1 192.0.2.10 2001:db8::10 as 192.0.2.10 2001:db8::10",
    ],
  ])("%j gives %s", (given, expected) => {
    expect(choose(given)).toBe(expected);
  });

  test.each<[Given, string]>([
    [{ families: "dual" }, "the default routes leave through different interfaces: eth0 and eth2"],
    [{ defaultRoutes: [] }, "there is no IPv4 default route"],
    [{ families: "six", defaultRoutes: [{ family: 4, link: "eth1" }] }, "there is no IPv6 default"],
    [{ defaultRoutes: [{ family: 4 }] }, "the IPv4 default route has several output interfaces"],
    [{ defaultRoutes: [{ family: 4, link: "eth9" }] }, "no such interface"],
  ])("%j finds none: %s", (given, reason) => {
    expect(refusal(given)).toContain(
      `external-interface-not-found: no external interface found (default route: ${reason}`,
    );
  });
});

describe("iface", () => {
  test.each<[Given, string]>([
    [{ names: ["eth1"] }, "eth1 192.0.2.10 as 192.0.2.10"],
    [{ names: ["192.0.2.10"] }, "eth1 192.0.2.10 as 192.0.2.10"],
    [{ names: ["eth9", "eth2", "eth1"] }, "eth2 198.51.100.10 as 198.51.100.10"],
    [{ names: [""] }, "eth0 10.0.2.15 as 10.0.2.15"],
    [
      { names: ["eth1"], families: "dual" },
      "eth1 192.0.2.10 2001:db8::10 as 192.0.2.10 2001:db8::10",
    ],
    [
      { names: ["192.0.2.10"], families: "dual" },
      "eth1 192.0.2.10 2001:db8::10 as 192.0.2.10 2001:db8::10",
    ],
    [
      { names: ["2001:db8::10"], families: "dual" },
      "eth1 192.0.2.10 2001:db8::10 as 192.0.2.10 2001:db8::10",
    ],
    [{ names: ["2001:DB8:0::10"], families: "six" }, "eth1 2001:db8::10 as 2001:db8::10"],
    [{ names: ["fe80::3"], families: "six" }, "eth1 fe80::3 as fe80::3"],
    [{ names: ["127.0.0.1"] }, "lo 127.0.0.1 as 127.0.0.1"],
  ])("%j gives %s", (given, expected) => {
    expect(choose(given)).toBe(expected);
  });

  test.each<[Given, string]>([
    [
      { names: ["eth9"] },
      "(--iface=eth9: no such interface): name one with --iface; there are eth0 (10.0.2.15), eth1 (192.0.2.10), eth2 (198.51.100.10)",
    ],
    [{ names: ["192.0.2.99"] }, "--iface=192.0.2.99: no interface has this address"],
    [{ names: ["2001:db8::10"] }, "IPv6 is not enabled in the network config"],
    [
      { names: ["eth0"], families: "dual", interfaces: [link(2, "eth0", "10.0.2.15/24")] },
      "--iface=eth0: interface eth0 has no usable IPv6 address",
    ],
    [
      { names: ["eth8", "lo"], patterns: ["^en"] },
      "(--iface=eth8: no such interface; --iface=lo: interface lo has no usable IPv4 address; --iface-regex=^en: no address and no name matches)",
    ],
    [
      { names: ["e"], interfaces: [{ ...link(2, "e", "192.0.2.1/24"), mtu: 0 }] },
      "interface e has MTU 0",
    ],
    [{ names: ["e"], interfaces: [link(2, "e")] }, "no interface has a usable IPv4 address"],
  ])("%j finds none: %s", (given, reason) => {
    expect(refusal(given)).toContain(reason);
  });
});

describe("iface-regex", () => {
  const dummy = link(
    5,
    "dummy0",
    "1.10.100.1/32",
    "192.168.200.128/32",
    "172.16.30.18/32",
    "172.16.31.200/32",
    "172.16.32.100/24",
    "2001:db8::1/64",
  );

  test.each<[Given, string]>([
    [{ patterns: [String.raw`192\.168\.200\.\d+`] }, "dummy0 192.168.200.128 as 192.168.200.128"],
    [{ patterns: [String.raw`dummy\d+`] }, "dummy0 1.10.100.1 as 1.10.100.1"],
    [{ names: ["dummy0"] }, "dummy0 1.10.100.1 as 1.10.100.1"],
    [{ names: ["172.16.31.200"] }, "dummy0 172.16.31.200 as 172.16.31.200"],
    [
      { patterns: [String.raw`172\.16\.30\.18`], publicIp: "172.16.31.200" },
      "dummy0 172.16.30.18 as 172.16.31.200",
    ],
    [
      { canReach: "172.16.32.254", reach: { link: "dummy0", source: parseIp("172.16.32.100") } },
      "dummy0 172.16.32.100 as 172.16.32.100",
    ],
  ])("%j gives what the reference's own test expects: %s", (given, expected) => {
    expect(choose({ ...given, interfaces: [dummy] })).toBe(expected);
  });

  test.each<[Given, string]>([
    [{ patterns: ["nothing", "eth[12]"] }, "eth1 192.0.2.10 as 192.0.2.10"],
    [{ patterns: ["eth[12]"], interfaces: MACHINE.toReversed() }, "eth1 192.0.2.10 as 192.0.2.10"],
    [{ patterns: ["0"] }, "eth0 10.0.2.15 as 10.0.2.15"],
    [{ patterns: ["^2001:db8:"], families: "six" }, "eth1 2001:db8::10 as 2001:db8::10"],
    [{ patterns: ["^fe80"], families: "six" }, "eth0 fe80::2 as fe80::2"],
    // A deprecated address does not count, so the name does.
    [
      {
        patterns: ["192"],
        interfaces: [link(2, "e192", "192.0.2.1/24 deprecated", "198.51.100.1/24")],
      },
      "e192 198.51.100.1 as 198.51.100.1",
    ],
    // One expression decides per interface, for both families.
    [
      { patterns: [String.raw`^198\.51`], families: "dual" },
      "eth2 198.51.100.10 2001:db8:2::10 as 198.51.100.10 2001:db8:2::10",
    ],
    [
      { patterns: ["^2001:db8:2:"], families: "dual" },
      "eth2 198.51.100.10 2001:db8:2::10 as 198.51.100.10 2001:db8:2::10",
    ],
    [
      { patterns: [String.raw`^198\.51|^2001`], families: "dual" },
      "eth2 198.51.100.10 2001:db8:2::10 as 198.51.100.10 2001:db8:2::10",
    ],
    [{ patterns: ["^eth"], families: "dual" }, "eth0 10.0.2.15 fe80::2 as 10.0.2.15 fe80::2"],
    [{ patterns: ["^lo$|^eth1$"] }, "eth1 192.0.2.10 as 192.0.2.10"],
    [{ patterns: [""] }, "eth0 10.0.2.15 as 10.0.2.15"],
  ])("%j gives %s", (given, expected) => {
    expect(choose(given)).toBe(expected);
  });

  test("an expression that cannot be read is told of even behind a good option", () => {
    expect(refusal({ names: ["eth1"], patterns: ["("] })).toMatch(
      /^options-invalid: --iface-regex=\(: not a regular expression: /,
    );
  });
});

describe("iface-can-reach", () => {
  const target = { canReach: "203.0.113.1" };
  const source = parseIp("192.0.2.11");

  test.each<[Given, string]>([
    [{ ...target, reach: { link: "eth1", source } }, "eth1 192.0.2.11 as 192.0.2.11"],
    [{ ...target, reach: { link: "eth1" } }, "eth1 192.0.2.10 as 192.0.2.10"],
    [
      { ...target, reach: { link: "eth1", source }, families: "dual" },
      "eth1 192.0.2.11 2001:db8::10 as 192.0.2.11 2001:db8::10",
    ],
    [
      { ...target, reach: { link: "eth1", source }, families: "six" },
      "eth1 2001:db8::10 as 2001:db8::10",
    ],
    [
      {
        canReach: "2001:db8:9::1",
        reach: { link: "eth1", source: parseIp("fe80::3") },
        families: "dual",
      },
      "eth1 192.0.2.10 fe80::3 as 192.0.2.10 fe80::3",
    ],
    [
      { ...target, reach: { link: "eth1" }, names: ["eth2"] },
      "eth2 198.51.100.10 as 198.51.100.10",
    ],
  ])("%j gives %s", (given, expected) => {
    expect(choose(given)).toBe(expected);
  });

  test.each<[Given, string]>([
    [target, "--iface-can-reach=203.0.113.1: the kernel has no route to it"],
    [{ ...target, reach: { link: "gone" } }, "its route leaves through gone, which is gone"],
    [{ canReach: "example" }, "options-invalid: --iface-can-reach=example: expected an IP address"],
  ])("%j finds none: %s", (given, reason) => {
    expect(refusal(given)).toContain(reason);
  });
});

describe("public addresses", () => {
  test.each<[Given, string]>([
    [{ publicIp: "192.0.2.10" }, "eth1 192.0.2.10 as 192.0.2.10"],
    [{ publicIp: "203.0.113.5", names: ["eth1"] }, "eth1 192.0.2.10 as 203.0.113.5"],
    [{ publicIpv6: "2001:db8::10", families: "six" }, "eth1 2001:db8::10 as 2001:db8::10"],
    [
      { publicIpv6: "2001:db8::10", families: "dual" },
      "eth1 192.0.2.10 2001:db8::10 as 192.0.2.10 2001:db8::10",
    ],
    [
      { publicIp: "192.0.2.10", publicIpv6: "fe80::3", families: "dual" },
      "eth1 192.0.2.10 fe80::3 as 192.0.2.10 fe80::3",
    ],
    [
      { names: ["eth1"], publicIp: "203.0.113.5", publicIpv6: "2001:db8:9::5", families: "dual" },
      "eth1 192.0.2.10 2001:db8::10 as 203.0.113.5 2001:db8:9::5",
    ],
    // A public address of a family that is off leads nowhere: the default route decides.
    [
      { publicIp: "203.0.113.5", families: "six" },
      "eth2 2001:db8:2::10 as 203.0.113.5 2001:db8:2::10",
    ],
    [{ publicIpv6: "2001:db8:9::5" }, "eth0 10.0.2.15 as 10.0.2.15 2001:db8:9::5"],
    // The first option that leads somewhere wins, a public address is no option of its own then.
    [
      { names: ["eth9"], canReach: "203.0.113.1", reach: { link: "eth2" }, publicIp: "192.0.2.10" },
      "eth2 198.51.100.10 as 192.0.2.10",
    ],
    // An IPv6 address that is asked for by name stays the interface's, whatever is published.
    [
      { names: ["2001:db8::10"], publicIpv6: "2001:db8:9::5", families: "dual" },
      "eth1 192.0.2.10 2001:db8::10 as 192.0.2.10 2001:db8:9::5",
    ],
    [
      { patterns: ["^eth1$"], publicIpv6: "2001:db8:9::5", families: "dual" },
      "eth1 192.0.2.10 2001:db8::10 as 192.0.2.10 2001:db8:9::5",
    ],
    // One family behind NAT says nothing about the other.
    [
      { names: ["2001:db8::10"], publicIp: "203.0.113.5", families: "dual" },
      "eth1 192.0.2.10 2001:db8::10 as 203.0.113.5 2001:db8::10",
    ],
    // Published as the reference does, although the family is off.
    [{ names: ["eth1"], publicIpv6: "2001:db8::10" }, "eth1 192.0.2.10 as 192.0.2.10 2001:db8::10"],
    [{ names: ["2001:db8::10"], families: "six" }, "eth1 2001:db8::10 as 2001:db8::10"],
  ])("%j gives %s", (given, expected) => {
    expect(choose(given)).toBe(expected);
  });

  test.each<[Given, string]>([
    [
      { publicIp: "203.0.113.5" },
      "--public-ip=203.0.113.5: no interface has this address; behind NAT, give --iface as well",
    ],
    [
      { publicIp: "192.0.2.10", publicIpv6: "2001:db8:2::10", families: "dual" },
      "v6 interface eth2 must be the same with v4 interface eth1",
    ],
    [
      { names: ["192.0.2.10"], publicIpv6: "2001:db8:9::5", families: "dual" },
      "no interface has --public-ipv6=2001:db8:9::5",
    ],
    [
      { publicIp: "2001:db8::10" },
      "options-invalid: --public-ip=2001:db8::10: expected an IPv4 address",
    ],
    [{ publicIpv6: "x" }, "options-invalid: --public-ipv6=x: expected an IPv6 address"],
  ])("%j finds none: %s", (given, reason) => {
    expect(refusal(given)).toContain(reason);
  });
});

describe("the address on the interface", () => {
  test.each([
    [["fe80::1/64", "2001:db8::1/64"], "2001:db8::1"],
    [["2001:db8::1/64 dynamic", "2001:db8::2/64"], "2001:db8::2"],
    [["2001:db8::1/64 dynamic temporary", "2001:db8::2/64 dynamic"], "2001:db8::2"],
    [["2001:db8::1/64 temporary", "2001:db8::2/64 dynamic"], "2001:db8::1"],
    [["2001:db8::1/64 deprecated", "fe80::1/64"], "fe80::1"],
    [["fe80::1/64", "2001:db8::1/64 dynamic temporary"], "2001:db8::1"],
    [["fd00::1/64", "2001:db8::1/64"], "fd00::1"],
    [["::1/128", "ff02::1/128", "2001:db8::1/64"], "2001:db8::1"],
  ])("of %j is %s", (addresses, expected) => {
    const interfaces = [link(2, "eth0", ...addresses)];
    expect(choose({ families: "six", names: ["eth0"], interfaces })).toBe(
      `eth0 ${expected} as ${expected}`,
    );
  });
});

test("no family at all is said so", () => {
  expect(() =>
    chooseExternalInterface({
      wishes: { names: [], patterns: [], canReach: "", publicIp: "", publicIpv6: "" },
      config: { ranges: {} },
      interfaces: MACHINE,
      defaultRoutes: [],
      reach: undefined,
    }),
  ).toThrow("none defined stack");
});

test("a machine with very many interfaces lists a few", () => {
  const interfaces = Array.from({ length: 500 }, (_, index) =>
    link(index + 1, `veth${index}`, "192.0.2.1/24"),
  );
  const message = refusal({ names: ["eth0"], interfaces });
  expect(message).toMatch(/veth19 \(192\.0\.2\.1\), 480 more$/);
});

test("a choice is told of in the reference's words, family by family", () => {
  const none = { names: [], patterns: [], canReach: "", publicIp: "", publicIpv6: "" };
  const addresses = { 4: parseIp("192.0.2.10"), 6: parseIp("2001:db8::10") };
  const dual = { name: "eth1", mtu: 1500, addresses, publicIps: addresses };
  expect(describeChoice(none, dual)).toEqual([
    "Determining IP address of default interface",
    "Using interface with name eth1 and address 192.0.2.10",
    "Defaulting external address to interface address (192.0.2.10)",
    "Using interface with name eth1 and v6 address 2001:db8::10",
    "Defaulting external v6 address to interface address (2001:db8::10)",
  ]);
  const nat = { ...dual, addresses: { 4: addresses[4] }, publicIps: { 4: parseIp("203.0.113.5") } };
  expect(describeChoice({ ...none, publicIp: "203.0.113.5" }, nat)).toEqual([
    "Using interface with name eth1 and address 192.0.2.10",
    "Using 203.0.113.5 as external address",
  ]);
  // An empty name, as from an unset variable, is none.
  expect(describeChoice({ ...none, names: [""] }, nat)[0]).toMatch(/^Determining/);
});
