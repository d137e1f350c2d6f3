import { expect, test } from "vitest";
import { putAddress, removeAddress } from "./address.ts";
import { NetlinkError } from "./errors.ts";
import { putFdbEntry, removeFdbEntry } from "./fdb.ts";
import { addLink, changeLink, removeLink } from "./link.ts";
import { putNeighbour, removeNeighbour } from "./neighbour.ts";
import { putNexthop, removeNexthop } from "./nexthop.ts";
import { type RouteEvent, RouteEvents } from "./route-events.ts";
import { RouteSocket } from "./route-socket.ts";
import { putRoute, removeRoute } from "./route.ts";
import { Fixture, linkNamed, must } from "./testing/fixture.ts";
import { requires } from "./testing/requires.ts";

type Batches = AsyncGenerator<readonly RouteEvent[], void>;

/** All events up to the batch with one that fits; the test's time limit is the deadline. */
async function until(
  batches: Batches,
  fits: (event: RouteEvent) => boolean,
): Promise<readonly RouteEvent[]> {
  const seen: RouteEvent[] = [];
  while (!seen.some(fits)) {
    const { value, done } = await batches.next();
    if (done === true) throw new Error(`the events ended before: ${JSON.stringify(seen)}`);
    seen.push(...value);
  }
  return seen;
}

const isRoute =
  (kind: "put" | "remove", destination: string) =>
  (event: RouteEvent): boolean =>
    event.kind === kind && event.object === "route" && event.route.destination === destination;

/** The route whose events mark the end of what a test watches. */
const LAST = { destination: "10.99.0.0/16", type: "blackhole" } as const;

const ENDED = { value: undefined, done: true };

