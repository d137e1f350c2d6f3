import { describe, expect, test } from "vitest";
import { capability, decide, NEEDS, type Need, requiredNeeds, requires } from "./requires.ts";

const nothing = (need: Need): { available: boolean; reason: string; remedy: string } => ({
  available: false,
  reason: `no ${need}`,
  remedy: `install ${need}`,
});
const onlyVxlanMissing = (need: Need): ReturnType<typeof capability> =>
  need === "vxlan" ? nothing(need) : { available: true };

describe("what REQUIRE names", () => {
  test.each<[string | undefined, readonly Need[]]>([
    [undefined, []],
    ["", []],
    ["netns", ["netns"]],
    [" netns , etcd,", ["netns", "etcd"]],
    ["all", NEEDS],
  ])("%j names %j", (variable, expected) => {
    expect([...requiredNeeds(variable)]).toEqual(expected);
  });

  test("a misspelt need is refused", () => {
    expect(() => requiredNeeds("netns,netsn")).toThrow('REQUIRE names "netsn", known are netns');
  });
});

describe("what becomes of tests with needs", () => {
  test("they run when every need is met", () => {
    expect(decide(["netns", "etcd"], requiredNeeds("all"), onlyVxlanMissing)).toEqual({
      run: "tests",
    });
  });

  test("they are skipped with the reason when one is missing", () => {
    expect(decide(["netns", "vxlan"], requiredNeeds("netns"), onlyVxlanMissing)).toEqual({
      run: "skip",
      message: "needs vxlan: no vxlan",
    });
  });

  test("they fail with the remedy when REQUIRE names the missing one", () => {
    expect(decide(["netns", "vxlan"], requiredNeeds("vxlan"), onlyVxlanMissing)).toEqual({
      run: "failure",
      message: "needs vxlan: no vxlan; remedy: install vxlan",
    });
  });

  test("a required need decides even when another one is missing before it", () => {
    expect(decide(["docker", "etcd"], requiredNeeds("etcd"), nothing)).toMatchObject({
      run: "failure",
      message: "needs etcd: no etcd; remedy: install etcd",
    });
  });
});

describe("probes", () => {
  test.each(NEEDS)("%s is available, or says why not and what to do", (need) => {
    const result = capability(need);
    const explained = /\S/.test(result.reason ?? "") && /\S/.test(result.remedy ?? "");
    expect(explained).toBe(!result.available);
    expect(capability(need)).toBe(result);
  });
});

const ran: string[] = [];
requires()("a suite without needs", () => {
  test("runs", () => {
    ran.push("without needs");
    expect(ran).toEqual(["without needs"]);
  });
});
