import { describe, expect, test } from "vitest";
import { chooseExternalInterface } from "./external-interface.ts";
import type {
  ChosenInterface,
  InterfaceCandidate,
  InterfaceQuestion,
  InterfaceWishes,
} from "./external-interface.ts";
import { followExternalInterface } from "./follow-external-interface.ts";
import { parseCidr, parseIp } from "./ip.ts";
import { parseNetworkConfig } from "./network-config.ts";

const SINGLE = parseNetworkConfig('{"Network":"10.3.0.0/16"}');
const DUAL = parseNetworkConfig(
  '{"Network":"10.3.0.0/16","EnableIPv6":true,"IPv6Network":"fd00::/48"}',
);
const FIRST = ["192.0.2.1/24", "2001:db8::1/64"];

function link(
  index: number,
  name: string,
  addresses: readonly string[],
  more: Partial<InterfaceCandidate> = {},
): InterfaceCandidate {
  const flags = { deprecated: false, permanent: true, temporary: false };
  return {
    name,
    index,
    mtu: 1500,
    up: true,
    addresses: addresses.map((text) => ({ ...flags, address: parseCidr(text) })),
    ...more,
  };
}

const other = (addresses: readonly string[]): InterfaceCandidate => link(3, "eth1", addresses);

function question(
  interfaces: readonly InterfaceCandidate[],
  more: Partial<InterfaceWishes & Pick<InterfaceQuestion, "config" | "defaultRoutes">> = {},
): InterfaceQuestion {
  const { config = SINGLE, defaultRoutes = [{ family: 4, link: "eth0" }], ...wishes } = more;
  return {
    wishes: { names: [], patterns: [], canReach: "", publicIp: "", publicIpv6: "", ...wishes },
    config,
    interfaces,
    defaultRoutes,
    reach: undefined,
  };
}

/** What was chosen on eth0, and then how it is followed. */
function follow(
  now: readonly InterfaceCandidate[],
  more: Parameters<typeof question>[1] = {},
): string {
  const routes = [
    { family: 4, link: "eth0" },
    { family: 6, link: "eth0" },
  ] as const;
  const before = question([link(2, "eth0", FIRST), other(["198.51.100.1/24"])], {
    ...more,
    defaultRoutes: routes,
  });
  const chosen = chooseExternalInterface(before);
  return shown(chosen, question(now, more));
}

function shown(chosen: ChosenInterface, now: InterfaceQuestion): string {
  const { external, problems, gone } = followExternalInterface(chosen, now);
  const { name, index, mtu, addresses, publicIps } = external;
  const words = [
    `${name}:${index}`,
    mtu,
    addresses[4],
    addresses[6],
    "as",
    publicIps[4],
    publicIps[6],
  ];
  const said = gone ? ["gone", ...problems] : problems;
  return [words.filter((word) => word !== undefined).join(" "), ...said].join("; ");
}

const AS_CHOSEN = "eth0:2 1500 192.0.2.1 as 192.0.2.1";

describe("what is chosen stays", () => {
  test.each<[string, readonly InterfaceCandidate[]]>([
    ["as it was", [link(2, "eth0", FIRST)]],
    ["before it comes another address", [link(2, "eth0", ["192.0.2.9/24", ...FIRST])]],
    ["with another prefix length", [link(2, "eth0", ["192.0.2.1/16"])]],
    [
      "beside an interface that the default route moved to",
      [link(2, "eth0", FIRST), other(["198.51.100.1/24"])],
    ],
    [
      "beside one that took the name",
      [link(2, "eth0", FIRST), link(9, "eth0", ["198.51.100.1/24"])],
    ],
  ])("%s", (_, now) => {
    expect(follow(now, { defaultRoutes: [{ family: 4, link: "eth1" }] })).toBe(AS_CHOSEN);
  });

  test("under a new name", () => {
    expect(follow([link(2, "uplink", FIRST)], { names: ["eth0"] })).toBe(
      "uplink:2 1500 192.0.2.1 as 192.0.2.1",
    );
  });

  test("made anew under the same name", () => {
    expect(follow([link(7, "eth0", FIRST)])).toBe("eth0:7 1500 192.0.2.1 as 192.0.2.1");
  });

  test("with another MTU", () => {
    expect(follow([link(2, "eth0", FIRST, { mtu: 9000 })])).toBe(
      "eth0:2 9000 192.0.2.1 as 192.0.2.1",
    );
  });

  test.each<[string, readonly InterfaceCandidate[], string]>([
    ["gone", [other(["198.51.100.1/24"])], "gone; interface eth0 is gone"],
    ["down", [link(2, "eth0", ["192.0.2.7/24"], { up: false })], "interface eth0 is down"],
    ["of MTU 0", [link(2, "eth0", FIRST, { mtu: 0 })], "interface eth0 has MTU 0"],
    [
      "without an address",
      [link(2, "eth0", ["2001:db8::1/64"])],
      "interface eth0 has lost its address 192.0.2.1 and has no other IPv4 address that the options allow",
    ],
  ])("while the interface is %s", (_, now, problem) => {
    expect(follow(now)).toBe(`${AS_CHOSEN}; ${problem}`);
  });
});

