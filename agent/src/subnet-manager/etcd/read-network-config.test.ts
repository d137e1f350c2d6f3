import { afterEach, beforeEach, expect, test } from "vitest";
import { type BenchNode, MemoryBench } from "./memory-bench.ts";

const KEY = "/coreos.com/network/config";
const GOOD = '{"Network":"10.3.0.0/16","Backend":{"Type":"vxlan"}}';

let bench: MemoryBench;
let node: BenchNode;

beforeEach(() => {
  bench = new MemoryBench();
  node = bench.open();
});

afterEach(() => bench.close());

test("a good configuration is there at once", async () => {
  bench.database.put(KEY, GOOD);
  const config = await bench.run(node.subnetManager.networkConfig(bench.signal));
  expect(config).toMatchObject({ backendType: "vxlan", ranges: { 4: { subnetLength: 24 } } });
  expect(node.lines).toEqual([]);
});

test("a missing configuration is said once, with the command that makes one, and waited for", async () => {
  const config = node.subnetManager.networkConfig(bench.signal);
  await bench.clock.advance(60_000);
  bench.database.put(KEY, GOOD);
  await bench.run(config);
  expect(node.lines.map((line) => [line.level, line.message])).toEqual([
    [
      "error",
      `flannel config not found in etcd store. Did you create your config using etcdv3 API?; put one there with: ETCDCTL_API=3 etcdctl --endpoints=http://192.0.2.1:2379 put ${KEY} '{"Network":"10.244.0.0/16","Backend":{"Type":"vxlan"}}'`,
    ],
  ]);
});

test.each([
  ["{", /config: .*invalid JSON.*; put one there with: /],
  ['{"Network":"10.3.0.0/29"}', /Minimum useful network prefix is \/28/],
  ['{"EnableIPv4":false}', /IPv4 is off.*set EnableIPv4 to true/],
])("the configuration %s ends the wait with what is wrong", async (text, words) => {
  bench.database.put(KEY, text);
  const config = bench.run(node.subnetManager.networkConfig(bench.signal));
  await expect(config).rejects.toThrow(words);
  await expect(config).rejects.toMatchObject({ code: "config-invalid" });
  expect(node.lines).toEqual([]);
});

test("waiting asks about once a second, and ends with the signal's reason", async () => {
  const config = node.subnetManager.networkConfig(bench.signal);
  const [result] = await Promise.allSettled([
    config,
    bench.clock.advance(60_000).then(() => bench.stop.abort(new Error("asked to stop"))),
  ]);
  expect(result).toMatchObject({ reason: { message: "asked to stop" } });
  expect(node.store.requests.length).toBeGreaterThan(55);
  expect(node.store.requests.length).toBeLessThan(125);
});
