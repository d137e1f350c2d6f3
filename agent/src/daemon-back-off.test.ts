import { expect, test } from "vitest";
import { parseCidr } from "./core/ip.ts";
import { BackOff } from "./daemon-back-off.ts";
import type { Change, Route } from "./kernel/kernel.ts";
import { ByIdentity } from "./kernel/reconcile.ts";

const ROUTE: Route = {
  kind: "route",
  destination: parseCidr("10.42.2.0/24"),
  link: "eth0",
  onlink: false,
  protocol: 116,
};
const CHANGE: Change = { action: "put", object: ROUTE };
const REFUSAL = { change: CHANGE, error: new Error("no") };

test("a refused change is tried after 1, 2, 4, 8 and then every 10 seconds", () => {
  const backOff = new BackOff();
  const delays: number[] = [];
  for (let nowMs = 0; delays.length < 6; nowMs = backOff.dueMs) {
    expect(backOff.mayTry(CHANGE, nowMs, "due")).toBe(true);
    backOff.refused(REFUSAL, nowMs, true);
    expect(backOff.mayTry(CHANGE, backOff.dueMs - 1, "due")).toBe(false);
    delays.push(backOff.dueMs - nowMs);
  }
  expect(delays).toEqual([1_000, 2_000, 4_000, 8_000, 10_000, 10_000]);
});

test("a changed wish is tried at once, and starts over", () => {
  const backOff = new BackOff();
  backOff.refused(REFUSAL, 0, true);
  backOff.refused(REFUSAL, 1_000, true);
  const other: Change = { action: "put", object: { ...ROUTE, protocol: 3 } };
  expect(backOff.mayTry(other, 1_001, "due")).toBe(true);
  expect(backOff.mayTry({ ...CHANGE, action: "remove" }, 1_001, "due")).toBe(true);
  backOff.refused({ ...REFUSAL, change: other }, 1_001, true);
  expect(backOff.dueMs).toBe(2_001);
});

test("a kernel event brings the next try forward, but to no more than one a second", () => {
  const backOff = new BackOff();
  for (const nowMs of [0, 1_000, 3_000, 7_000]) backOff.refused(REFUSAL, nowMs, true);
  expect(backOff.mayTry(CHANGE, 7_999, "soon")).toBe(false);
  expect(backOff.mayTry(CHANGE, 8_000, "soon")).toBe(true);
  expect(backOff.mayTry(CHANGE, 8_000, "due")).toBe(false);
  expect(backOff.mayTry(CHANGE, 7_000, "all")).toBe(true);
});

test("what was refused without a look at the kernel waits for that look, not for time", () => {
  const backOff = new BackOff();
  backOff.refused(REFUSAL, 0, false);
  expect(backOff.dueMs).toBe(Number.POSITIVE_INFINITY);
  expect(backOff.mayTry(CHANGE, 1, "due")).toBe(true);
  backOff.refused(REFUSAL, 100, true);
  expect(backOff.dueMs).toBe(1_100);
});

test("what was done is forgotten", () => {
  const backOff = new BackOff();
  backOff.refused(REFUSAL, 0, true);
  backOff.forgetAllBut(new ByIdentity());
  expect(backOff.dueMs).toBe(Number.POSITIVE_INFINITY);
  backOff.refused(REFUSAL, 0, true);
  backOff.forget(ROUTE);
  expect(backOff.has(ROUTE)).toBe(false);
});
