import { describe, expect, test } from "vitest";
import { parseCidr, parseIp } from "../core/ip.ts";
import { ROUTE_PROTOCOL_BOOT, ROUTE_PROTOCOL_TWILL } from "./kernel.ts";
import type { Change, FdbEntry, KernelObject, Link, Route } from "./kernel.ts";
import { MemoryKernel } from "./memory-kernel.ts";
import { printObject } from "./print.ts";
import { difference, reconcile } from "./reconcile.ts";
import type { DesiredState } from "./reconcile.ts";
import {
  ADDRESS,
  BASE,
  DEVICE,
  MAC_2,
  MAC_9,
  SYSCTL,
  lines,
  peer,
  vxlanOf,
  wish,
  world,
} from "./sample-objects.ts";

describe("whose a route is", () => {
  const [, , tunnel] = peer(2);
  const direct: Route = {
    kind: "route",
    destination: tunnel.destination,
    gateway: parseIp("192.0.2.2"),
    link: "eth0",
    onlink: false,
    protocol: ROUTE_PROTOCOL_TWILL,
  };

  test("ours by protocol inside the networks, or on our devices; others stay", async () => {
    const kernel = world();
    await reconcile(kernel, wish(...BASE));
    const outside = { ...direct, destination: parseCidr("203.0.113.0/24") };
    const foreign = { ...direct, destination: parseCidr("10.42.3.0/24"), protocol: 4 };
    const onOurs = { ...tunnel, destination: parseCidr("203.0.114.0/24"), protocol: 4 };
    for (const route of [direct, outside, foreign, onOurs]) kernel.addRoute(route);
    const { changes } = await reconcile(kernel, wish(...BASE));
    expect(lines(changes)).toBe(
      lines([direct, onOurs].map((object) => ({ action: "remove", object }))),
    );
  });

  test("a foreign route where ours belongs is replaced, also when ours stands behind it", async () => {
    const kernel = world();
    await reconcile(kernel, wish(...BASE));
    kernel.addRoute({ ...direct, protocol: 4 });
    kernel.addRoute(tunnel);
    await reconcile(kernel, wish(...BASE, ...peer(2)));
    const routes = (await kernel.dump(wish().scope)).filter(({ kind }) => kind === "route");
    expect(routes).toEqual([tunnel]);
  });

  test("the kernel's own route is never touched: ours is a failure that says so", async () => {
    const kernel = world();
    const gateway = parseCidr("10.42.2.1/24");
    kernel.addInterface({ name: "cni0", type: "bridge", addresses: [gateway] });
    const before = kernel.print().split("\n");
    const { failures } = await reconcile(kernel, wish(...BASE, ...peer(2), ...peer(3, MAC_9)));
    expect(failures.map(({ error }) => error.message)).toEqual([
      "cannot put route 10.42.2.0/24 via 10.42.2.0 dev flannel.1 onlink: the kernel's own route 10.42.2.0/24 dev cni0 proto kernel stands there; remove the address that makes it",
    ]);
    expect(kernel.print().split("\n")).toEqual(expect.arrayContaining(before));
    expect(kernel.print()).toContain("route 10.42.3.0/24");
  });

  test("IPv6: a route on another device goes first, and stays when its successor cannot come", async () => {
    const kernel = new MemoryKernel();
    const card = parseCidr("2001:db8:1::1/64");
    kernel.addInterface({ name: "eth0", addresses: [card] });
    const local = parseIp("2001:db8:1::1");
    const device: Link = { ...DEVICE, mtu: 1430, vxlan: { ...vxlanOf(DEVICE), local } };
    const link = device.name;
    const address = parseIp("2001:db8:42:2::");
    const destination = parseCidr("2001:db8:42:2::/64");
    const left: Route = {
      ...direct,
      destination,
      gateway: parseIp("2001:db8:1::2"),
      protocol: ROUTE_PROTOCOL_BOOT,
    };
    const fdb: FdbEntry = { kind: "fdb", link, mac: MAC_2, destination: parseIp("2001:db8:1::2") };
    const desired: DesiredState = {
      scope: { links: [link], networks: [parseCidr("2001:db8:42::/48")], sysctls: [] },
      objects: [
        device,
        { kind: "neighbour", link, address, mac: MAC_2 },
        fdb,
        { ...tunnel, destination, gateway: address },
      ],
    };
    kernel.addRoute(left);
    const accept = kernel.refuse(({ object }) => object.kind === "fdb", "ENOMEM");
    expect((await reconcile(kernel, desired)).failures).toHaveLength(1);
    expect(kernel.print()).toContain(printObject(left));
    accept();
    const { failures, changes } = await reconcile(kernel, desired);
    expect(failures).toEqual([]);
    expect(lines(changes.slice(-2))).toMatchInlineSnapshot(`
      "remove route 2001:db8:42:2::/64 via 2001:db8:1::2 dev eth0
      put route 2001:db8:42:2::/64 via 2001:db8:42:2:: dev flannel.1 onlink"
    `);
  });
});

