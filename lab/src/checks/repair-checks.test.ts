import { describe, expect, test } from "vitest";
import { foreignObjectsStay } from "./foreign-objects-stay.ts";
import { gapAtMost } from "./gap-at-most.ts";
import { type LargestPacket, largestPacketIsMtu } from "./largest-packet-is-mtu.ts";
import { noPacketLost } from "./no-packet-lost.ts";
import { repaired } from "./repaired.ts";
import { pass } from "./verdict.ts";

describe("repaired", () => {
  const report = {
    fault: "delete-route n1 peer=n2",
    elapsedMs: 40,
    changesMs: [0, 3.5],
    complete: true,
  };
  const look = pass("8 entries");
  const base = { look, report, lastWrongMs: 0, withinMs: 1000 };

  test("takes the time of the last change that a kernel told of", () => {
    expect(repaired(base)).toMatchObject({
      verdict: "pass",
      measured: { repairMs: 3.5, boundMs: 40, by: "events" },
    });
  });

  test("takes the end of the first right dump where events were missed, or tell of nothing that late", () => {
    const missed = { ...report, complete: false };
    expect(repaired({ ...base, report: missed }).measured).toMatchObject({
      repairMs: 40,
      by: "dumps",
    });
    expect(repaired({ ...base, lastWrongMs: 20 }).measured).toMatchObject({
      repairMs: 40,
      by: "dumps",
    });
    const silent = { ...report, changesMs: [] };
    expect(repaired({ ...base, report: silent }).measured).toMatchObject({ by: "dumps" });
  });

  test("fails when it came too late, although all is right in the end", () => {
    const late = { ...report, elapsedMs: 1250, changesMs: [0, 1001] };
    expect(repaired({ ...base, report: late }).verdict).toBe("fail");
  });

  test("says what is wrong, and since when, while it is", () => {
    const wrong = { verdict: "fail", details: ["n1: missing route"] } as const;
    expect(repaired({ ...base, look: wrong })).toEqual({
      verdict: "fail",
      details: ["40 ms after delete-route n1 peer=n2:", "n1: missing route"],
    });
  });
});

describe("foreign objects stay", () => {
  const report = { id: "f1", text: "foreign-route n1", fault: "foreign-route", saw: "a dump" };

  test("passes while each is seen, fails naming the one that is not", () => {
    expect(foreignObjectsStay([report]).verdict).toBe("pass");
    const { saw: _, ...gone } = { ...report, text: "foreign-device n1", fault: "foreign-device" };
    expect(foreignObjectsStay([report, gone])).toEqual({
      verdict: "fail",
      details: ["what foreign-device n1 made was changed or removed"],
    });
  });

  test("is unknown without any", () => {
    expect(foreignObjectsStay([{ ...report, fault: "kill-agent" }]).verdict).toBe("unknown");
  });
});

describe("gap at most", () => {
  const probe = { name: "n1 → n2", sent: 500, received: 400, longestGapMs: 900 };

  test("looks at the longest gap of any probe", () => {
    expect(gapAtMost([probe], 1000)).toMatchObject({ verdict: "pass", measured: { gapMs: 900 } });
    expect(gapAtMost([probe, { ...probe, longestGapMs: 1001 }], 1000).verdict).toBe("fail");
  });

  test("is unknown with too few answers", () => {
    expect(gapAtMost([], 1000).verdict).toBe("unknown");
    expect(gapAtMost([{ ...probe, received: 99 }], 1000).verdict).toBe("unknown");
  });
});

test("no packet lost is unknown when fewer were sent than asked for", () => {
  const probe = { name: "p", sent: 4000, received: 4000, longestGapMs: 1 };
  expect(noPacketLost([probe, probe], 10_000).verdict).toBe("unknown");
  expect(noPacketLost([probe, probe, probe], 10_000)).toMatchObject({
    verdict: "pass",
    measured: { packets: 12_000, lost: 0 },
  });
});

describe("largest packet is MTU", () => {
  const packet: LargestPacket = {
    from: "n1",
    to: "n2",
    family: "ipv4",
    mtu: 1450,
    underlayMtu: 1500,
    deviceMtu: 1450,
    fits: true,
    longer: "refused",
  };
  const dual = { ...packet, mtu: 1430 };
  const six: LargestPacket = { ...dual, family: "ipv6", deviceMtu: 1430 };

  test("passes with what the underlay leaves: 50 bytes less, 70 with IPv6, none without a tunnel", () => {
    expect(largestPacketIsMtu("vxlan", [packet]).verdict).toBe("pass");
    expect(largestPacketIsMtu("vxlan", [dual, six]).verdict).toBe("pass");
    const plain = { ...packet, mtu: 1500, deviceMtu: undefined };
    expect(largestPacketIsMtu("host-gw", [plain]).verdict).toBe("pass");
  });

  test.each<[string, LargestPacket]>([
    ["too large a packet arrives", { ...packet, longer: "arrives" }],
    ["too large a packet is lost without a word", { ...packet, longer: "vanishes" }],
    ["the largest does not arrive", { ...packet, fits: false }],
    ["bytes are given away", { ...packet, mtu: 1400 }],
    ["the device takes less than it says", { ...packet, deviceMtu: 1449 }],
    ["the device takes more than the underlay carries", { ...packet, deviceMtu: 1451 }],
  ])("fails when %s", (_what, wrong) => {
    expect(largestPacketIsMtu("vxlan", [wrong]).verdict).toBe("fail");
  });

  test("is unknown without pods", () => {
    expect(largestPacketIsMtu("vxlan", []).verdict).toBe("unknown");
  });
});
