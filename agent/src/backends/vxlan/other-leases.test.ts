import { expect, test } from "vitest";
import { parseCidr, parseIp } from "../../core/ip.ts";
import type { Lease } from "../../core/lease.ts";
import { parseNetworkConfig } from "../../core/network-config.ts";
import { MemoryKernel } from "../../kernel/memory-kernel.ts";
import { reconcile } from "../../kernel/reconcile.ts";
import { MemoryLog } from "../../system/memory-log.ts";
import { SeededRandom } from "../../system/seeded-random.ts";
import { vxlan } from "../registry.ts";
import type { Backend } from "../backend.ts";

function world(): MemoryKernel {
  const kernel = new MemoryKernel();
  kernel.addInterface({ name: "eth0", addresses: [parseCidr("192.0.2.1/24")] });
  return kernel;
}

function open(
  kernel: MemoryKernel,
  { seed, otherLeases }: { readonly seed: number; readonly otherLeases: readonly Lease[] },
): Promise<Backend> {
  const ips = { 4: parseIp("192.0.2.1") };
  return vxlan.open({
    networkConfig: parseNetworkConfig('{"Network":"10.42.0.0/16","Backend":{"Type":"vxlan"}}'),
    previousLease: undefined,
    otherLeases,
    externalInterface: { name: "eth0", mtu: 1500, addresses: ips, publicIps: ips },
    kernel,
    random: new SeededRandom(seed),
    log: new MemoryLog(),
  });
}

test("the MAC of a good device that another lease publishes is not ours", async () => {
  const kernel = world();
  const first = await open(kernel, { seed: 1, otherLeases: [] });
  await reconcile(kernel, first.plan({ own: undefined, peers: [], routes: new Map() }));
  const { backendData } = first.attributes;
  const twin: Lease = {
    backendData,
    backendType: "vxlan",
    publicIps: { 4: parseIp("192.0.2.2") },
    subnets: { 4: parseCidr("10.42.2.0/24") },
  };
  const harmless = [
    { ...twin, backendType: "host-gw" },
    { ...twin, backendData: { 4: "garbage" } },
    { ...twin, backendData: {} },
  ];
  const kept = await open(kernel, { seed: 2, otherLeases: harmless });
  expect(kept.attributes.backendData).toEqual(backendData);
  const other = await open(kernel, { seed: 2, otherLeases: [...harmless, twin] });
  expect(other.attributes.backendData).not.toEqual(backendData);
});