describe("what is refused", () => {
  test("a peer whose FDB entry is refused gets neither neighbour nor route; others get all", async () => {
    const kernel = world();
    kernel.refuse(({ object }) => object.kind === "fdb" && object.mac === MAC_2, "ENOMEM");
    const report = await reconcile(kernel, wish(...BASE, ...peer(2), ...peer(3, MAC_9)));
    expect(report.failures).toHaveLength(1);
    expect(report.held.map(({ object }) => object.kind)).toEqual(["neighbour", "route"]);
    expect(kernel.print()).not.toContain("10.42.2.0");
    expect(kernel.print()).toContain("route 10.42.3.0/24");
  });

  test.each(["fdb", "neighbour"] as const)(
    "a peer whose new %s is refused keeps the whole of what it had",
    async (kind) => {
      const kernel = world();
      await reconcile(kernel, wish(...BASE, ...peer(2)));
      const isNew = ({ action, object }: Change): boolean =>
        action === "put" && object.kind === kind && object.mac === MAC_9;
      const accept = kernel.refuse(isNew, "ENOMEM");
      await reconcile(kernel, wish(...BASE, ...peer(2, MAC_9)));
      for (const object of peer(2)) expect(kernel.print()).toContain(printObject(object));
      accept();
      await reconcile(kernel, wish(...BASE, ...peer(2, MAC_9)));
      expect(kernel.print()).not.toContain(MAC_2);
    },
  );

  test("a route that cannot be removed keeps its neighbour and FDB entry", async () => {
    const kernel = world();
    await reconcile(kernel, wish(...BASE, ...peer(2)));
    const before = kernel.print();
    const accept = kernel.refuse(
      ({ action, object }) => action === "remove" && object.kind === "route",
      "EBUSY",
    );
    const { held } = await reconcile(kernel, wish(...BASE));
    expect(held.map(({ object }) => object.kind)).toEqual(["neighbour", "fdb"]);
    expect(kernel.print()).toBe(before);
    accept();
    await reconcile(kernel, wish(...BASE));
    expect(kernel.print()).not.toContain("10.42.2.0");
  });

  test("a device that cannot be made is one failure, and the rest waits for it", async () => {
    const kernel = world();
    const accept = kernel.refuse(({ object }) => object.kind === "link", "EOPNOTSUPP");
    const report = await reconcile(kernel, wish(...BASE, ...peer(2)));
    expect(report.failures.map(({ error }) => error.message)).toEqual([
      expect.stringMatching(/EOPNOTSUPP; the kernel has no vxlan devices: run modprobe vxlan/),
    ]);
    expect(report.changes.map(({ object }) => object.kind)).toEqual(["sysctl"]);
    accept();
    expect((await reconcile(kernel, wish(...BASE, ...peer(2)))).failures).toEqual([]);
  });

  test("a device that cannot be adjusted still gets its peers", async () => {
    const kernel = world();
    await reconcile(kernel, wish(...BASE));
    kernel.refuse(({ object }) => object.kind === "link", "EINVAL");
    await reconcile(kernel, wish({ ...DEVICE, mtu: 1400 }, SYSCTL, ADDRESS, ...peer(2)));
    expect(kernel.print()).toContain("route 10.42.2.0/24");
  });
});

