import { describe, expect, test } from "vitest";
import { parseCidr, parseIp } from "../core/ip.ts";
import { parseMac } from "../core/mac.ts";
import { ROUTE_PROTOCOL_TWILL } from "./kernel.ts";
import type { Cidr } from "../core/ip.ts";
import type { KernelObject, Nexthop, Route } from "./kernel.ts";
import { NEXTHOPS_FROM, RouteForms } from "./nexthops.ts";
import { isOurs } from "./scope.ts";
import { printObject } from "./print.ts";
import { reconcile } from "./reconcile.ts";
import { BASE, nexthopOf, peer, wish, world } from "./sample-objects.ts";

const ID = 116_000_001;

function route(node: number): Route {
  const [, , found] = peer(node);
  return found;
}

function routes(...nodes: readonly number[]): readonly Route[] {
  return nodes.map(route);
}

/** With room for so many plain routes, in a kernel that holds these. */
function forms(from: number, ...standing: readonly KernelObject[]): RouteForms {
  return new RouteForms({ available: true, from, standing });
}

function written(made: RouteForms, ...wanted: readonly Route[]): string {
  return print(wanted.flatMap((object) => made.write(object)));
}

function print(objects: readonly KernelObject[]): string {
  return objects.map(printObject).join("\n");
}

describe("the form of routes", () => {
  test("routes are plain until a device carries enough of them; further ones go over objects", () => {
    expect(written(forms(2), ...routes(2, 3, 4, 5))).toMatchInlineSnapshot(`
      "route 10.42.2.0/24 via 10.42.2.0 dev flannel.1 onlink
      route 10.42.3.0/24 via 10.42.3.0 dev flannel.1 onlink
      route 10.42.4.0/24 nhid 116000001 via 10.42.4.0 dev flannel.1 onlink
      nexthop id 116000001 via 10.42.4.0 dev flannel.1 onlink proto 116
      route 10.42.5.0/24 nhid 116000002 via 10.42.5.0 dev flannel.1 onlink
      nexthop id 116000002 via 10.42.5.0 dev flannel.1 onlink proto 116"
    `);
  });

  test("512 plain routes are enough", () => {
    const made = new RouteForms({ available: true });
    const destination = (index: number): Cidr =>
      parseCidr(`10.42.${index >> 8}.${index & 0xff}/32`);
    const counts = Array.from({ length: NEXTHOPS_FROM + 1 }, (_, index) => {
      return made.write({ ...route(2), destination: destination(index) }).length;
    });
    expect(counts.indexOf(2)).toBe(512);
  });

  test("a route that stands in either form stays in it", () => {
    const over: Route = { ...route(2), nexthop: 9 };
    const text = written(forms(0, route(3), nexthopOf(over), over), ...routes(2, 3));
    expect(text).toMatchInlineSnapshot(`
      "route 10.42.2.0/24 nhid 9 via 10.42.2.0 dev flannel.1 onlink
      nexthop id 9 via 10.42.2.0 dev flannel.1 onlink proto 116
      route 10.42.3.0/24 via 10.42.3.0 dev flannel.1 onlink"
    `);
    expect(written(forms(9, route(3), nexthopOf(over), over), ...routes(2, 3))).toBe(text);
  });

  test("a route that stands with another mark is written anew", () => {
    const foreign: Route = { ...route(2), protocol: 4 };
    expect(written(forms(0, foreign), route(2))).toContain(`nhid ${ID}`);
  });

  test("each device has its own count", () => {
    const near: Route = { ...route(3), link: "eth0", onlink: false };
    expect(written(forms(1), route(2), near)).not.toContain("nexthop");
  });

  test("IPv6 routes and those without a gateway are plain", () => {
    const { gateway: _, ...direct } = route(2);
    const ipv6: Route = {
      ...route(3),
      destination: parseCidr("2001:db8:42:3::/64"),
      gateway: parseIp("2001:db8:42:3::"),
    };
    const wanted = [direct, ipv6];
    expect(wanted.flatMap((object) => forms(0).write(object))).toEqual(wanted);
  });

  test("without nexthop objects in the kernel all routes are plain", () => {
    const made = new RouteForms({ available: false, from: 0 });
    expect(written(made, ...routes(2, 3))).not.toContain("nexthop");
  });
});

describe("ids", () => {
  test("an id that anybody has is not given", () => {
    const mine = nexthopOf({ ...route(9), nexthop: ID });
    const foreign: Nexthop = { ...mine, id: ID + 1, link: "", protocol: 4 };
    const overUnknown: Route = { ...route(8), link: "eth0", protocol: 4, nexthop: ID + 2 };
    expect(written(forms(0, mine, foreign, overUnknown), route(2))).toContain(`nhid ${ID + 3} `);
  });

  test("a way that has an object of ours keeps it; somebody else's object is not used", () => {
    const mine = nexthopOf({ ...route(2), nexthop: 77 });
    const foreign: Nexthop = { ...nexthopOf({ ...route(3), nexthop: 78 }), protocol: 4 };
    const text = written(forms(0, mine, foreign), ...routes(2, 3));
    expect(text).toContain("route 10.42.2.0/24 nhid 77 ");
    expect(text).toContain(`route 10.42.3.0/24 nhid ${ID} `);
  });

  test("a route over somebody else's object gets one of ours", () => {
    const foreign: Nexthop = { ...nexthopOf({ ...route(2), nexthop: 78 }), protocol: 4 };
    const over: Route = { ...route(2), nexthop: 78 };
    expect(written(forms(0, foreign, over), route(2))).toContain(`nhid ${ID} `);
  });

  test("routes with one way share an object", () => {
    const twin: Route = { ...route(2), destination: parseCidr("10.42.7.0/24") };
    const made = forms(0);
    const [, first] = made.write(route(2));
    const [, second] = made.write(twin);
    expect(second).toBe(first);
  });

  test("an id is never given twice", () => {
    const made = forms(0);
    made.write(route(2));
    made.takeBack(route(2));
    expect(written(made, route(3))).toContain(`nhid ${ID + 1} `);
  });
});

