import { describe, expect, test } from "vitest";
import { AgentError } from "./errors.ts";
import { parseCidr, parseIp } from "./ip.ts";
import {
  type KeptState,
  type Moment,
  formatKeptState,
  holdsSecret,
  isSameCluster,
  keptStatePath,
  leftMsOf,
  parseKeptState,
} from "./kept-state.ts";
import type { Lease } from "./lease.ts";
import { parseNetworkConfig } from "./network-config.ts";

function lease(number: number): Lease {
  return {
    subnets: { 4: parseCidr(`10.42.${number}.0/24`), 6: parseCidr(`fd00:42:0:${number}::/64`) },
    publicIps: { 4: parseIp(`192.0.2.${number}`), 6: parseIp(`2001:db8::${number}`) },
    backendType: "vxlan",
    backendData: {
      4: { VNI: 1, VtepMAC: `0e:00:00:00:04:0${number}` },
      6: { VNI: 1, VtepMAC: `0e:00:00:00:06:0${number}` },
    },
  };
}

const BOOT = "5ad1a3a4-0f59-4e0f-a1a4-64ad3b6d3a9b";
const WRITTEN_MS = Date.UTC(2026, 10, 21, 16);
const HOUR_MS = 3_600_000;
const STATE: KeptState = {
  cluster: { prefix: "/coreos.com/network", endpoints: ["http://192.0.2.200:2379"] },
  written: { wallMs: WRITTEN_MS, boot: { id: BOOT, uptimeMs: 90_000 } },
  config: parseNetworkConfig(
    '{"Network":"10.42.0.0/16","EnableIPv6":true,"IPv6Network":"fd00:42::/48","Backend":{"Type":"VXLAN","VNI":1}}',
  ),
  lease: lease(1),
  leaseLeftMs: 23 * HOUR_MS,
  leaseId: "7587890624",
  peers: [lease(2), lease(3)],
};

function format(state: KeptState): string {
  const steps = formatKeptState(state);
  for (;;) {
    const { done, value } = steps.next();
    if (done === true) return value;
  }
}

const TEXT = format(STATE);

test("what is written is read", () => {
  expect(parseKeptState(TEXT)).toEqual(STATE);
  const reserved: KeptState = { ...STATE, leaseLeftMs: Number.POSITIVE_INFINITY, peers: [] };
  const { leaseId: _, ...withoutId } = reserved;
  expect(parseKeptState(format(withoutId))).toEqual(withoutId);
  const unknownBoot = { ...STATE, written: { wallMs: WRITTEN_MS } };
  expect(parseKeptState(format(unknownBoot))).toEqual(unknownBoot);
});

test("it is text that people can read, with keys and values as the store has them", () => {
  expect(TEXT).toMatchInlineSnapshot(`
    "{"version":1,"prefix":"/coreos.com/network","endpoints":["http://192.0.2.200:2379"],"writtenAt":"2026-11-21T16:00:00.000Z","bootId":"5ad1a3a4-0f59-4e0f-a1a4-64ad3b6d3a9b","uptimeMs":90000,"config":"{\\"EnableIPv4\\":true,\\"Network\\":\\"10.42.0.0/16\\",\\"SubnetMin\\":\\"10.42.1.0\\",\\"SubnetMax\\":\\"10.42.255.0\\",\\"SubnetLen\\":24,\\"EnableIPv6\\":true,\\"IPv6Network\\":\\"fd00:42::/48\\",\\"IPv6SubnetMin\\":\\"fd00:42:0:1::\\",\\"IPv6SubnetMax\\":\\"fd00:42:0:ffff::\\",\\"IPv6SubnetLen\\":64,\\"EnableNFTables\\":false,\\"Backend\\":{\\"Type\\":\\"VXLAN\\",\\"VNI\\":1}}","lease":["10.42.1.0-24&fd00:42:0:1::-64","{\\"PublicIP\\":\\"192.0.2.1\\",\\"PublicIPv6\\":\\"2001:db8::1\\",\\"BackendType\\":\\"vxlan\\",\\"BackendData\\":{\\"VNI\\":1,\\"VtepMAC\\":\\"0e:00:00:00:04:01\\"},\\"BackendV6Data\\":{\\"VNI\\":1,\\"VtepMAC\\":\\"0e:00:00:00:06:01\\"}}"],"leaseSecondsLeft":82800,"leaseId":"7587890624","peers":[
    ["10.42.2.0-24&fd00:42:0:2::-64","{\\"PublicIP\\":\\"192.0.2.2\\",\\"PublicIPv6\\":\\"2001:db8::2\\",\\"BackendType\\":\\"vxlan\\",\\"BackendData\\":{\\"VNI\\":1,\\"VtepMAC\\":\\"0e:00:00:00:04:02\\"},\\"BackendV6Data\\":{\\"VNI\\":1,\\"VtepMAC\\":\\"0e:00:00:00:06:02\\"}}"],
    ["10.42.3.0-24&fd00:42:0:3::-64","{\\"PublicIP\\":\\"192.0.2.3\\",\\"PublicIPv6\\":\\"2001:db8::3\\",\\"BackendType\\":\\"vxlan\\",\\"BackendData\\":{\\"VNI\\":1,\\"VtepMAC\\":\\"0e:00:00:00:04:03\\"},\\"BackendV6Data\\":{\\"VNI\\":1,\\"VtepMAC\\":\\"0e:00:00:00:06:03\\"}}"]]}
    "
  `);
});