describe("a wish that is not whole", () => {
  test("adds and corrects, and removes nothing", async () => {
    const kernel = world();
    await reconcile(kernel, wish(...BASE, ...peer(2)));
    await kernel.apply([{ action: "put", object: { ...DEVICE, mtu: 1300 } }]);
    const { changes } = await reconcile(kernel, { ...wish(DEVICE), additive: true });
    expect(lines(changes)).toBe(`put ${printObject(DEVICE)}`);
  });

  test("keeps a device that it does not name", () => {
    const left: Link = { ...DEVICE, name: "flannel-v6.1", vxlan: { ...vxlanOf(DEVICE), vni: 7 } };
    const desired = wish(DEVICE);
    const scope = { ...desired.scope, links: ["flannel.1", "flannel-v6.1"] };
    expect(difference([DEVICE, left], { ...desired, scope, additive: true })).toEqual([]);
    expect(difference([DEVICE, left], { ...desired, scope })).toEqual([
      { action: "remove", object: left },
    ]);
  });

  test("replaces a device that stands in the way", async () => {
    const kernel = world();
    const other: Link = { ...DEVICE, vxlan: { ...vxlanOf(DEVICE), vni: 7 } };
    await kernel.apply([{ action: "put", object: other }]);
    const { changes } = await reconcile(kernel, { ...wish(DEVICE), additive: true });
    expect(changes.map(({ action }) => action)).toEqual(["remove", "put"]);
  });
});

describe("a kernel without IPv6", () => {
  test("needs no IPv6 sysctl, and comes to rest", async () => {
    const kernel = new MemoryKernel({ ipv6: false });
    kernel.addInterface({ name: "eth0", addresses: [parseCidr("192.0.2.1/24")] });
    expect((await reconcile(kernel, wish(...BASE))).failures).toEqual([]);
    expect(await reconcile(kernel, wish(...BASE))).toEqual({ changes: [], failures: [], held: [] });
    const needed: KernelObject = { kind: "sysctl", path: SYSCTL.path, value: "0" };
    const { failures } = await reconcile(kernel, wish(DEVICE, needed, ADDRESS));
    expect(failures.map(({ error }) => error.message)).toEqual([
      "cannot put sysctl net/ipv6/conf/flannel.1/accept_ra = 0: ENOENT",
    ]);
  });
});

test("a subnet that was ours and is a peer's now is reached in the same pass: our address in it goes before the route comes", async () => {
  const kernel = world();
  await reconcile(kernel, wish(...BASE));
  const moved = { ...ADDRESS, address: parseCidr("10.42.7.0/32") };
  const objects = [DEVICE, SYSCTL, moved, ...peer(1)];
  const { failures, changes } = await reconcile(kernel, wish(...objects));
  expect(failures).toEqual([]);
  expect(lines(changes)).toMatchInlineSnapshot(`
    "put address 10.42.7.0/32 dev flannel.1
    put fdb 0e:00:00:00:00:02 dev flannel.1 dst 192.0.2.1 self permanent
    put neigh 10.42.1.0 dev flannel.1 lladdr 0e:00:00:00:00:02 PERMANENT
    remove address 10.42.1.0/32 dev flannel.1
    put route 10.42.1.0/24 via 10.42.1.0 dev flannel.1 onlink"
  `);
  expect((await reconcile(kernel, wish(...objects))).changes).toEqual([]);
});
