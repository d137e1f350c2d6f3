import { expect, test } from "vitest";
import { ManualClock } from "../../system/manual-clock.ts";
import { MemoryLog } from "../../system/memory-log.ts";
import type { KeyValue } from "./key-value-store.ts";
import { keysBelow } from "./keys.ts";
import { LeaseReader } from "./lease-entries.ts";

const PREFIX = "/coreos.com/network";

function entry(name: string, value: string, modRevision: number): KeyValue {
  const key = `${PREFIX}/subnets/${name}`;
  return { key, value, createRevision: 1, modRevision, version: 1, leaseId: "1" };
}

const valueOf = (host: number): string =>
  `{"PublicIP":"192.0.2.${host}","PublicIPv6":null,"BackendType":"host-gw"}`;

function open(clock: Pick<ManualClock, "nowMs" | "yield"> = new ManualClock()): {
  readonly reader: LeaseReader;
  readonly log: MemoryLog;
} {
  const log = new MemoryLog();
  return { reader: new LeaseReader(keysBelow(PREFIX), { log, clock }), log };
}

test("what was listed before is not read again: the same value is the same lease", async () => {
  const { reader } = open();
  const first = await reader.all([
    entry("10.3.1.0-24", valueOf(1), 5),
    entry("10.3.2.0-24", valueOf(2), 6),
  ]);
  const again = await reader.all([
    entry("10.3.1.0-24", valueOf(1), 7),
    entry("10.3.2.0-24", valueOf(3), 8),
  ]);
  expect(again.leases[0]?.lease).toBe(first.leases[0]?.lease);
  expect(again.leases[0]?.entry.modRevision).toBe(7);
  expect(again.leases[1]?.lease.publicIps).toEqual({ 4: "192.0.2.3" });
  expect(reader.one(entry("10.3.2.0-24", valueOf(3), 9))).toBe(again.leases[1]?.lease);
  expect(reader.one(entry("10.3.2.0-24", valueOf(4), 10))?.publicIps).toEqual({ 4: "192.0.2.4" });
});

test("a subnet whose value cannot be read stays taken, and is named once for each time it was written", async () => {
  const { reader, log } = open();
  for (const modRevision of [5, 5, 6]) {
    const { leases, taken } = await reader.all([entry("10.3.1.0-24", "{", modRevision)]);
    expect(leases).toEqual([]);
    expect(taken).toEqual([
      { key: `${PREFIX}/subnets/10.3.1.0-24`, subnets: { 4: "10.3.1.0/24" } },
    ]);
  }
  expect(log.lines.filter(({ message }) => message.includes("10.3.1.0-24"))).toHaveLength(2);
});

test("others run while thousands are read", async () => {
  let [nowMs, yields] = [0, 0];
  const { reader } = open({
    nowMs: () => nowMs++,
    yield: () => {
      yields++;
      return Promise.resolve();
    },
  });
  const entries = Array.from({ length: 1000 }, (_, index) =>
    entry(`10.${index >> 8}.${index & 0xff}.0-24`, valueOf(1), index),
  );
  expect((await reader.all(entries)).leases).toHaveLength(1000);
  expect(yields).toBeGreaterThan(10);
});
