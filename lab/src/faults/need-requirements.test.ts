import { expect, test } from "vitest";
import { packagesOf } from "../requirements.ts";
import { needsOf } from "../scenario-check.ts";
import { loadScenarios } from "../system/scenario-files.ts";
import type { FaultNeed } from "./fault.ts";
import { requirementsOfNeeds } from "./need-requirements.ts";

const packagesFor = (...needs: readonly FaultNeed[]): readonly string[] =>
  packagesOf([...requirementsOfNeeds(new Set(needs))]);

test("faults without a need want no package, others those of what they need, each once", () => {
  expect(packagesFor()).toEqual([]);
  expect(packagesFor("packet-filter")).toEqual(["nftables"]);
  expect(packagesFor("packet-filter", "faketime", "impairment", "traffic-shaper")).toEqual([
    "nftables",
    "faketime",
    "iproute2",
  ]);
});

test("all scenarios together want nothing of a kernel that few have, and what they want can be installed", async () => {
  const needs = new Set((await loadScenarios()).flatMap((scenario) => [...needsOf(scenario)]));
  expect([...needs].toSorted()).toEqual([
    "faketime",
    "impairment",
    "packet-filter",
    "packet-reset",
    "time-namespace",
  ]);
  expect(packagesFor(...needs)).toEqual(["nftables", "faketime"]);
});
