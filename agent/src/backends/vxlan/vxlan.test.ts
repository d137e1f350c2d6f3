import { describe, expect, test } from "vitest";
import { parseCidr, parseIp } from "../../core/ip.ts";
import type { Cidr, Family, Ip, PerFamily } from "../../core/ip.ts";
import type { Lease } from "../../core/lease.ts";
import type { NetworkConfig } from "../../core/network-config.ts";
import { MemoryKernel } from "../../kernel/memory-kernel.ts";
import { reconcile } from "../../kernel/reconcile.ts";
import type { Log } from "../../system/log.ts";
import type { Random } from "../../system/random.ts";
import type { Backend, Plan } from "../backend.ts";
import { vxlan } from "./index.ts";

/** Always the same MAC: 0e:00:00:00:00:01, then …:02. */
function countingRandom(): Random {
  let count = 0;
  return {
    integer: () => 0,
    bytes: () => Uint8Array.of(0x0e, 0, 0, 0, 0, ++count),
  };
}

class MemoryLog implements Log {
  readonly lines: string[] = [];
  error(_: unknown, message: string): void {
    this.lines.push(`error ${message}`);
  }
  warn(details: unknown, message: string): void {
    this.lines.push(`warn ${message} ${JSON.stringify(details)}`);
  }
  info(): void {}
  debug(): void {}
  child(): Log {
    return this;
  }
}

const ADDRESSES: Record<Family, Ip> = { 4: parseIp("192.0.2.1"), 6: parseIp("2001:db8:1::1") };
const CARD: Record<Family, Cidr> = {
  4: parseCidr("192.0.2.1/24"),
  6: parseCidr("2001:db8:1::1/64"),
};
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

interface Setup {
  readonly families?: readonly Family[];
  readonly options?: object;
  readonly mtu?: number;
  readonly publicIps?: PerFamily<Ip>;
  readonly previousLease?: Lease;
  readonly kernel?: MemoryKernel;
}

function only<T>(families: readonly Family[], values: PerFamily<T>): PerFamily<T> {
  return Object.fromEntries(families.map((family) => [family, values[family]]));
}

/** A node at 192.0.2.1 and 2001:db8:1::1, on a segment with a router at .254, which leads to 198.51.100.0/24. */
class Node {
  readonly kernel: MemoryKernel;
  readonly log = new MemoryLog();
  readonly families: readonly Family[];
  readonly #setup: Setup;
  #backend: Backend | undefined;

  constructor(setup: Setup = {}) {
    this.#setup = setup;
    this.families = setup.families ?? [4];
    this.kernel = setup.kernel ?? new MemoryKernel();
    if (setup.kernel !== undefined) return;
    const addresses = this.families.map((family) => CARD[family]);
    this.kernel.addInterface({ name: "eth0", mtu: setup.mtu ?? 1500, addresses });
    if (this.families.includes(4))
      this.kernel.addRoute({
        destination: parseCidr("0.0.0.0/0"),
        gateway: parseIp("192.0.2.254"),
        link: "eth0",
        onlink: false,
        protocol: 3,
      });
  }

