import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { TRAFFIC_FILE, parseLinkTraffic } from "./link-traffic.ts";

const TABLE = `Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:    1200      12    0    0    0     0          0         0     1200      12    0    0    0     0       0          0
flannel.1: 84000 1000    0    0    0     0          0         0 5000000000    1001    0    0    0     0       0          0
eth0:1: 7 1 0 0 0 0 0 0 8 1 0 0 0 0 0 0
`;

test("the bytes of the asked devices, and of no others", () => {
  expect(parseLinkTraffic(TABLE, ["flannel.1", "flannel-v6.1"])).toEqual([
    { link: "flannel.1", receivedBytes: 84_000, sentBytes: 5_000_000_000 },
  ]);
  expect(parseLinkTraffic(TABLE, ["eth0:1"])).toEqual([
    { link: "eth0:1", receivedBytes: 7, sentBytes: 8 },
  ]);
  expect(parseLinkTraffic("", ["flannel.1"])).toEqual([]);
});

test("this kernel's own table is read", () => {
  expect(parseLinkTraffic(readFileSync(TRAFFIC_FILE, "utf8"), ["lo"])).toEqual([
    { link: "lo", receivedBytes: expect.any(Number), sentBytes: expect.any(Number) },
  ]);
});
