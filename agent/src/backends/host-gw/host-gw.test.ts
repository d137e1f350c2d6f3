import { describe, expect, test } from "vitest";
import { parseCidr, parseIp } from "../../core/ip.ts";
import type { Family, Ip, PerFamily } from "../../core/ip.ts";
import type { Lease } from "../../core/lease.ts";
import type { NetworkConfig } from "../../core/network-config.ts";
import { MemoryKernel } from "../../kernel/memory-kernel.ts";
import { reconcile } from "../../kernel/reconcile.ts";
import type { Log } from "../../system/log.ts";
import type { Backend, PlanInput } from "../backend.ts";
import { hostGw } from "./index.ts";

const RANGES: NetworkConfig["ranges"] = {
  4: {
    network: parseCidr("10.42.0.0/16"),
    subnetMin: parseIp("10.42.1.0"),
    subnetMax: parseIp("10.42.255.0"),
    subnetLength: 24,
  },
  6: {
    network: parseCidr("2001:db8:42::/48"),
    subnetMin: parseIp("2001:db8:42:1::"),
    subnetMax: parseIp("2001:db8:42:ffff::"),
    subnetLength: 64,
  },
};
const ADDRESSES: PerFamily<Ip> = { 4: parseIp("192.0.2.1"), 6: parseIp("2001:db8:1::1") };

function world(): MemoryKernel {
  const kernel = new MemoryKernel();
  kernel.addInterface({
    name: "eth0",
    addresses: [parseCidr("192.0.2.1/24"), parseCidr("2001:db8:1::1/64")],
  });
  return kernel;
}

async function open(
  kernel: MemoryKernel,
  {
    families = [4, 6],
    publicIps = ADDRESSES,
    options = {},
    warnings = [],
  }: {
    readonly families?: readonly Family[];
    readonly publicIps?: PerFamily<Ip>;
    readonly options?: object;
    readonly warnings?: string[];
  } = {},
): Promise<Backend> {
  const log: Log = {
    error: () => undefined,
    warn: (data, message) => warnings.push(`${message} ${JSON.stringify(data)}`),
    info: () => undefined,
    debug: () => undefined,
    child: () => log,
  };
  return hostGw.open({
    networkConfig: {
      ranges: Object.fromEntries(families.map((family) => [family, RANGES[family]])),
      enableNftables: false,
      backendType: "host-gw",
      backendOptions: { Type: "host-gw", ...options },
    },
    previousLease: undefined,
    externalInterface: { name: "eth0", mtu: 1500, addresses: ADDRESSES, publicIps },
    kernel,
    random: { integer: () => 0, bytes: (count) => new Uint8Array(count) },
    log,
  });
}

function lease(node: number, publicIps?: PerFamily<Ip>): Lease {
  return {
    subnets: { 4: parseCidr(`10.42.${node}.0/24`), 6: parseCidr(`2001:db8:42:${node}::/64`) },
    publicIps: publicIps ?? {
      4: parseIp(`192.0.2.${node}`),
      6: parseIp(`2001:db8:1::${node}`),
    },
    backendType: "host-gw",
    backendData: {},
  };
}

function input(...peers: readonly Lease[]): PlanInput {
  return { own: lease(1), peers, routes: new Map() };
}

describe("host-gw", () => {
  test("one peer", async () => {
    const kernel = world();
    const backend = await open(kernel);
    await reconcile(kernel, backend.plan(input(lease(2))));
    expect(kernel.print()).toMatchInlineSnapshot(`
      "address 192.0.2.1/24 dev eth0
      address 2001:db8:1::1/64 dev eth0
      link eth0 address 02:00:00:00:00:01 mtu 1500
      route 10.42.2.0/24 via 192.0.2.2 dev eth0 proto 116
      route 192.0.2.0/24 dev eth0 proto kernel
      route 2001:db8:42:2::/64 via 2001:db8:1::2 dev eth0 proto 116"
    `);
  });

  test("a peer that is not on the segment is refused alone, and named", async () => {
    const kernel = world();
    const backend = await open(kernel, { families: [4] });
    const far = lease(3, { 4: parseIp("198.51.100.3") });
    const report = await reconcile(kernel, backend.plan(input(lease(2), far)));
    expect(report.failures.map(({ error }) => error.message)).toEqual([
      "cannot put route 10.42.3.0/24 via 198.51.100.3 dev eth0 proto 116: ENETUNREACH (Nexthop has invalid gateway)",
    ]);
    expect(kernel.print()).toContain("route 10.42.2.0/24 via 192.0.2.2 dev eth0 proto 116");
  });

  test.each([4, 6] as const)("behind NAT in IPv%i it does not open", async (family) => {
    const other = { 4: parseIp("203.0.113.1"), 6: parseIp("2001:db8:2::1") };
    const publicIps = { ...ADDRESSES, [family]: other[family] };
    await expect(open(world(), { publicIps })).rejects.toMatchObject({
      code: "config-invalid",
      message: `your PublicIP differs from interface IP, meaning that probably you're on a NAT, which is not supported by host-gw backend: ${other[family]} is not ${ADDRESSES[family]} of eth0`,
    });
  });

  test("on an interface that gets behind NAT it does not go on", async () => {
    const backend = await open(world(), { families: [4] });
    const addresses = { 4: parseIp("198.51.100.1") };
    const moved = { name: "eth1", mtu: 1400, addresses, publicIps: addresses };
    expect(backend.onto(moved)).toMatchObject({ mtu: 1400, attributes: { publicIps: addresses } });
    expect(backend.onto(moved).plan(input(lease(2))).objects).toMatchObject([{ link: "eth1" }]);
    expect(() => backend.onto({ ...moved, publicIps: ADDRESSES })).toThrow(
      "192.0.2.1 is not 198.51.100.1 of eth1",
    );
  });

  test("a family that is not enabled may be behind NAT", async () => {
    const publicIps = { ...ADDRESSES, 6: parseIp("2001:db8:2::1") };
    await expect(open(world(), { families: [4], publicIps })).resolves.toMatchObject({ mtu: 1500 });
  });

  test("it publishes its type and no data, looks nothing up, and warns of options", async () => {
    const warnings: string[] = [];
    const backend = await open(world(), { options: { DirectRouting: true }, warnings });
    expect(backend.attributes).toEqual({
      publicIps: ADDRESSES,
      backendType: "host-gw",
      backendData: {},
    });
    expect(backend.lookups([lease(2)])).toEqual([]);
    expect(warnings).toEqual([
      'ignoring options: the host-gw backend has none {"unknown":["DirectRouting"]}',
    ]);
  });

  test("what the reference left for a peer is taken over", async () => {
    const kernel = world();
    const backend = await open(kernel, { families: [4] });
    kernel.addRoute({
      destination: parseCidr("10.42.2.0/24"),
      gateway: parseIp("192.0.2.2"),
      link: "eth0",
      onlink: false,
      protocol: 3,
    });
    await reconcile(kernel, backend.plan(input(lease(2))));
    await reconcile(kernel, backend.plan(input()));
    expect(kernel.print()).toBe(world().print());
  });
});
