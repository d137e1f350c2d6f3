import { expect, test } from "vitest";
import { cidr, formatIp } from "./ip.ts";
import { LeaseTable } from "./lease-table.ts";
import type { Lease } from "./lease.ts";

function lease(subnetNumber: number, host = subnetNumber): Lease {
  return {
    subnets: { 4: cidr(formatIp(4, BigInt(0x0a030000 + subnetNumber * 256)), 24) },
    publicIps: { 4: formatIp(4, BigInt(0xc0000200 + host)) },
    backendType: "host-gw",
    backendData: {},
  };
}

test("a table holds what was put and not removed, sorted by key, without the own key", () => {
  const table = new LeaseTable();
  table.put("10.3.2.0-24", lease(2), 5);
  table.put("10.3.1.0-24", lease(1), 6);
  table.put("10.3.3.0-24", lease(3), 7);
  table.remove("10.3.2.0-24", 8);
  expect(table.snapshot()).toEqual([lease(1), lease(3)]);
  expect(table.snapshot("10.3.1.0-24")).toEqual([lease(3)]);
  expect(table.revision).toBe(8);
});

test("changed attributes replace the old ones, also through a list", () => {
  const table = new LeaseTable();
  table.put("a", lease(1, 1), 5);
  table.put("a", lease(1, 2), 6);
  expect(table.snapshot()).toEqual([lease(1, 2)]);
  table.reset([{ key: "a", lease: lease(1, 3), modRevision: 9 }], 12);
  expect(table.snapshot()).toEqual([lease(1, 3)]);
  expect(table.revision).toBe(12);
});

test("a lease that says the same as before is the same object, whatever brought it, so that nobody takes it for another", () => {
  const table = new LeaseTable();
  table.put("a", lease(1), 5);
  table.put("b", lease(2), 6);
  const before = table.snapshot();
  table.put("a", lease(1), 7);
  table.reset(
    [
      { key: "a", lease: lease(1), modRevision: 7 },
      { key: "b", lease: lease(2, 9), modRevision: 8 },
    ],
    12,
  );
  const [first, second] = table.snapshot();
  expect(first).toBe(before[0]);
  expect(second).not.toBe(before[1]);
  table.put("b", lease(2, 9), 13);
  expect(table.snapshot()[1]).toBe(second);
});

test("a list never takes the own lease for a removed or a peer's one", () => {
  const table = new LeaseTable();
  for (const revision of [5, 9]) {
    table.reset([{ key: "own", lease: lease(1), modRevision: 2 }], revision);
    expect(table.snapshot("own")).toEqual([]);
    expect(table.snapshot()).toEqual([lease(1)]);
  }
});

test("what is older than what a key went through is ignored", () => {
  const table = new LeaseTable();
  table.put("a", lease(1, 2), 6);
  table.put("a", lease(1, 1), 5);
  expect(table.snapshot()).toEqual([lease(1, 2)]);
  table.remove("a", 4);
  expect(table.snapshot()).toEqual([lease(1, 2)]);
  table.remove("a", 7);
  table.put("a", lease(1, 2), 6);
  expect(table.snapshot()).toEqual([]);
  table.put("b", lease(2), 3);
  expect(table.snapshot()).toEqual([lease(2)]);
  expect(table.revision).toBe(7);
});

test("what was written before a list does not come back after it", () => {
  const table = new LeaseTable();
  table.reset([{ key: "a", lease: lease(1), modRevision: 4 }], 10);
  table.put("gone", lease(2), 8);
  table.remove("a", 9);
  expect(table.snapshot()).toEqual([lease(1)]);
  table.put("new", lease(3), 11);
  expect(table.snapshot()).toEqual([lease(1), lease(3)]);
});

test("without a revision of its own, a list is as new as its newest entry", () => {
  const table = new LeaseTable();
  table.reset([
    { key: "a", lease: lease(1), modRevision: 4 },
    { key: "b", lease: lease(2), modRevision: 3 },
  ]);
  expect(table.revision).toBe(4);
});

test("a store restored from a backup takes the table back in time", () => {
  const table = new LeaseTable();
  table.put("a", lease(1), 50);
  table.put("c", lease(3), 51);
  table.remove("c", 52);
  table.reset([{ key: "b", lease: lease(2), modRevision: 4 }], 10);
  table.put("c", lease(3), 11);
  expect(table.snapshot()).toEqual([lease(2), lease(3)]);
  expect(table.revision).toBe(11);
});

test("removals beyond the limit are forgotten without letting replayed writes back in", () => {
  const table = new LeaseTable();
  for (let number = 0; number < 12_000; number++) {
    table.put(`key ${number}`, lease(1), number * 2 + 1);
    table.remove(`key ${number}`, number * 2 + 2);
  }
  for (let number = 0; number < 12_000; number += 100)
    table.put(`key ${number}`, lease(1), number * 2 + 1);
  expect(table.snapshot()).toEqual([]);
});
