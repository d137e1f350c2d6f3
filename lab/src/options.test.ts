import { describe, expect, it } from "vitest";
import { LabError } from "./errors.ts";
import { parseBackendOption, readNetworkFacts } from "./network-config.ts";
import { labOptions, type LabWishes } from "./options.ts";

const DEFAULTS = { flanneld: ["node", "flanneld.ts"], workingDirectory: "/home/user" };
const options = (wishes: LabWishes): ReturnType<typeof labOptions> => labOptions(wishes, DEFAULTS);

describe("lab options", () => {
  it("have a default for everything", () => {
    expect(options({})).toEqual({
      name: "default",
      driver: "netns",
      nodes: 3,
      segments: 1,
      storeMembers: 1,
      storeAuth: false,
      families: ["ipv4"],
      networkConfigText: '{"Network":"10.244.0.0/16","Backend":{"Type":"vxlan"}}',
      agents: { others: { text: "node flanneld.ts", argv: ["node", "flanneld.ts"] }, named: [] },
      workingDirectory: "/home/user",
      expect: "all",
      timeoutMs: 60_000,
    });
  });

  it("have the driver that is wished", () => {
    expect(options({ driver: "container" }).driver).toBe("container");
  });

  it("turn wishes into net-conf.json", () => {
    const { networkConfigText, families } = options({
      backend: "vxlan",
      backendOptions: { DirectRouting: true, VNI: 7 },
      dualStack: true,
      network: "10.0.0.0/8",
      subnetLength: 20,
    });
    expect(networkConfigText).toBe(
      '{"Network":"10.0.0.0/8","SubnetLen":20,"EnableIPv6":true,"IPv6Network":"fd00:10:244::/48",' +
        '"Backend":{"Type":"vxlan","DirectRouting":true,"VNI":7}}',
    );
    expect(families).toEqual(["ipv4", "ipv6"]);
  });

  it("pass a text for the store on as it is, even a broken one", () => {
    const text = '{"Network": nonsense';
    expect(options({ networkConfigText: text }).networkConfigText).toBe(text);
  });

  it("read the families from the text for the store", () => {
    const text = '{"enableipv6": true, "IPv6Network": "fd00::/48"}';
    expect(options({ networkConfigText: text }).families).toEqual(["ipv4", "ipv6"]);
  });

  it("let host-gw on two segments be wished for only with what can work", () => {
    expect(() => options({ backend: "host-gw", segments: 2 })).toThrow("cannot cross segments");
    expect(() =>
      options({ networkConfigText: '{"Backend":{"type":"HOST-GW"}}', segments: 2 }),
    ).toThrow("cannot cross segments");
    expect(options({ backend: "host-gw", segments: 2, expect: "same-segment" }).segments).toBe(2);
    expect(options({ backend: "vxlan", segments: 2 }).segments).toBe(2);
  });

  it.each<[string, LabWishes]>([
    ["no node", { nodes: 0 }],
    ["too many nodes", { nodes: 241 }],
    ["half a node", { nodes: 1.5 }],
    ["no segment", { segments: 0 }],
    ["too many segments", { segments: 17 }],
    ["no time", { timeoutSeconds: 0 }],
    ["a name with a slash", { name: "a/b" }],
    ["a name that is a flag", { name: "-a" }],
    ["no name", { name: "" }],
    ["a long name", { name: "a".repeat(33) }],
    ["the name of the folder of event logs", { name: "runs" }],
    ["no program", { flanneld: ["  "] }],
    ["an open quote", { flanneld: ["node 'x"] }],
  ])("are refused with %s", (_why, wishes) => {
    expect(() => options(wishes)).toThrow(LabError);
    expect(() => options(wishes)).toThrow(expect.objectContaining({ code: "usage" }));
  });
});

describe("network config", () => {
  it.each([
    ["null", undefined, false],
    ["[]", undefined, false],
    ["{", undefined, false],
    ['{"Backend":null}', undefined, false],
    ['{"Backend":{"Type":7}}', undefined, false],
    ['{"BACKEND":{"TYPE":"Host-GW"},"EnableIPv6":1}', "host-gw", false],
    ['{"backend":{"type":"vxlan"},"ENABLEIPV6":true}', "vxlan", true],
    ['{"Backend":{"Type":"a"},"backend":{"Type":"b"}}', "b", false],
  ])("%s names backend %s, dual stack %s", (text, backend, dualStack) => {
    const networks = { ipv4: undefined, ipv6: undefined };
    expect(readNetworkFacts(text)).toEqual({ backend, dualStack, directRouting: false, networks });
  });

  it("says what subnets are leased from", () => {
    const text = '{"network":"10.7.0.0/16","IPv6Network":"fd00:7::/48"}';
    expect(readNetworkFacts(text).networks).toEqual({ ipv4: "10.7.0.0/16", ipv6: "fd00:7::/48" });
  });

  it("says whether vxlan peers are routed to directly", () => {
    const text = '{"Backend":{"type":"vxlan","directRouting":true}}';
    expect(readNetworkFacts(text).directRouting).toBe(true);
  });

  it.each([
    ["VNI=7", ["VNI", 7]],
    ["DirectRouting=true", ["DirectRouting", true]],
    ["PSK=a=b", ["PSK", "a=b"]],
    ["Name=", ["Name", ""]],
    ['List=["a"]', ["List", ["a"]]],
  ])("reads backend option %s", (text, pair) => {
    expect(parseBackendOption(text)).toEqual(pair);
  });

  it.each(["", "VNI", "=7"])("refuses backend option %j", (text) => {
    expect(() => parseBackendOption(text)).toThrow("key=value");
  });
});