describe("what is taken back", () => {
  test("says what was written, and makes room for a plain route", () => {
    const made = forms(1);
    const first = made.write(route(2));
    const second = made.write(route(3));
    expect(made.takeBack(route(3))).toBe(second);
    expect(made.takeBack(route(2))).toBe(first);
    expect(made.write(route(4))).toEqual([route(4)]);
  });

  test("wished for again it has the form it had, so that new data of a peer moves no route", () => {
    const made = forms(1);
    made.write(route(2));
    const over = made.write(route(3));
    made.takeBack(route(2));
    made.takeBack(route(3));
    expect(made.write(route(3))).toEqual(over);
    expect(made.write(route(2))).toEqual([route(2)]);
  });

  test("stays as it is while another wishes for it", () => {
    const made = forms(0);
    const objects = made.write(route(2));
    made.write(route(2));
    expect(made.takeBack(route(2))).toBe(objects);
    expect(made.write(route(2))).toBe(objects);
  });
});

describe("in a kernel", () => {
  async function pass(
    kernel: ReturnType<typeof world>,
    ...nodes: readonly number[]
  ): Promise<string> {
    const peers = nodes.flatMap((node) => peer(node, parseMac(`0e:00:00:00:00:1${node}`)));
    const desired = wish(...BASE, ...peers);
    const made = forms(2, ...(await kernel.dump(desired.scope)));
    const objects = desired.objects.flatMap((object) =>
      object.kind === "route" ? made.write(object) : [object],
    );
    const { changes, failures, held } = await reconcile(kernel, { ...desired, objects });
    expect([...failures, ...held]).toEqual([]);
    return changes
      .filter(({ object }) => object.kind === "route" || object.kind === "nexthop")
      .map(({ action, object }) => `${action} ${printObject(object)}`)
      .join("\n");
  }

  test("objects are put before their routes and removed after them, and a second pass changes nothing", async () => {
    const kernel = world();
    expect(await pass(kernel, 2, 3, 4)).toMatchInlineSnapshot(`
      "put nexthop id 116000001 via 10.42.4.0 dev flannel.1 onlink proto 116
      put route 10.42.2.0/24 via 10.42.2.0 dev flannel.1 onlink
      put route 10.42.3.0/24 via 10.42.3.0 dev flannel.1 onlink
      put route 10.42.4.0/24 nhid 116000001 via 10.42.4.0 dev flannel.1 onlink"
    `);
    expect(await pass(kernel, 2, 3, 4)).toBe("");
    expect(await pass(kernel, 2, 5)).toMatchInlineSnapshot(`
      "put route 10.42.5.0/24 via 10.42.5.0 dev flannel.1 onlink
      remove route 10.42.3.0/24 via 10.42.3.0 dev flannel.1 onlink
      remove route 10.42.4.0/24 nhid 116000001 via 10.42.4.0 dev flannel.1 onlink
      remove nexthop id 116000001 via 10.42.4.0 dev flannel.1 onlink proto 116"
    `);
    expect(await pass(kernel, 2, 5)).toBe("");
  });

  test("somebody else's object stays when no route goes over it any more", async () => {
    const kernel = world();
    await pass(kernel, 2);
    const foreign: Nexthop = { ...nexthopOf({ ...route(2), nexthop: 9 }), protocol: 4 };
    kernel.addNexthop(foreign);
    kernel.addRoute({ ...route(2), destination: route(3).destination, nexthop: 9 });
    expect(await pass(kernel, 2)).toBe(
      "remove route 10.42.3.0/24 nhid 9 via 10.42.2.0 dev flannel.1 onlink",
    );
    expect(kernel.print()).toContain(printObject(foreign));
  });

  test("an object that somebody removed, changed or took over is made good in one pass", async () => {
    const kernel = world();
    await pass(kernel, 2, 3, 4);
    const found = (await kernel.dump(wish().scope)).find(({ kind }) => kind === "nexthop");
    if (found?.kind !== "nexthop") throw new Error("the third route goes over an object");
    const ways = [
      () => kernel.removeNexthop(found.id),
      () => kernel.addNexthop({ ...found, gateway: parseIp("10.42.99.0") }),
      () => kernel.addNexthop({ ...found, protocol: ROUTE_PROTOCOL_TWILL + 1 }),
    ];
    for (const disturb of ways) {
      disturb();
      await pass(kernel, 2, 3, 4);
      expect(await pass(kernel, 2, 3, 4)).toBe("");
      expect(kernel.print()).toMatch(
        /^route 10\.42\.4\.0\/24 (nhid \d+ )?via 10\.42\.4\.0 dev flannel\.1 onlink$/m,
      );
    }
  });
});

test("D2: nexthop objects on the device of another agent of ours on this host stay", () => {
  const ours = isOurs({ links: ["flannel.1"], networks: [], sysctls: [] });
  const mine = nexthopOf({ ...route(2), nexthop: 77 });
  expect(ours(mine)).toBe(true);
  expect(ours({ ...mine, link: "flannel.7" })).toBe(false);
  expect(ours({ ...mine, link: "flannel-v6.7" })).toBe(false);
  // Of another backend, before this one.
  expect(ours({ ...mine, link: "eth0" })).toBe(true);
  expect(ours({ ...mine, protocol: 4 })).toBe(false);
});