  async open(): Promise<Backend> {
    const addresses = only(this.families, ADDRESSES);
    this.#backend = await vxlan.open({
      networkConfig: {
        ranges: only(this.families, RANGES),
        enableNftables: false,
        backendType: "vxlan",
        backendOptions: { Type: "vxlan", ...this.#setup.options },
      },
      previousLease: this.#setup.previousLease,
      externalInterface: {
        name: "eth0",
        mtu: this.#setup.mtu ?? 1500,
        addresses,
        publicIps: this.#setup.publicIps ?? addresses,
      },
      kernel: this.kernel,
      random: countingRandom(),
      log: this.log,
    });
    return this.#backend;
  }

  async plan(peers: readonly Lease[]): Promise<Plan> {
    const backend = this.#backend ?? (await this.open());
    const answers = await this.kernel.routesTo(backend.lookups(peers));
    const found = answers.filter((answer) => answer !== undefined);
    const subnets = only(this.families, {
      4: parseCidr("10.42.1.0/24"),
      6: parseCidr("2001:db8:42:1::/64"),
    });
    return backend.plan({
      own: { ...backend.attributes, subnets },
      peers,
      routes: new Map(found.map((answer) => [answer.destination, answer])),
    });
  }

  /** One pass; what the kernel then holds beyond what it held before the agent came. @throws the first refusal */
  async pass(peers: readonly Lease[]): Promise<string> {
    const { failures } = await reconcile(this.kernel, await this.plan(peers));
    for (const { error } of failures) throw error;
    return this.print();
  }

  print(): string {
    const isAgents = (line: string): boolean => /flannel|proto 116/.test(line);
    return this.kernel.print().split("\n").filter(isAgents).join("\n");
  }
}

function data(mac: string): unknown {
  return { VNI: 1, VtepMAC: mac };
}

function peer(node: number, changes: Partial<Lease> = {}): Lease {
  return {
    subnets: { 4: parseCidr(`10.42.${node}.0/24`), 6: parseCidr(`2001:db8:42:${node}::/64`) },
    publicIps: { 4: parseIp(`192.0.2.${node}`), 6: parseIp(`2001:db8:1::${node}`) },
    backendType: "vxlan",
    backendData: { 4: data(`0e:00:00:00:04:0${node}`), 6: data(`0e:00:00:00:06:0${node}`) },
    ...changes,
  };
}