requires("netns", "vxlan")("kernel events", () => {
  test("say nothing of neighbours, routes and nexthops that were asked for at an ignored port, and all of what others ask for", async () => {
    using fixture = await Fixture.withLinks();
    const { socket, namespace } = fixture;
    await must(socket, addLink({ name: "one", kind: "bridge", up: true }));
    const { index: linkIndex } = await linkNamed(socket, "one");
    using others = RouteSocket.open({ namespace: namespace.path });
    using events = RouteEvents.open({ namespace: namespace.path, ignoredPort: socket.port });
    const batches = events[Symbol.asyncIterator]();
    const neighbour = { linkIndex, address: "192.0.2.7", mac: "02:00:00:00:00:07" };
    const nexthop = { id: 7, family: "inet", linkIndex } as const;
    const route = { destination: "10.42.7.0/24", linkIndex };
    const puts = [putNeighbour(neighbour), putNexthop(nexthop), putRoute(route)];
    const removals = [removeRoute(route), removeNeighbour(neighbour)];
    await must(socket, ...puts, ...removals, changeLink({ name: "one" }, { mtu: 1400 }));
    await must(others, ...puts, putRoute(LAST));
    const seen = await until(batches, isRoute("put", LAST.destination));
    const told = seen.flatMap((event) =>
      event.kind === "overrun" ? [event.kind] : [`${event.kind} ${event.object}`],
    );
    // Of the end of a neighbour the kernel does not say who asked.
    expect(told.filter((one) => one !== "put link")).toEqual([
      "remove neighbour",
      "put neighbour",
      "put nexthop",
      "put route",
      "put route",
    ]);
    expect(told).toContain("put link");
    await must(socket, removeNexthop(nexthop));
    await until(batches, (event) => event.kind === "remove" && event.object === "nexthop");
  });

  test.each(["10.42.2.0/24", "2001:db8:42:2::/64"])(
    "say of a route to %s over another device that it took the place of the first, which is told of no more",
    async (destination) => {
      using fixture = await Fixture.withLinks();
      const { socket, namespace } = fixture;
      for (const name of ["one", "two"])
        await must(socket, addLink({ name, kind: "bridge", up: true }));
      const [one, two] = [await linkNamed(socket, "one"), await linkNamed(socket, "two")];
      using events = RouteEvents.open({ namespace: namespace.path, kinds: ["route"] });
      const batches = events[Symbol.asyncIterator]();
      await must(
        socket,
        putRoute({ destination, linkIndex: one.index }),
        putRoute({ destination, linkIndex: two.index }),
        putRoute(LAST),
      );
      const seen = await until(batches, isRoute("put", LAST.destination));
      const told = seen.flatMap((event) =>
        event.kind !== "overrun" &&
        event.object === "route" &&
        event.route.destination === destination
          ? [`${event.kind} ${event.route.linkIndex} ${event.replaces ?? false}`]
          : [],
      );
      expect(told).toEqual([`put ${one.index} false`, `put ${two.index} true`]);
    },
  );

  test.each([
    ["10.42.2.0/24", "10.42.2.0"],
    ["2001:db8:42:2::/64", "2001:db8:42:2::"],
  ])("tell of everything that was put and removed for %s", async (destination, address) => {
    using fixture = await Fixture.withLinks();
    const { socket, namespace, device: linkIndex } = fixture;
    const prefixLength = destination.includes(":") ? 128 : 32;
    const own = { linkIndex, address, prefixLength, noDad: true };
    const neighbour = { linkIndex, address, mac: "0e:00:00:00:00:02" };
    const entry = { linkIndex, mac: "0e:00:00:00:00:02", destination: "192.0.2.2" };
    const nexthop = { id: 7, gateway: address, linkIndex, onlink: true };
    using events = RouteEvents.open({ namespace: namespace.path });
    const batches = events[Symbol.asyncIterator]();
    await must(
      socket,
      putNeighbour(neighbour),
      putFdbEntry(entry),
      putNexthop(nexthop),
      putRoute({ destination, nexthopId: 7 }),
      removeRoute({ destination }),
      removeNexthop({ id: 7 }),
      removeFdbEntry(entry),
      removeNeighbour(neighbour),
      putAddress(own),
    );
    // The kernel tells of an IPv6 address a little later.
    const first = await until(
      batches,
      (event) => event.kind === "put" && event.object === "address",
    );
    await must(
      socket,
      removeAddress(own),
      addLink({ name: "br9", kind: "bridge" }),
      removeLink({ name: "br9" }),
      putRoute(LAST),
    );
    const seen = [...first, ...(await until(batches, isRoute("put", LAST.destination)))];
    const expected: readonly object[] = [
      { kind: "put", object: "neighbour", neighbour },
      { kind: "put", object: "nexthop", nexthop },
      { kind: "put", object: "route", route: { destination, nexthopId: 7, linkIndex } },
      { kind: "remove", object: "route", route: { destination } },
      { kind: "remove", object: "nexthop", nexthop: { id: 7 } },
      { kind: "put", object: "address", address: { linkIndex, address, prefixLength } },
      { kind: "remove", object: "address", address: { linkIndex, address } },
      { kind: "put", object: "link", link: { name: "br9", kind: "bridge" } },
      { kind: "remove", object: "link", link: { name: "br9" } },
      { kind: "put", object: "fdb", fdbEntry: entry },
      { kind: "remove", object: "fdb", fdbEntry: entry },
    ];
    const missing = expected.filter((event) => !seen.some((one) => holds(one, event)));
    expect(missing).toEqual([]);
  });

  test("only what was asked for is told", async () => {
    using fixture = await Fixture.withLinks();
    const { socket, namespace, device } = fixture;
    using events = RouteEvents.open({ namespace: namespace.path, kinds: ["route"] });
    await must(
      socket,
      putNeighbour({ linkIndex: device, address: "10.42.2.0", mac: "0e:00:00:00:00:02" }),
      changeLink({ index: device }, { mtu: 1400 }),
      putRoute(LAST),
    );
    const seen = await until(events[Symbol.asyncIterator](), isRoute("put", LAST.destination));
    expect(new Set(seen.map((event) => event.kind !== "overrun" && event.object))).toEqual(
      new Set(["route"]),
    );
  });

  test("a port of a bridge that is let go is no link that is gone", async () => {
    using fixture = await Fixture.withLinks();
    const { socket, namespace, underlay: masterIndex } = fixture;
    await must(socket, addLink({ name: "a", kind: "veth", masterIndex, peer: { name: "b" } }));
    using events = RouteEvents.open({ namespace: namespace.path });
    await must(socket, changeLink({ name: "a" }, { masterIndex: 0 }), putRoute(LAST));
    const seen = await until(events[Symbol.asyncIterator](), isRoute("put", LAST.destination));
    const removed = seen.filter((event) => event.kind === "remove" && event.object === "link");
    expect(removed).toEqual([]);
    expect(seen.some((event) => event.kind === "put" && event.object === "link")).toBe(true);
  });

  test("a burst that does not fit is reported as an overrun, and nothing is lost in silence", async () => {
    using fixture = await Fixture.withLinks();
    const { socket, namespace } = fixture;
    using events = RouteEvents.open({ namespace: namespace.path, receiveBufferBytes: 2048 });
    const batches = events[Symbol.asyncIterator]();
    const burst = Array.from({ length: 2_000 }, (_, n) => ({
      ...LAST,
      destination: `10.${n >> 8}.${n & 255}.0/24`,
    }));
    const isOverrun = (event: RouteEvent): boolean => event.kind === "overrun";
    let number = 0;
    /** Puts a route and waits until its event, or an overrun in its place, has come. */
    const comesThrough = async (): Promise<"event" | "overrun"> => {
      number += 1;
      const marker = { ...LAST, destination: `198.51.${number >> 8}.${number & 255}/32` };
      const isMarker = isRoute("put", marker.destination);
      await must(socket, putRoute(marker));
      const seen = await until(batches, (event) => isMarker(event) || isOverrun(event));
      return seen.some(isMarker) ? "event" : "overrun";
    };
    // The reading thread sometimes keeps up with a burst, and a burst can end in two overruns.
    for (let overruns = 0; overruns < 10;) {
      await must(socket, ...burst.map(putRoute), ...burst.map(removeRoute));
      if ((await comesThrough()) === "event") continue;
      overruns += 1;
      await comesThrough();
    }
    let last = await comesThrough();
    while (last === "overrun") last = await comesThrough();
    expect(last).toBe("event");
  });

  test("a burst of 10,000 neighbours fits the usual buffer", async () => {
    using fixture = await Fixture.withLinks();
    const { socket, namespace, device: linkIndex } = fixture;
    using events = RouteEvents.open({ namespace: namespace.path });
    const neighbours = Array.from({ length: 10_000 }, (_, n) => ({
      linkIndex,
      address: `10.1.${n >> 8}.${n & 255}`,
      mac: "0e:00:00:00:00:02",
    }));
    await must(socket, ...neighbours.map(putNeighbour), putRoute(LAST));
    const seen = await until(events[Symbol.asyncIterator](), isRoute("put", LAST.destination));
    const told = new Set(
      seen.flatMap((event) =>
        event.kind === "put" && event.object === "neighbour" ? [event.neighbour.address] : [],
      ),
    );
    expect(seen.filter((event) => event.kind === "overrun")).toEqual([]);
    expect(neighbours.every(({ address }) => told.has(address))).toBe(true);
  });

  test("an abort ends the iteration", async () => {
    using fixture = await Fixture.withLinks();
    const abort = new AbortController();
    const { path } = fixture.namespace;
    const events = RouteEvents.open({ namespace: path, signal: abort.signal });
    const waiting = events[Symbol.asyncIterator]().next();
    abort.abort();
    expect(await waiting).toEqual(ENDED);

    const late = RouteEvents.open({ namespace: path, signal: abort.signal });
    expect(await late[Symbol.asyncIterator]().next()).toEqual(ENDED);
  });

  test("close ends the iteration, more than once", async () => {
    using fixture = await Fixture.withLinks();
    const events = RouteEvents.open({ namespace: fixture.namespace.path });
    const waiting = events[Symbol.asyncIterator]().next();
    events.close();
    events.close();
    expect(await waiting).toEqual(ENDED);
  });

  test("a namespace that is not there", () => {
    const open = (): RouteEvents =>
      RouteEvents.open({ namespace: "/nonexistent/netns", kinds: ["link", "route"] });
    expect(open).toThrow(NetlinkError);
    expect(open).toThrow("cannot watch link, route changes in /nonexistent/netns: ENOENT");
  });
});

/** Whether a value has everything that `part` has. */
function holds(value: unknown, part: unknown): boolean {
  if (typeof part !== "object" || part === null) return value === part;
  if (typeof value !== "object" || value === null) return false;
  const fields = new Map<string, unknown>(Object.entries(value));
  return Object.entries(part).every(([key, inner]) => holds(fields.get(key), inner));
}