describe("an address that is gone is replaced", () => {
  test("by the best one there is", () => {
    expect(follow([link(2, "eth0", ["169.254.7.7/16", "192.0.2.7/24"])])).toBe(
      "eth0:2 1500 192.0.2.7 as 192.0.2.7",
    );
  });

  test("behind the public IP that was given", () => {
    const given = { names: ["eth0"], publicIp: "203.0.113.5" };
    expect(follow([link(2, "eth0", ["192.0.2.7/24"])], given)).toBe(
      "eth0:2 1500 192.0.2.7 as 203.0.113.5",
    );
  });

  test("not by one that the options do not mean", () => {
    const now = [link(2, "eth0", ["198.51.100.7/24"])];
    const problem =
      "interface eth0 has lost its address 192.0.2.1 and has no other IPv4 address that the options allow";
    expect(follow(now, { names: ["192.0.2.1"] })).toBe(`${AS_CHOSEN}; ${problem}`);
    expect(follow(now, { patterns: ["^192[.]0[.]2[.]"] })).toBe(`${AS_CHOSEN}; ${problem}`);
    expect(follow(now, { publicIp: "192.0.2.1" })).toBe(`${AS_CHOSEN}; ${problem}`);
  });

  test("by the one that the pattern means", () => {
    const now = [link(2, "eth0", ["198.51.100.7/24", "192.0.2.8/24"])];
    expect(follow(now, { patterns: ["^192[.]0[.]2[.]"] })).toBe(
      "eth0:2 1500 192.0.2.8 as 192.0.2.8",
    );
  });

  test("by the source of the route to what is to be reached", () => {
    const before = {
      ...question([link(2, "eth0", FIRST)], { canReach: "203.0.113.1" }),
      reach: { link: "eth0" },
    };
    const chosen = chooseExternalInterface(before);
    const now = question([link(2, "eth0", ["192.0.2.7/24", "192.0.2.8/24"])], {
      canReach: "203.0.113.1",
    });
    const through = (name: string): string =>
      shown(chosen, { ...now, reach: { link: name, source: parseIp("192.0.2.8") } });
    expect(through("eth0")).toBe("eth0:2 1500 192.0.2.8 as 192.0.2.8");
    expect(through("eth1")).toBe("eth0:2 1500 192.0.2.7 as 192.0.2.7");
  });
});

describe("each family by itself", () => {
  const BOTH = "192.0.2.1 2001:db8::1 as 192.0.2.1 2001:db8::1";

  test.each<[readonly string[], string]>([
    [FIRST, `eth0:2 1500 ${BOTH}`],
    [
      ["192.0.2.7/24", "2001:db8::1/64"],
      "eth0:2 1500 192.0.2.7 2001:db8::1 as 192.0.2.7 2001:db8::1",
    ],
    [
      ["192.0.2.1/24", "2001:db8::7/64"],
      "eth0:2 1500 192.0.2.1 2001:db8::7 as 192.0.2.1 2001:db8::7",
    ],
    [
      ["2001:db8::1/64"],
      `eth0:2 1500 ${BOTH}; interface eth0 has lost its address 192.0.2.1 and has no other IPv4 address that the options allow`,
    ],
    [
      ["192.0.2.7/24"],
      "eth0:2 1500 192.0.2.7 2001:db8::1 as 192.0.2.7 2001:db8::1; interface eth0 has lost its address 2001:db8::1 and has no other IPv6 address that the options allow",
    ],
    // The link's own address is there while a global one is exchanged: it would be kept ever after.
    [
      ["192.0.2.1/24", "fe80::1/64"],
      `eth0:2 1500 ${BOTH}; interface eth0 has lost its address 2001:db8::1 and has no other IPv6 address that the options allow`,
    ],
    [
      ["192.0.2.1/24", "fe80::1/64", "2001:db8::7/64"],
      "eth0:2 1500 192.0.2.1 2001:db8::7 as 192.0.2.1 2001:db8::7",
    ],
  ])("%j", (addresses, expected) => {
    expect(follow([link(2, "eth0", addresses)], { config: DUAL })).toBe(expected);
  });

  test("an option that names the address of one decides for the interface of the other", () => {
    const now = [link(2, "eth0", ["192.0.2.1/24", "2001:db8::7/64"])];
    expect(follow(now, { config: DUAL, names: ["192.0.2.1"] })).toBe(
      "eth0:2 1500 192.0.2.1 2001:db8::7 as 192.0.2.1 2001:db8::7",
    );
  });
});