describe("what the kernel holds", () => {
  test("for one peer", async () => {
    const node = new Node();
    expect(await node.pass([peer(2)])).toMatchInlineSnapshot(`
      "address 10.42.1.0/32 dev flannel.1
      fdb 0e:00:00:00:04:02 dev flannel.1 dst 192.0.2.2 self permanent
      link flannel.1 type vxlan id 1 local 192.0.2.1 dev eth0 dstport 8472 nolearning address 0e:00:00:00:00:01 mtu 1450
      neigh 10.42.2.0 dev flannel.1 lladdr 0e:00:00:00:04:02 PERMANENT
      route 10.42.2.0/24 via 10.42.2.0 dev flannel.1 onlink
      sysctl net/ipv6/conf/flannel.1/accept_ra = 0"
    `);
  });

  test("for one peer in dual stack", async () => {
    const node = new Node({ families: [4, 6] });
    expect(await node.pass([peer(2)])).toMatchInlineSnapshot(`
      "address 10.42.1.0/32 dev flannel.1
      address 2001:db8:42:1::/128 dev flannel-v6.1
      fdb 0e:00:00:00:04:02 dev flannel.1 dst 192.0.2.2 self permanent
      fdb 0e:00:00:00:06:02 dev flannel-v6.1 dst 2001:db8:1::2 self permanent
      link flannel-v6.1 type vxlan id 1 local 2001:db8:1::1 dev eth0 dstport 8472 nolearning address 0e:00:00:00:00:02 mtu 1430
      link flannel.1 type vxlan id 1 local 192.0.2.1 dev eth0 dstport 8472 nolearning address 0e:00:00:00:00:01 mtu 1450
      neigh 10.42.2.0 dev flannel.1 lladdr 0e:00:00:00:04:02 PERMANENT
      neigh 2001:db8:42:2:: dev flannel-v6.1 lladdr 0e:00:00:00:06:02 PERMANENT
      route 10.42.2.0/24 via 10.42.2.0 dev flannel.1 onlink
      route 2001:db8:42:2::/64 via 2001:db8:42:2:: dev flannel-v6.1 onlink
      sysctl net/ipv6/conf/flannel-v6.1/accept_ra = 0
      sysctl net/ipv6/conf/flannel.1/accept_ra = 0"
    `);
  });

  test("with DirectRouting, for a peer on the segment and one behind the router", async () => {
    const node = new Node({ options: { DirectRouting: true } });
    const far = peer(3, { publicIps: { 4: parseIp("198.51.100.3") } });
    expect(await node.pass([peer(2), far])).toMatchInlineSnapshot(`
      "address 10.42.1.0/32 dev flannel.1
      fdb 0e:00:00:00:04:03 dev flannel.1 dst 198.51.100.3 self permanent
      link flannel.1 type vxlan id 1 local 192.0.2.1 dev eth0 dstport 8472 nolearning address 0e:00:00:00:00:01 mtu 1450
      neigh 10.42.3.0 dev flannel.1 lladdr 0e:00:00:00:04:03 PERMANENT
      route 10.42.2.0/24 via 192.0.2.2 dev eth0 proto 116
      route 10.42.3.0/24 via 10.42.3.0 dev flannel.1 onlink
      sysctl net/ipv6/conf/flannel.1/accept_ra = 0"
    `);
  });

  test("before the lease is known: the device alone, and what was there stays", async () => {
    const node = new Node();
    await node.pass([peer(2)]);
    const before = node.print();
    const backend = await node.open();
    const plan = backend.plan({ own: undefined, peers: [], routes: new Map() });
    expect(plan.objects.map(({ kind }) => kind)).toEqual(["link", "sysctl"]);
    await reconcile(node.kernel, plan);
    expect(node.print()).toBe(before);
  });

  test("a device of a family that is no longer enabled goes", async () => {
    const both = new Node({ families: [4, 6] });
    await both.pass([peer(2)]);
    const node = new Node({ families: [4], kernel: both.kernel });
    expect(await node.pass([peer(2)])).toBe(await new Node().pass([peer(2)]));
  });

  test("a peer that moves between direct and encapsulated leaves nothing of the other way", async () => {
    const setup: Setup = { families: [4, 6], options: { DirectRouting: true } };
    const node = new Node(setup);
    const far = peer(2, {
      publicIps: { 4: parseIp("198.51.100.2"), 6: parseIp("2001:db8:2::2") },
    });
    const encapsulated = await new Node(setup).pass([far]);
    const direct = await new Node(setup).pass([peer(2)]);
    expect(direct).not.toContain("fdb");
    expect(await node.pass([peer(2)])).toBe(direct);
    expect(await node.pass([far])).toBe(encapsulated);
    expect(await node.pass([peer(2)])).toBe(direct);
  });

  test("switching DirectRouting off puts the tunnel back", async () => {
    const node = new Node({ families: [4, 6], options: { DirectRouting: true } });
    await node.pass([peer(2)]);
    const off = new Node({ families: [4, 6], kernel: node.kernel });
    expect(await off.pass([peer(2)])).toBe(await new Node({ families: [4, 6] }).pass([peer(2)]));
  });
});

