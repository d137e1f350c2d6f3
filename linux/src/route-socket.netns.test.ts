import { expect, test } from "vitest";
import { addAddress, putAddress, removeAddress } from "./address.ts";
import { CodecError, NetlinkError } from "./errors.ts";
import { addFdbEntry, putFdbEntry, removeFdbEntry } from "./fdb.ts";
import type { Family } from "./ip.ts";
import { addLink, changeLink } from "./link.ts";
import { type Neighbour, addNeighbour, putNeighbour, removeNeighbour } from "./neighbour.ts";
import { addNexthop, putNexthop, removeNexthop } from "./nexthop.ts";
import { RouteSocket } from "./route-socket.ts";
import { type Route, addRoute, putRoute, removeRoute } from "./route.ts";
import { Fixture, linkNamed, must } from "./testing/fixture.ts";
import { iproute2 } from "./testing/iproute2.ts";
import { requires } from "./testing/requires.ts";

interface Plan {
  readonly family: Family;
  readonly option: "-4" | "-6";
  /** Of this node, on `u0`, which has the prefix of the public IPs. */
  readonly own: string;
  readonly peer: string;
  readonly subnet: string;
  readonly gateway: string;
  readonly hostBits: number;
}

const FAMILIES: readonly Plan[] = [
  {
    family: "inet",
    option: "-4",
    own: "192.0.2.1",
    peer: "192.0.2.2",
    subnet: "10.42.2.0/24",
    gateway: "10.42.2.0",
    hostBits: 32,
  },
  {
    family: "inet6",
    option: "-6",
    own: "2001:db8::1",
    peer: "2001:db8::2",
    subnet: "2001:db8:42:2::/64",
    gateway: "2001:db8:42:2::",
    hostBits: 128,
  },
];

const MAC = "0e:00:00:00:00:02";