test("a file that is cut anywhere is refused", () => {
  for (let length = 0; length < TEXT.length - 1; length++)
    expect(() => parseKeptState(TEXT.slice(0, length)), String(length)).toThrow(AgentError);
});

/** The members that are there, one of them another value. */
function with_(name: string, value: unknown): string {
  return JSON.stringify({ ...(JSON.parse(TEXT) as object), [name]: value });
}

/** Undefined where it is refused. */
function tryParse(text: string): KeptState | undefined {
  try {
    return parseKeptState(text);
  } catch (error) {
    if (error instanceof AgentError) return undefined;
    throw error;
  }
}

const HOSTILE: readonly unknown[] = [
  null,
  true,
  -1,
  1.5,
  1e300,
  "",
  "x",
  "\u0000",
  [],
  [1],
  {},
  { a: 1 },
];

describe("every member is looked at", () => {
  const members = Object.entries(JSON.parse(TEXT) as Record<string, unknown>);

  test("there are as many as the state has", () => {
    expect(members.map(([name]) => name).toSorted()).toEqual(
      "bootId config endpoints lease leaseId leaseSecondsLeft peers prefix uptimeMs version writtenAt".split(
        " ",
      ),
    );
  });

  test.each(members)("%s: no hostile value is taken for another than it is", (name) => {
    let refused = 0;
    const soundness: [KeptState, KeptState][] = [];
    for (const value of HOSTILE) {
      const state = tryParse(with_(name, value));
      if (state === undefined) refused++;
      // What is taken is sound: it can be written and read again.
      else soundness.push([parseKeptState(format(state)), state]);
    }
    for (const [again, state] of soundness) expect(again).toEqual(state);
    expect(refused).toBeGreaterThan(3);
  });

  test.each([
    ["version", 2, "state: version is 2: expected 1"],
    ["version", undefined, "state: version is undefined: expected 1"],
    ["more", 1, 'state: there is a member "more"'],
    [
      "config",
      "{}",
      "network config: please define a correct Network parameter in the flannel config",
    ],
    ["config", '{"Network":"10.99.0.0/16"}', "state: the lease does not fit the config"],
    ["lease", ["10.42.1.0-24", "{}", 1], "state: lease is an array: expected a key and a value"],
    ["lease", ["10.42.1.1-24", "{}"], 'state: lease: "10.42.1.1-24" is no subnet'],
    [
      "leaseSecondsLeft",
      172_801,
      "state: leaseSecondsLeft is 172801: expected a whole number from 0 to 172800",
    ],
    ["leaseId", "1 2", "state: leaseId is no number"],
    ["writtenAt", "yesterday", 'state: writtenAt is "yesterday": expected a time'],
    ["endpoints", [7], "state: an endpoint is 7: expected a string"],
    [
      "peers",
      [["10.42.2.0-24", '{"PublicIP":"x"}']],
      'lease value: PublicIP is "x": expected an IPv4 address',
    ],
    ["peers", [["../../etc", "{}"]], 'state: peer 0: "../../etc" is no subnet'],
  ])("%s of %j is refused, with the reason", (name, value, message) => {
    expect(() => parseKeptState(with_(name, value))).toThrow(message);
  });
});