describe("the device", () => {
  test("an incompatible one is replaced, a compatible one keeps its MAC and gets MTU and learning", async () => {
    const first = new Node();
    await first.pass([peer(2)]);
    const adjusted = new Node({ kernel: first.kernel, options: { MTU: 1400, Learning: true } });
    expect(await adjusted.pass([peer(2)])).toContain(
      "dstport 8472 learning address 0e:00:00:00:00:01 mtu 1350",
    );
    const ported = new Node({ kernel: first.kernel, options: { Port: 4789, GBP: true } });
    expect(await ported.pass([peer(2)])).toBe(
      await new Node({ options: { Port: 4789, GBP: true } }).pass([peer(2)]),
    );
  });

  test("without one the MAC is that of the previous lease", async () => {
    const mac = "0e:aa:aa:aa:aa:aa";
    const previousLease = peer(1, { backendData: { 4: data(mac) } });
    const { attributes } = await new Node({ previousLease }).open();
    expect(attributes.backendData).toEqual({ 4: data(mac) });
  });

  test("the MAC of a good device outweighs that of the previous lease", async () => {
    const first = new Node();
    await first.pass([]);
    const previousLease = peer(1, { backendData: { 4: data("0e:aa:aa:aa:aa:aa") } });
    const { attributes } = await new Node({ kernel: first.kernel, previousLease }).open();
    expect(attributes.backendData).toEqual({ 4: data("0e:00:00:00:00:01") });
  });

  test("unusable previous data is said, and gets a new MAC", async () => {
    const previousLease = peer(1, { backendData: { 4: { VtepMAC: "no" } } });
    const node = new Node({ previousLease });
    const { attributes } = await node.open();
    expect(attributes.backendData).toEqual({ 4: data("0e:00:00:00:00:01") });
    expect(node.log.lines[0]).toContain("warn our previous lease has unusable data");
  });

  test("behind NAT the tunnel leaves from the interface's address, and peers get the public one", async () => {
    const node = new Node({ publicIps: { 4: parseIp("203.0.113.9") } });
    const { attributes } = await node.open();
    expect(attributes.publicIps).toEqual({ 4: "203.0.113.9" });
    expect(await node.pass([])).toContain("local 192.0.2.1 dev eth0");
  });

  test("the published data has the reference's members in its order", async () => {
    const { attributes } = await new Node({ families: [4, 6], options: { VNI: 7 } }).open();
    expect(attributes.backendType).toBe("vxlan");
    expect(JSON.stringify(attributes.backendData)).toBe(
      '{"4":{"VNI":7,"VtepMAC":"0e:00:00:00:00:01"},"6":{"VNI":7,"VtepMAC":"0e:00:00:00:00:02"}}',
    );
  });

  test.each([
    [[4], 1450],
    [[6], 1430],
    [[4, 6], 1430],
  ] as const)("over IPv%s on an interface of 1500 pods have %i", async (families, mtu) => {
    expect((await new Node({ families }).open()).mtu).toBe(mtu);
  });
});

describe("options", () => {
  test.each([
    [
      { VNI: 16_777_216 },
      "Backend vxlan: VNI is 16777216: expected a whole number from 0 to 16777215",
    ],
    [{ VNI: -1 }, "Backend vxlan: VNI is -1: expected a whole number from 0 to 16777215"],
    [
      { VNI: 10_000_000 },
      "Backend vxlan: VNI 10000000 makes the device name flannel.10000000: at most 15 letters, choose a smaller VNI",
    ],
    [{ Port: 65_536 }, "Backend vxlan: Port is 65536: expected a whole number from 0 to 65535"],
    [
      { MTU: 100 },
      "Backend vxlan: MTU is 100: vxlan over IPv4 needs at least 118, on interface eth0 at most 1500",
    ],
    [{ MTU: 65_536 }, "Backend vxlan: MTU is 65536: expected a whole number from 0 to 65535"],
    [{ Learning: "yes" }, 'Backend vxlan: Learning is "yes": expected true or false'],
  ])("%j is refused", async (options, message) => {
    await expect(new Node({ options }).open()).rejects.toMatchObject({
      code: "config-invalid",
      message,
    });
  });

  test("an interface too small for IPv6 is refused", async () => {
    await expect(new Node({ families: [6], mtu: 1300 }).open()).rejects.toThrow(
      "interface eth0 has MTU 1300: vxlan over IPv6 needs at least 1350",
    );
  });

  test("names match whatever their case, unknown ones are said, 0 is the default", async () => {
    const node = new Node({ options: { vni: 5, PORT: 0, mtu: 0, Lerning: true, MacPrefix: "0E" } });
    expect(await node.pass([])).toContain("link flannel.5 type vxlan id 5");
    expect(node.print()).toContain("dstport 8472");
    expect(node.print()).toContain("mtu 1450");
    expect(node.log.lines).toEqual([
      expect.stringMatching(/^warn ignoring unknown options of the vxlan backend .*"Lerning"/),
    ]);
  });

  test("an MTU larger than the interface's is said, and cut down", async () => {
    const node = new Node({ options: { MTU: 9000 } });
    expect((await node.open()).mtu).toBe(1450);
    expect(node.log.lines[0]).toContain("warn option MTU is larger than the interface's");
  });
});