requires("netns", "vxlan")("objects in the kernel", () => {
  test.each(FAMILIES)("addresses, $family", async ({ family, option, gateway, hostBits }) => {
    using fixture = await Fixture.withLinks();
    const { socket, namespace, device: linkIndex } = fixture;
    const address = { linkIndex, address: gateway, prefixLength: hostBits, noDad: true };
    await must(socket, addAddress(address));
    const [refusal] = await socket.execute([addAddress(address)]);
    expect(refusal?.code).toBe("EEXIST");
    await must(socket, putAddress(address));
    const found = await socket.addresses({ linkIndex, family });
    expect(found.filter((one) => one.address === gateway)).toMatchObject([
      { linkIndex, prefixLength: hostBits, permanent: true, tentative: false, scope: 0 },
    ]);
    const seen = iproute2("ip", namespace, option, "address", "show", "dev", "flannel.1");
    expect(JSON.stringify(seen)).toContain(`"local":"${gateway}","prefixlen":${hostBits}`);

    await must(socket, removeAddress(address));
    const left = await socket.addresses({ linkIndex, family });
    expect(left.filter((one) => one.address === gateway)).toEqual([]);
    const [missing] = await socket.execute([removeAddress(address)]);
    expect(missing?.code).toBe("EADDRNOTAVAIL");
    expect(await socket.addresses({ linkIndex: 9999 })).toEqual([]);
  });

  test.each(FAMILIES)("routes, $family", async ({ family, option, subnet, gateway, peer }) => {
    using fixture = await Fixture.withLinks();
    const { socket, namespace, device, underlay } = fixture;
    const overVxlan: Route = {
      destination: subnet,
      gateway,
      linkIndex: device,
      onlink: true,
      protocol: 200,
    };
    await must(socket, addRoute(overVxlan));
    const [refusal] = await socket.execute([addRoute(overVxlan)]);
    expect(refusal?.code).toBe("EEXIST");
    expect(await socket.routes({ family, protocol: 200 })).toMatchObject([
      { ...overVxlan, table: 254, scope: 0, type: "unicast" },
    ]);
    expect(iproute2("ip", namespace, option, "route", "show", subnet)).toMatchObject([
      { dst: subnet, gateway, dev: "flannel.1", flags: ["onlink"] },
    ]);

    // The same destination by another way takes its place: direct routing.
    await must(socket, putRoute({ destination: subnet, gateway: peer, protocol: 200 }));
    expect(await socket.routes({ family, protocol: 200 })).toMatchObject([
      { destination: subnet, gateway: peer, linkIndex: underlay, onlink: false },
    ]);
    expect(await socket.routes({ family, protocol: 200, linkIndex: device })).toEqual([]);

    await must(socket, removeRoute({ destination: subnet }));
    expect(await socket.routes({ family, protocol: 200 })).toEqual([]);
    const [missing] = await socket.execute([removeRoute({ destination: subnet })]);
    expect(missing?.code).toBe("ESRCH");
  });

  test.each(FAMILIES)(
    "route attributes, $family",
    async ({ family, option, subnet, own, peer }) => {
      using fixture = await Fixture.withLinks();
      const { socket, namespace, underlay: linkIndex } = fixture;
      const whole: Route = {
        destination: subnet,
        gateway: peer,
        linkIndex,
        table: 1000,
        protocol: 250,
        metric: 77,
        mtu: 1400,
        preferredSource: own,
      };
      const blackhole: Route = { destination: subnet, type: "blackhole", table: 1001, metric: 9 };
      await must(socket, putRoute(whole), putRoute(blackhole));
      expect(await socket.routes({ family, table: 1000 })).toMatchObject([whole]);
      expect(await socket.routes({ family, table: 1001 })).toMatchObject([blackhole]);
      expect(await socket.routes({ family, type: "blackhole" })).toMatchObject([blackhole]);
      expect(await socket.routes({ family, table: 1002 })).toEqual([]);
      expect(await socket.routes({ table: 1002 })).toEqual([]);
      expect(await socket.routes({ linkIndex: 9999 })).toEqual([]);
      expect(iproute2("ip", namespace, option, "route", "show", "table", "1000")).toMatchObject([
        { dst: subnet, gateway: peer, prefsrc: own, metric: 77, metrics: [{ mtu: 1400 }] },
      ]);
      const dumped = await socket.routes({ family, table: 1000 });
      await must(socket, removeRoute(whole), ...dumped.map(putRoute));
      expect(await socket.routes({ family, table: 1000 })).toEqual(dumped);
    },
  );

  test.each(FAMILIES)(
    "routes with several ways, $family",
    async ({ family, subnet, peer, gateway }) => {
      using fixture = await Fixture.withLinks();
      const { socket, underlay, device } = fixture;
      const hops = [
        { gateway: peer, linkIndex: underlay, weight: 2, onlink: false },
        { gateway, linkIndex: device, weight: 1, onlink: true },
      ];
      await must(socket, putRoute({ destination: subnet, hops, protocol: 200 }));
      expect(await socket.routes({ family, protocol: 200 })).toMatchObject([{ hops }]);
    },
  );

  test("an IPv4 route over an IPv6 gateway", async () => {
    using fixture = await Fixture.withLinks();
    const { socket, underlay: linkIndex } = fixture;
    const route: Route = { destination: "10.9.0.0/16", gateway: "2001:db8::7", linkIndex };
    await must(socket, putRoute(route));
    expect(await socket.routes({ protocol: 3 })).toMatchObject([route]);
  });

  test.each(FAMILIES)("nexthops and routes over them, $family", async (plan) => {
    const { family, option, subnet, gateway, peer } = plan;
    using fixture = await Fixture.withLinks();
    const { socket, namespace, device: linkIndex } = fixture;
    const nexthop = { id: 7, gateway, linkIndex, onlink: true, protocol: 200 };
    await must(
      socket,
      // A blackhole is a nexthop over the loopback link.
      changeLink({ name: "lo" }, { up: true }),
      addNexthop(nexthop),
      addNexthop({ id: 8, family, blackhole: true }),
      addNexthop({ id: 9, gateway: peer, linkIndex: fixture.underlay }),
      addNexthop({
        id: 10,
        group: [
          { id: 7, weight: 3 },
          { id: 9, weight: 1 },
        ],
      }),
      addRoute({ destination: subnet, nexthopId: 7, protocol: 200 }),
    );
    const [refusal] = await socket.execute([addNexthop(nexthop)]);
    expect(refusal?.code).toBe("EEXIST");
    await must(socket, putNexthop(nexthop));

    expect(await socket.nexthops({ linkIndex })).toEqual([
      { ...nexthop, family, blackhole: false },
    ]);
    expect(await socket.nexthops({ groups: true })).toMatchObject([
      {
        id: 10,
        group: [
          { id: 7, weight: 3 },
          { id: 9, weight: 1 },
        ],
      },
    ]);
    expect((await socket.nexthops({ family })).map(({ id }) => id)).toEqual([7, 8, 9]);
    const [route, ...others] = await socket.routes({ family, protocol: 200 });
    expect(others).toEqual([]);
    expect(route).toMatchObject({ destination: subnet, nexthopId: 7, gateway, linkIndex });
    expect(iproute2("ip", namespace, option, "route", "show", subnet)).toMatchObject([
      { dst: subnet, nhid: 7, gateway, dev: "flannel.1", flags: ["onlink"] },
    ]);

    // A dumped route can be given back as it is.
    if (route !== undefined) await must(socket, putRoute(route));
    await must(socket, removeNexthop({ id: 7 }));
    expect(await socket.routes({ family, protocol: 200 })).toEqual([]);
    const [missing] = await socket.execute([removeNexthop({ id: 7 })]);
    expect(missing?.code).toBe("ENOENT");
    expect(await socket.nexthops({ linkIndex })).toEqual([]);
  });

  test.each(FAMILIES)("neighbours, $family", async ({ family, option, gateway, own }) => {
    using fixture = await Fixture.withLinks();
    const { socket, namespace, device: linkIndex, underlay } = fixture;
    const neighbour = { linkIndex, address: gateway, mac: "0e:00:00:00:00:03" };
    const elsewhere = { linkIndex: underlay, address: own, mac: MAC };
    await must(socket, addNeighbour(neighbour), addNeighbour(elsewhere));
    const [refusal] = await socket.execute([addNeighbour(neighbour)]);
    expect(refusal?.code).toBe("EEXIST");
    await must(socket, putNeighbour({ ...neighbour, mac: MAC }));
    const permanent = async (): Promise<readonly Neighbour[]> => {
      const found = await socket.neighbours({ linkIndex, family });
      return found.filter(({ state }) => state === "permanent");
    };
    expect(await permanent()).toEqual([
      {
        linkIndex,
        address: gateway,
        mac: MAC,
        state: "permanent",
        router: false,
        proxy: false,
        externallyLearned: false,
      },
    ]);
    const seen = iproute2("ip", namespace, option, "neighbour", "show", "dev", "flannel.1");
    expect(seen).toMatchObject([{ dst: gateway, lladdr: MAC, state: ["PERMANENT"] }]);

    await must(socket, removeNeighbour({ linkIndex, address: gateway }));
    expect(await permanent()).toEqual([]);
    const [missing] = await socket.execute([removeNeighbour(neighbour)]);
    expect(missing?.code).toBe("ENOENT");
    expect(await socket.neighbours({ linkIndex: 9999 })).toEqual([]);
  });

  test.each(FAMILIES)("FDB entries, $family", async ({ peer, own, family }) => {
    using fixture = new Fixture();
    const { socket, namespace } = fixture;
    const name = "vx";
    const local = family === "inet" ? "192.0.2.1" : "2001:db8::1";
    await must(socket, addLink({ name, kind: "vxlan", up: true, vxlan: { id: 5, local } }));
    await must(socket, addLink({ name: "br0", kind: "bridge", up: true }));
    const linkIndex = (await linkNamed(socket, name)).index;
    await must(socket, addFdbEntry({ linkIndex, mac: MAC, destination: own }));
    const entry = { linkIndex, mac: MAC, destination: peer };
    const [refusal] = await socket.execute([addFdbEntry(entry)]);
    expect(refusal?.code).toBe("EEXIST");
    await must(socket, putFdbEntry(entry));
    expect(await socket.fdbEntries({ linkIndex })).toEqual([
      { ...entry, state: "permanent", self: true },
    ]);
    expect(iproute2("bridge", namespace, "fdb", "show", "dev", name)).toMatchObject([
      { mac: MAC, dst: peer, flags: ["self"], state: "permanent" },
    ]);
    const everywhere = new Set((await socket.fdbEntries()).map((one) => one.linkIndex));
    expect(everywhere.size).toBe(2);

    await must(socket, removeFdbEntry(entry));
    expect(await socket.fdbEntries({ linkIndex })).toEqual([]);
    const [missing] = await socket.execute([removeFdbEntry(entry)]);
    expect(missing?.code).toBe("ENOENT");
    expect(await socket.fdbEntries({ linkIndex: 9999 })).toEqual([]);
  });

  test("entries that bridge(8) made are read too", async () => {
    using fixture = await Fixture.withLinks();
    const { socket, namespace, device: linkIndex } = fixture;
    const words = ["fdb", "add", MAC, "dev", "flannel.1", "dst", "192.0.2.2", "self", "permanent"];
    iproute2("bridge", namespace, ...words);
    expect(await socket.fdbEntries({ linkIndex })).toEqual([
      { linkIndex, mac: MAC, destination: "192.0.2.2", state: "permanent", self: true },
    ]);
  });

  test.each(FAMILIES)("route lookups, $family", async ({ subnet, gateway, own, peer }) => {
    using fixture = await Fixture.withLinks();
    const { socket, underlay, device } = fixture;
    await must(socket, putRoute({ destination: subnet, gateway, linkIndex: device, onlink: true }));
    const nowhere = gateway.replace("42", "43");
    const found = await socket.routeTo([peer, gateway, nowhere]);
    expect(found).toMatchObject([
      { address: peer, type: "unicast", linkIndex: underlay, preferredSource: own },
      { address: gateway, gateway, linkIndex: device },
      { code: "ENETUNREACH", message: `cannot find the route to ${nowhere}: ENETUNREACH` },
    ]);
    expect(found[0]).not.toHaveProperty("gateway");
  });
});

