/** The contract on the real kernel, in a fresh network namespace for each test: `unshare -rnm vitest run --project netns`, or as root. */
import { fileURLToPath } from "node:url";
import { requires } from "linux/testing";
import { expect, test } from "vitest";
import { parseCidr, parseIp } from "../core/ip.ts";
import { parseMac } from "../core/mac.ts";
import { kernelContract } from "./kernel.contract.ts";
import { EVENT_LIMIT_MS, nextEvent } from "./kernel-world.contract.ts";
import type { Change, Link } from "./kernel.ts";
import { NamespaceWorld, runIn } from "./netlink-world.contract.ts";
import { printObject } from "./print.ts";
import { reconcile } from "./reconcile.ts";

requires("netns", "vxlan")("real kernel", () => {
  kernelContract("netlink kernel", async () => new NamespaceWorld());

  const vxlan: Link = {
    kind: "link",
    name: "flannel.1",
    type: "vxlan",
    mac: parseMac("0e:00:00:00:00:01"),
    mtu: 1450,
    up: true,
    vxlan: {
      vni: 1,
      port: 8472,
      local: parseIp("192.0.2.1"),
      lowerLink: "card0",
      learning: false,
      gbp: false,
    },
  };

  async function withCard(): Promise<NamespaceWorld> {
    const world = new NamespaceWorld();
    await world.addInterface("card0", 1500, [
      parseCidr("192.0.2.1/24"),
      parseCidr("2001:db8:1::1/64"),
    ]);
    return world;
  }

  test("changes of few devices and of many, there or not, each reach their own", async () => {
    await using world = await withCard();
    const names = Array.from({ length: 12 }, (_, index) => `pod${index}`);
    for (const name of names)
      world.ip("link", "add", name, "type", "veth", "peer", "name", `${name}x`);
    const addressOf = (link: string, index: number, third: number): Change => ({
      action: "put",
      object: { kind: "address", link, address: parseCidr(`10.9.${third}.${index}/32`) },
    });
    for (const [third, links] of [names, names.slice(0, 2)].entries()) {
      const changes = [...links, "absent"].map((link, index) => addressOf(link, index, third));
      const refused = (await world.kernel.apply(changes)).map(({ error }) => error?.message);
      expect(refused.slice(0, -1)).toEqual(links.map(() => undefined));
      expect(refused.at(-1)).toContain("absent");
      for (const [index, link] of links.entries())
        expect(world.ip("-4", "address", "show", link)).toContain(`10.9.${third}.${index}/32`);
    }
  });

  test("a new vxlan device has exactly the reference's attributes", async () => {
    await using world = await withCard();
    await world.kernel.apply([{ action: "put", object: vxlan }]);
    const [link] = JSON.parse(world.ip("-d", "-j", "link", "show", "flannel.1")) as [
      Record<string, unknown> & { readonly linkinfo: { readonly info_data: unknown } },
    ];
    expect(link).toMatchObject({
      link_type: "ether",
      address: "0e:00:00:00:00:01",
      mtu: 1450,
      qdisc: "noqueue",
    });
    expect(link["txqlen"]).toBeUndefined();
    expect(link.linkinfo).toMatchInlineSnapshot(`
      {
        "info_data": {
          "ageing": 300,
          "df": "unset",
          "id": 1,
          "learning": false,
          "link": "card0",
          "local": "192.0.2.1",
          "port": 8472,
          "port_range": {
            "high": 0,
            "low": 0,
          },
          "ttl": 0,
          "udp_csum": true,
          "udp_zero_csum6_rx": false,
          "udp_zero_csum6_tx": false,
        },
        "info_kind": "vxlan",
      }
    `);
  });

  test("what the reference made is taken over as it is", async () => {
    await using world = await withCard();
    const options = "id 1 local 192.0.2.1 dev card0 dstport 8472 nolearning".split(" ");
    world.ip("link", "add", "flannel.1", "address", vxlan.mac, "type", "vxlan", ...options);
    world.ip("link", "set", "flannel.1", "up");
    const report = await reconcile(world.kernel, {
      scope: { links: ["flannel.1"], networks: [], sysctls: [] },
      objects: [vxlan],
    });
    expect(report).toEqual({ changes: [], failures: [], held: [] });
  });

  test("the removal of a nexthop, whose IPv4 routes go without a word, is told", async () => {
    await using world = new NamespaceWorld();
    // Nothing else happens on a device that neither speaks IPv6 nor waits for a carrier.
    const off = "for f in all default; do echo 1 >/proc/sys/net/ipv6/conf/$f/disable_ipv6; done";
    runIn(world.path, "sh", "-c", off);
    world.ip("link", "add", "vx", "type", "vxlan", "id", "9", "dstport", "4789");
    world.ip("link", "set", "vx", "up");
    world.ip("nexthop", "add", "id", "8", "dev", "vx");
    world.ip("route", "add", "10.42.2.0/24", "nhid", "8");
    const limit = AbortSignal.timeout(EVENT_LIMIT_MS);
    const events = world.kernel.watch(limit)[Symbol.asyncIterator]();
    world.ip("nexthop", "delete", "id", "8");
    expect(await nextEvent(events)).toMatchObject({
      kind: "changed",
      about: [{ action: "remove", object: { kind: "nexthop", id: 8 } }],
    });
    expect(world.ip("route", "show", "10.42.2.0/24")).toBe("");
    await events.return?.();
  });

  test("an event says what was put where that is all there is to say, so that nobody looks after his own writes", async () => {
    await using world = await withCard();
    const { kernel } = world;
    await kernel.apply([{ action: "put", object: vxlan }]);
    await kernel.dump({ links: [vxlan.name], networks: [], sysctls: [] });
    const limit = AbortSignal.timeout(EVENT_LIMIT_MS);
    const events = kernel.watch(limit)[Symbol.asyncIterator]();
    const mac = parseMac("0e:00:00:00:00:02");
    const object = {
      kind: "fdb",
      link: vxlan.name,
      mac,
      destination: parseIp("192.0.2.2"),
    } as const;
    await kernel.apply([{ action: "put", object }]);
    // The device's own addresses may still be coming, of which an event says nothing.
    let event = await nextEvent(events);
    while (event.kind === "changed" && event.about === undefined) event = await nextEvent(events);
    expect(event).toEqual({ kind: "changed", about: [{ action: "put", object }] });
    await events.return?.();
  });

  test("what others do to a blackhole is told, and not what we do ourselves", async () => {
    await using world = await withCard();
    const events = world.kernel.watch(AbortSignal.timeout(EVENT_LIMIT_MS))[Symbol.asyncIterator]();
    const own = { kind: "blackhole", destination: parseCidr("10.42.3.0/24") } as const;
    for (const action of ["put", "remove"] as const)
      await world.kernel.apply([{ action, object: own }]);
    const words = "blackhole 10.42.2.0/24 proto 116 metric 4294967295".split(" ");
    const object = { kind: "blackhole", destination: parseCidr("10.42.2.0/24") } as const;
    for (const [verb, action] of [["add", "put"] as const, ["delete", "remove"] as const]) {
      world.ip("route", verb, ...words);
      expect(await nextEvent(events)).toEqual({ kind: "changed", about: [{ action, object }] });
    }
    await events.return?.();
  });

  test("D10: peers are put on the device that is there now, though one of its name was there before", async () => {
    await using world = await withCard();
    const { kernel } = world;
    const stop = new AbortController();
    const listening = (async () => {
      for await (const event of kernel.watch(stop.signal)) expect(event.kind).toBe("changed");
    })();
    const peer = { mac: parseMac("0e:00:00:00:00:02"), destination: parseIp("192.0.2.2") };
    const changes: Change[] = [
      { action: "put", object: vxlan },
      { action: "put", object: { kind: "fdb", link: vxlan.name, ...peer } },
    ];
    const refusals = async (): Promise<unknown[]> =>
      (await kernel.apply(changes)).flatMap(({ error }) => error ?? []);
    expect(await refusals()).toEqual([]);
    world.ip("link", "delete", vxlan.name);
    // Until the end of the first device is told, the kernel refuses what is asked for it.
    await expect.poll(refusals, { timeout: EVENT_LIMIT_MS }).toEqual([]);
    expect(await kernel.dump({ links: [vxlan.name], networks: [], sysctls: [] })).toContainEqual(
      changes[1]?.object,
    );
    stop.abort();
    await listening;
  });

  test("D11: the end of a permanent neighbour, which fails first and loses its MAC, is told as its removal", async () => {
    await using world = await withCard();
    const { kernel } = world;
    const neighbour = "10.42.2.0 lladdr 0e:00:00:00:00:02 dev flannel.1 nud permanent".split(" ");
    await kernel.apply([{ action: "put", object: vxlan }]);
    world.ip("neigh", "add", ...neighbour);
    await kernel.dump({ links: [vxlan.name], networks: [], sysctls: [] });
    const events = kernel.watch(AbortSignal.timeout(EVENT_LIMIT_MS))[Symbol.asyncIterator]();
    world.ip("neigh", "del", "10.42.2.0", "dev", vxlan.name);
    let event = await nextEvent(events);
    while (event.kind === "changed" && event.about === undefined) event = await nextEvent(events);
    const about = event.kind === "changed" ? (event.about ?? []) : [];
    expect(about.map(({ action, object }) => `${action} ${printObject(object)}`)).toContain(
      "remove neigh 10.42.2.0 dev flannel.1 lladdr 02:00:00:00:00:00 PERMANENT",
    );
    await events.return?.();
  });

  test("somebody's nexthop group is an id that is taken, and is not replaced", async () => {
    await using world = await withCard();
    world.ip("nexthop", "add", "id", "8", "via", "192.0.2.7", "dev", "card0", "proto", "4");
    world.ip("nexthop", "add", "id", "9", "group", "8", "proto", "4");
    const dump = await world.kernel.dump({ links: [], networks: [], sysctls: [] });
    expect(dump.map(printObject)).toEqual([
      "nexthop id 8 via 192.0.2.7 dev card0 proto 4",
      "nexthop id 9 proto 4",
    ]);
    const gateway = parseIp("192.0.2.7");
    const [result] = await world.kernel.apply([
      {
        action: "put",
        object: { kind: "nexthop", id: 9, link: "card0", gateway, onlink: false, protocol: 116 },
      },
    ]);
    expect(result?.error?.message).toBe(
      "cannot put nexthop id 9 via 192.0.2.7 dev card0 proto 116: EINVAL (Can not replace a nexthop group with a nexthop)",
    );
  });

  test("results are in the order of the changes, though of a whole group nothing can be asked", async () => {
    await using world = await withCard();
    const { kernel } = world;
    const on = (link: string, length: number): readonly Change[] =>
      Array.from({ length }, (_, index) => ({
        action: "put",
        object: {
          kind: "neighbour",
          link,
          address: parseIp(`192.0.2.${index % 250}`),
          mac: parseMac("0e:00:00:00:00:02"),
        },
      }));
    const changes = [...on("card0", 600), ...on("absent0", 1_200), ...on("card0", 600)];
    const results = await kernel.apply(changes);
    const refused = results.map(({ error }) => error !== undefined);
    expect(refused).toEqual(
      changes.map(({ object }) => object.kind === "neighbour" && object.link === "absent0"),
    );
  });

  test("in the process's own namespace sysctls are the files under /proc/sys", async () => {
    await using world = await withCard();
    const program = fileURLToPath(new URL("netlink-kernel.ts", import.meta.url));
    const script = `
      import { NetlinkKernel } from ${JSON.stringify(program)};
      const path = "net/ipv6/conf/card0/accept_ra";
      await using kernel = NetlinkKernel.open();
      const scope = { links: [], networks: [], sysctls: [path, "net/ipv6/conf/absent0/accept_ra"] };
      const before = await kernel.dump(scope);
      const object = { kind: "sysctl", path, value: "0" };
      const absent = { ...object, path: "net/ipv6/conf/absent0/accept_ra" };
      const put = await kernel.apply([object, absent].map((object) => ({ action: "put", object })));
      const errors = put.map(({ error }) => error?.message ?? "made");
      process.stdout.write(JSON.stringify([before, errors, await kernel.dump(scope)]));`;
    const said = runIn(world.path, process.execPath, "--input-type=module", "-e", script);
    const path = "net/ipv6/conf/card0/accept_ra";
    expect(JSON.parse(said)).toEqual([
      [{ kind: "sysctl", path, value: "1" }],
      ["made", "cannot put sysctl net/ipv6/conf/absent0/accept_ra = 0: ENOENT"],
      [{ kind: "sysctl", path, value: "0" }],
    ]);
  });

  test("without the right to change the network the error says what is needed", async () => {
    await using world = await withCard();
    const program = fileURLToPath(new URL("netlink-kernel.ts", import.meta.url));
    const script = `
      import { NetlinkKernel } from ${JSON.stringify(program)};
      await using kernel = NetlinkKernel.open();
      const object = { kind: "address", link: "card0", address: "192.0.2.9/32" };
      const [result] = await kernel.apply([{ action: "put", object }]);
      process.stdout.write(result.error?.message ?? "made");`;
    const argv = ["--bounding-set=-all", "--inh-caps=-all", process.execPath];
    const said = runIn(world.path, "setpriv", ...argv, "--input-type=module", "-e", script);
    expect(said).toBe(
      "cannot put address 192.0.2.9/32 dev card0: EPERM; the agent needs the capability CAP_NET_ADMIN: run it as root, or in a container with NET_ADMIN",
    );
  });

  test("a UDP port in use is an error with its remedy, and leaves no device", async () => {
    await using world = await withCard();
    const { vxlan: attributes } = vxlan;
    if (attributes === undefined) throw new Error("the sample is a vxlan device");
    // Devices with and without GBP cannot share a port.
    const gbp: Link = { ...vxlan, name: "other0", vxlan: { ...attributes, vni: 7, gbp: true } };
    const results = await world.kernel.apply(
      [gbp, vxlan].map((object) => ({ action: "put", object })),
    );
    expect(results.map(({ error }) => error?.message)).toEqual([
      undefined,
      expect.stringMatching(
        /^cannot put link flannel\.1 .*: EADDRINUSE; another program or tunnel uses UDP port 8472: stop it, or set Port in the network config$/,
      ),
    ]);
    expect(world.ip("-br", "link")).not.toContain("flannel.1");
  });
});