describe("peers", () => {
  test("bad data in one family leaves the other family alone", async () => {
    const node = new Node({ families: [4, 6] });
    const bad = peer(2, { backendData: { 4: data("0e:00:00:00:04:02"), 6: "garbage" } });
    const { rejected } = await node.plan([bad]);
    expect(rejected).toEqual([
      { peer: bad, reason: "IPv6: backend data is a string: expected a JSON object" },
    ]);
    const printed = await node.pass([bad]);
    expect(printed).toContain("route 10.42.2.0/24 via 10.42.2.0 dev flannel.1 onlink");
    expect(printed).not.toContain("2001:db8:42:2::");
  });

  test("of two nodes with one VTEP MAC the one with the lower subnet stays", async () => {
    const twin = peer(3, { backendData: peer(2).backendData });
    for (const peers of [
      [peer(2), twin],
      [twin, peer(2)],
    ]) {
      const node = new Node();
      const { rejected } = await node.plan(peers);
      expect(rejected).toEqual([
        {
          peer: twin,
          reason: "IPv4: VtepMAC 0e:00:00:00:04:02 is that of 10.42.2.0/24 at 192.0.2.2",
        },
      ]);
      expect(await node.pass(peers)).toBe(await new Node().pass([peer(2)]));
    }
  });

  test("two leases of one node share its FDB entry", async () => {
    const old = { ...peer(2), subnets: peer(3).subnets };
    const node = new Node();
    expect((await node.plan([old, peer(2)])).rejected).toEqual([]);
    const printed = await node.pass([old, peer(2)]);
    expect(printed.match(/^fdb /gm)).toHaveLength(1);
    expect(printed.match(/^neigh /gm)).toHaveLength(2);
    expect(await node.pass([peer(2)])).toBe(await new Node().pass([peer(2)]));
  });

  test("two nodes behind one public IP are both programmed: each has a MAC of its own", async () => {
    const rival = peer(3, { publicIps: peer(2).publicIps });
    const node = new Node();
    expect((await node.plan([peer(2), rival])).rejected).toEqual([]);
    expect((await node.pass([peer(2), rival])).match(/^fdb /gm)).toHaveLength(2);
  });

  test("our own VTEP MAC and public IP are nobody else's", async () => {
    const node = new Node();
    const sameMac = peer(2, { backendData: { 4: data("0e:00:00:00:00:01") } });
    const sameIp = peer(3, { publicIps: { 4: ADDRESSES[4] } });
    expect((await node.plan([sameMac, sameIp])).rejected.map(({ reason }) => reason)).toEqual([
      "IPv4: VtepMAC 0e:00:00:00:00:01 is this node's own",
      "IPv4: public IP 192.0.2.1 is this node's own",
    ]);
  });

  test("data without a VNI, as of old agents, is good", async () => {
    const node = new Node();
    const old = peer(2, { backendData: { 4: { VtepMAC: "0E:00:00:00:04:02" } } });
    expect(await node.pass([old])).toBe(await new Node().pass([peer(2)]));
  });

  test("another VNI is programmed, with a warning", async () => {
    const node = new Node();
    const strange = peer(2, { backendData: { 4: { VNI: 9, VtepMAC: "0e:00:00:00:04:02" } } });
    expect(await node.pass([strange])).toContain("route 10.42.2.0/24");
    expect((await node.plan([strange])).warnings).toEqual([
      { peer: strange, reason: "IPv4: uses VNI 9, ours is 1: its packets will not arrive" },
    ]);
  });
});