requires("netns", "vxlan")("many requests", () => {
  const neighbourNumber = (linkIndex: number, n: number): Neighbour => ({
    linkIndex,
    address: `10.${n >> 16}.${(n >> 8) & 255}.${n & 255}`,
    mac: MAC,
  });

  test("10,000 neighbours in one call, and each refusal where it belongs", async () => {
    using fixture = await Fixture.withLinks();
    const { socket, device } = fixture;
    const neighbours = Array.from({ length: 10_000 }, (_, n) => neighbourNumber(device, n));
    const wrong = new Set([0, 99, 100, 101, 5_000, 9_999]);
    const refusals = await socket.execute(
      neighbours.map((one, n) => putNeighbour(wrong.has(n) ? { ...one, linkIndex: 9999 } : one)),
    );
    const refused = refusals.flatMap((refusal, n) => (refusal === undefined ? [] : [n]));
    expect(refusals).toHaveLength(10_000);
    expect(refused).toEqual([...wrong]);
    expect(refusals[5_000]?.message).toBe(
      `cannot put neighbour 10.0.19.136 dev 9999 lladdr ${MAC}: ENODEV`,
    );
    const dumped = await socket.neighbours({ linkIndex: device, family: "inet" });
    const addresses = new Set(dumped.map(({ address }) => address));
    expect(neighbours.filter(({ address }) => addresses.has(address))).toHaveLength(10_000 - 6);
  });

  test("10,000 refusals in one call", async () => {
    using fixture = await Fixture.withLinks();
    const requests = Array.from({ length: 10_000 }, () =>
      removeRoute({ destination: "10.0.0.0/8" }),
    );
    const refusals = await fixture.socket.execute(requests);
    expect(new Set(refusals.map((refusal) => refusal?.code))).toEqual(new Set(["ESRCH"]));
  });

  test("overlapping calls on one socket are served one after the other", async () => {
    using fixture = await Fixture.withLinks();
    const { socket, device } = fixture;
    const half = (start: number): ReturnType<typeof putNeighbour>[] =>
      Array.from({ length: 1_000 }, (_, n) => putNeighbour(neighbourNumber(device, start + n)));
    const count = async (): Promise<number> => {
      const found = await socket.neighbours({ linkIndex: device, family: "inet" });
      return found.filter(({ state }) => state === "permanent").length;
    };
    const [first, none, second, one, both, lookups] = await Promise.all([
      count(),
      socket.execute([]),
      socket.execute(half(0)),
      count(),
      socket.execute([...half(1_000), removeRoute({ destination: "10.0.0.0/8" })]),
      Promise.all([
        count(),
        count(),
        socket.routeTo(["192.0.2.2"]),
        socket.links({ kind: "vxlan" }),
      ]),
    ]);
    expect([first, none.length, second.length, one, both.length]).toEqual([
      0, 0, 1_000, 1_000, 1_001,
    ]);
    expect(both.at(-1)?.code).toBe("ESRCH");
    expect(lookups).toMatchObject([2_000, 2_000, [{ address: "192.0.2.2" }], [{ index: device }]]);
  });

  test("two sockets in two namespaces see their own", async () => {
    using left = await Fixture.withLinks();
    using right = await Fixture.withLinks();
    const route = (destination: string): Route => ({
      destination,
      type: "blackhole",
      protocol: 99,
    });
    await Promise.all([
      must(left.socket, putRoute(route("10.1.0.0/16"))),
      must(right.socket, putRoute(route("10.2.0.0/16"))),
    ]);
    expect(await left.socket.routes({ protocol: 99 })).toMatchObject([route("10.1.0.0/16")]);
    expect(await right.socket.routes({ protocol: 99 })).toMatchObject([route("10.2.0.0/16")]);
  });
});

