import { describe, expect, test } from "vitest";
import { parseCidr, parseIp } from "../core/ip.ts";
import { kernelContract } from "./kernel.contract.ts";
import type { ContractWorld } from "./kernel.contract.ts";
import { ROUTE_PROTOCOL_TWILL } from "./kernel.ts";
import type { KernelObject, Nexthop, Route } from "./kernel.ts";
import { MemoryKernel } from "./memory-kernel.ts";

kernelContract("memory kernel", async (): Promise<ContractWorld> => {
  const kernel = new MemoryKernel();
  return {
    kernel,
    addInterface: async (name, mtu, addresses) => kernel.addInterface({ name, mtu, addresses }),
    removeInterface: async (name) => kernel.removeInterface(name),
    setUp: async (name, up) => kernel.setUp(name, up),
    removeAddress: async (link, address) => kernel.removeAddress(link, address),
    setCarrier: async (name, carrier) => kernel.setCarrier(name, carrier),
    appendRoute: async (route) => kernel.addRoute(route),
    addNexthop: async (nexthop) => kernel.addNexthop(nexthop),
    removeNexthop: async (id) => kernel.removeNexthop(id),
    [Symbol.asyncDispose]: async () => undefined,
  };
});

describe("memory kernel", () => {
  const route: Route = {
    kind: "route",
    destination: parseCidr("10.42.2.0/24"),
    gateway: parseIp("192.0.2.2"),
    link: "eth0",
    onlink: false,
    protocol: ROUTE_PROTOCOL_TWILL,
  };

  const NEXTHOP: Nexthop = {
    kind: "nexthop",
    id: 7,
    link: "eth0",
    onlink: false,
    protocol: ROUTE_PROTOCOL_TWILL,
  };

  function world(): MemoryKernel {
    const kernel = new MemoryKernel();
    kernel.addInterface({ name: "eth0", addresses: [parseCidr("192.0.2.1/24")] });
    return kernel;
  }

  test("prints itself like ip", () => {
    const kernel = world();
    kernel.addRoute(route);
    expect(kernel.print()).toMatchInlineSnapshot(`
      "address 192.0.2.1/24 dev eth0
      link eth0 address 02:00:00:00:00:01 mtu 1500
      route 10.42.2.0/24 via 192.0.2.2 dev eth0 proto 116
      route 192.0.2.0/24 dev eth0 proto kernel"
    `);
  });

  test("prints nexthop objects like ip", async () => {
    const kernel = world();
    const { gateway, link, onlink, protocol } = route;
    if (gateway === undefined) throw new Error("the sample route has a gateway");
    kernel.addNexthop({ id: 7, gateway, link, onlink, protocol });
    kernel.addNexthop({ id: 8, link, onlink, protocol: 0 });
    kernel.addNexthop({ id: 9, gateway: parseIp("2001:db8::9"), link, onlink: true, protocol: 3 });
    kernel.addRoute({ ...route, nexthop: 7 });
    kernel.addRoute({ ...route, destination: parseCidr("10.42.3.0/24"), nexthop: 9 });
    expect(kernel.print()).toMatchInlineSnapshot(`
      "address 192.0.2.1/24 dev eth0
      link eth0 address 02:00:00:00:00:01 mtu 1500
      nexthop id 7 via 192.0.2.2 dev eth0 proto 116
      nexthop id 8 dev eth0
      nexthop id 9 via 2001:db8::9 dev eth0 onlink proto boot
      route 10.42.2.0/24 nhid 7 via 192.0.2.2 dev eth0 proto 116
      route 10.42.3.0/24 nhid 9 via inet6 2001:db8::9 dev eth0 onlink proto 116
      route 192.0.2.0/24 dev eth0 proto kernel"
    `);
  });

  test("without nexthop objects it refuses them as an old kernel does", async () => {
    const kernel = new MemoryKernel({ nexthops: false });
    kernel.addInterface({ name: "eth0", addresses: [parseCidr("192.0.2.1/24")] });
    expect(await kernel.hasNexthops()).toBe(false);
    const nexthop: KernelObject = { ...NEXTHOP, link: "eth0", gateway: parseIp("192.0.2.2") };
    const over: Route = { ...route, nexthop: NEXTHOP.id };
    const results = await kernel.apply(
      [nexthop, over, route].map((object) => ({ action: "put", object })),
    );
    expect(results.map(({ error }) => error?.message)).toEqual([
      "cannot put nexthop id 7 via 192.0.2.2 dev eth0 proto 116: EOPNOTSUPP",
      "cannot put route 10.42.2.0/24 nhid 7 via 192.0.2.2 dev eth0 proto 116: ENODEV",
      undefined,
    ]);
  });

  test("refuses what it is told to refuse, until it is told otherwise", async () => {
    const kernel = world();
    const accept = kernel.refuse(({ object }) => object.kind === "route", "ENOMEM", "No room");
    const [refused] = await kernel.apply([{ action: "put", object: route }]);
    expect(refused?.error?.message).toBe(
      "cannot put route 10.42.2.0/24 via 192.0.2.2 dev eth0 proto 116: ENOMEM (No room)",
    );
    accept();
    const [made] = await kernel.apply([{ action: "put", object: route }]);
    expect(made?.error).toBeUndefined();
  });

  test("a burst of events is one event, and a lost one is told", async () => {
    const kernel = world();
    const controller = new AbortController();
    const events = kernel.watch(controller.signal)[Symbol.asyncIterator]();
    kernel.setUp("eth0", false);
    kernel.overrun();
    kernel.setUp("eth0", true);
    expect(await events.next()).toEqual({ done: false, value: { kind: "overrun" } });
    const end = events.next();
    controller.abort();
    expect(await end).toEqual({ done: true, value: undefined });
  });

  test("a burst says of all of its changes what they are about, and of one that cannot be said of none", async () => {
    const kernel = world();
    const controller = new AbortController();
    const events = kernel.watch(controller.signal)[Symbol.asyncIterator]();
    const other: Route = { ...route, destination: parseCidr("10.42.3.0/24") };
    const puts = [route, other].map((object) => ({ action: "put" as const, object }));
    await kernel.apply(puts);
    expect(await events.next()).toEqual({
      done: false,
      value: { kind: "changed", about: puts },
    });
    await kernel.apply([{ action: "remove", object: other }]);
    kernel.setUp("eth0", false);
    expect(await events.next()).toEqual({ done: false, value: { kind: "changed" } });
    controller.abort();
  });
});