test("who shares our subnet or our address is no peer", () => {
  const namesake = { ...lease(4), publicIps: lease(1).publicIps };
  const rival = { ...lease(5), subnets: lease(1).subnets };
  const text = format({ ...STATE, peers: [lease(2), namesake, rival] });
  expect(parseKeptState(text).peers).toEqual([lease(2)]);
});

describe("how much time a lease has left", () => {
  const after = (wallHours: number, upHours?: number): Moment => ({
    wallMs: WRITTEN_MS + wallHours * HOUR_MS,
    ...(upHours === undefined ? {} : { boot: { id: BOOT, uptimeMs: 90_000 + upHours * HOUR_MS } }),
  });
  const another = (wallHours: number): Moment => ({
    wallMs: WRITTEN_MS + wallHours * HOUR_MS,
    boot: { id: "another", uptimeMs: 1_000 },
  });

  test.each<[string, Moment, number | undefined]>([
    ["a boot later, by the wall clock", another(3), 20],
    ["a boot later, run out", another(24), -1],
    ["a boot later, on the very hour", another(23), 0],
    ["nobody knows the boot", after(3), 20],
    ["the same boot", after(3, 3), 20],
    ["the same boot, the wall clock a day ahead", after(28, 3), 20],
    ["the same boot, the wall clock a day behind", after(-21, 3), 20],
    ["the same boot, run out although the wall clock was set back", after(1, 24), -1],
    ["the same boot by its name, not by its time", after(3, -0.01), undefined],
    ["a boot later, the wall clock hours behind", another(-3), undefined],
    ["a boot later, the wall clock half a minute behind", another(-1 / 120), 23],
  ])("%s", (_, now, hours) => {
    const left = leftMsOf(STATE, now);
    expect(left === undefined ? undefined : left / HOUR_MS).toBe(hours);
  });

  test("a reservation never runs out", () => {
    expect(leftMsOf({ ...STATE, leaseLeftMs: Number.POSITIVE_INFINITY }, another(-1e5))).toBe(
      Number.POSITIVE_INFINITY,
    );
  });
});

test("a cluster is known by its prefix and one of its members", () => {
  const one = { prefix: "/a", endpoints: ["http://192.0.2.1:2379", "http://192.0.2.2:2379"] };
  expect(isSameCluster(one, { prefix: "/a", endpoints: ["http://192.0.2.2:2379"] })).toBe(true);
  expect(isSameCluster(one, { prefix: "/b", endpoints: one.endpoints })).toBe(false);
  expect(isSameCluster(one, { prefix: "/a", endpoints: ["http://192.0.2.3:2379"] })).toBe(false);
});

test("each prefix has a file of its own, whatever letters are in it", () => {
  const prefixes = [
    "/coreos.com/network",
    "coreos.com/network",
    "/coreos.com-network",
    "/",
    "",
    "../..",
    "/é",
    "x".repeat(300),
  ];
  const names = prefixes.map((prefix) => keptStatePath("/d/", prefix));
  expect(new Set(names).size).toBe(prefixes.length);
  for (const name of names)
    expect(name).toMatch(/^\/d\/state-([A-Za-z0-9][A-Za-z0-9.-]{0,63}-)?[0-9a-f]{8}\.json$/);
  expect(names[0]).toBe("/d/state-coreos.com-network-04985c41.json");
});

test.each([
  [
    { Type: "vxlan", VNI: 1, GBP: true, DirectRouting: true, PersistentKeepaliveInterval: 5 },
    false,
  ],
  [{ Type: "wireguard", PSK: "x" }, true],
  [{ Type: "other", Cloud: [{ AccessKeySecret: "x" }] }, true],
  ["text", false],
])("a config with the options %j holds a secret: %s", (backendOptions, holds) => {
  expect(holdsSecret({ backendOptions })).toBe(holds);
});