requires("netns", "vxlan")("refusals", () => {
  test("carry the kernel's extended text", async () => {
    using fixture = await Fixture.withLinks();
    const route: Route = { destination: "10.42.2.0/24", gateway: "203.0.113.1" };
    const [refusal] = await fixture.socket.execute([addRoute(route)]);
    expect(refusal).toBeInstanceOf(NetlinkError);
    expect(refusal).toMatchObject({
      name: "NetlinkError",
      code: "ENETUNREACH",
      errno: 101,
      detail: "Nexthop has invalid gateway",
      message:
        "cannot add route 10.42.2.0/24 via 203.0.113.1: ENETUNREACH (Nexthop has invalid gateway)",
    });
  });

  test("a request that cannot be written is not sent, and says so in its place", async () => {
    using fixture = await Fixture.withLinks();
    const { socket } = fixture;
    const good: Route = { destination: "10.1.0.0/16", type: "blackhole", protocol: 99 };
    const bad = { destination: "10.1.0.0" };
    const results = await socket.execute([putRoute(bad), putRoute(good), putRoute(bad)]);
    expect(results).toEqual([expect.any(CodecError), undefined, expect.any(CodecError)]);
    expect(results[0]?.message).toContain("cannot put route 10.1.0.0");
    expect(await socket.routes({ protocol: 99 })).toHaveLength(1);
    expect(await socket.execute([putRoute(bad)])).toEqual([expect.any(CodecError)]);
    await expect(socket.routeTo(["10.1.0.0", "nonsense"])).rejects.toThrow(CodecError);
  });

  test("a namespace that is not there", () => {
    expect(() => RouteSocket.open({ namespace: "/nonexistent/netns" })).toThrow(
      "cannot open a netlink socket in /nonexistent/netns: ENOENT",
    );
    expect(() => RouteSocket.open({ namespace: "/dev/null" })).toThrow("EINVAL");
  });

  test("a closed socket finishes what the kernel has and refuses the rest", async () => {
    using fixture = await Fixture.withLinks();
    const socket = RouteSocket.open({ namespace: fixture.namespace.path });
    const requests = Array.from({ length: 200 }, () => removeRoute({ destination: "10.0.0.0/8" }));
    const first = socket.execute(requests);
    // Lets the first exchange begin: it is queued behind one turn of the microtasks.
    await Promise.resolve();
    await Promise.resolve();
    const second = socket.links();
    socket.close();
    socket.close();
    expect(await first).toHaveLength(200);
    await expect(second).rejects.toMatchObject({ code: "EBADF" });
    await expect(socket.links()).rejects.toThrow("cannot use a closed socket: EBADF");
  });
});
