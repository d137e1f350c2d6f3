/** The part of the kernel contract about nexthop objects, and the routes over them. */
import { expect, test } from "vitest";
import {
  addToIp,
  cidr,
  cidrAddress,
  familyBits,
  familyOf,
  parseCidr,
  parseIp,
} from "../core/ip.ts";
import type { Cidr } from "../core/ip.ts";
import { CARD, CARD_MTU, EVENT_LIMIT_MS, SAMPLES, nextEvent } from "./kernel-world.contract.ts";
import type { Fixture } from "./kernel-world.contract.ts";
import { ROUTE_PROTOCOL_BOOT, ROUTE_PROTOCOL_TWILL } from "./kernel.ts";
import type { KernelObject, Nexthop, Route } from "./kernel.ts";

/** The nexthop objects of a contract's fixture. */
interface Nexthops {
  readonly fixture: Fixture;
  /** Over the tunnel and over the card, in place of `fixture.route` and `fixture.cardRoute`. */
  readonly nexthop: Nexthop;
  readonly cardNexthop: Nexthop;
  readonly route: Route;
  readonly cardRoute: Route;
  /** What is needed below `route`. */
  readonly base: readonly KernelObject[];
}

export function nexthopsContract(fixture: Fixture): void {
  const nexthop = nexthopFor(7, fixture.route);
  const cardNexthop = nexthopFor(8, fixture.cardRoute);
  const nexthops: Nexthops = {
    fixture,
    nexthop,
    cardNexthop,
    route: { ...fixture.route, nexthop: nexthop.id },
    cardRoute: { ...fixture.cardRoute, nexthop: cardNexthop.id },
    base: [fixture.device, fixture.acceptRa, fixture.address, fixture.fdb, fixture.neighbour],
  };
  objectsContract(nexthops);
  gatewaysContract(nexthops);
  routesOverThemContract(nexthops);
  formsContract(nexthops);
  lifeContract(nexthops);
  worldContract(nexthops);
}

function nexthopFor(id: number, { gateway, link, onlink }: Route): Nexthop {
  if (gateway === undefined) throw new Error("the sample routes have gateways");
  return { kind: "nexthop", id, link, gateway, onlink, protocol: ROUTE_PROTOCOL_TWILL };
}

/** One of the smallest prefixes inside a subnet and behind it. */
function narrow(subnet: Cidr, index: number): Cidr {
  const bits = familyBits(familyOf(subnet));
  return cidr(addToIp(cidrAddress(subnet), BigInt(index)), bits);
}

function objectsContract({ fixture, nexthop, cardNexthop, route, base }: Nexthops): void {
  test("the kernel says that it has nexthop objects", async () => {
    expect(await fixture.world.kernel.hasNexthops()).toBe(true);
  });

  test("a nexthop and the route over it are dumped; the route carries what the nexthop says", async () => {
    await fixture.put(...base, nexthop, route);
    expect(await fixture.dump()).toEqual(fixture.sorted(...base, nexthop, route));
    await fixture.put(nexthop, route);
    expect(await fixture.dump()).toEqual(fixture.sorted(...base, nexthop, route));
  });

  test("nexthops are dumped whatever the scope, whosever they are", async () => {
    const { kernel } = fixture.world;
    const foreign: Nexthop = { kind: "nexthop", id: 9, link: CARD, onlink: false, protocol: 4 };
    await fixture.put(cardNexthop);
    await fixture.world.addNexthop(foreign);
    expect(await kernel.dump({ links: [], networks: [], sysctls: [] })).toEqual([
      cardNexthop,
      foreign,
    ]);
  });

  test("a nexthop without a gateway is refused", async () => {
    const { gateway: _, ...rest } = cardNexthop;
    expect(await fixture.answer(rest)).toContain("EINVAL (a nexthop needs a gateway)");
  });

  test.each([0, 2 ** 32])("id %i names no nexthop", async (id) => {
    expect(await fixture.answer({ ...cardNexthop, id })).toContain("EINVAL");
    expect(await fixture.dump()).toEqual([]);
  });

  test("a nexthop put again takes its routes along to the new way", async () => {
    await fixture.put(...base, nexthop, route);
    const moved: Nexthop = { ...cardNexthop, id: nexthop.id };
    await fixture.put(moved);
    const { link, onlink, gateway } = moved;
    if (gateway === undefined) throw new Error("the sample nexthop has a gateway");
    const over: Route = { ...route, link, onlink, gateway };
    expect(await fixture.dump()).toEqual(fixture.sorted(...base, moved, over));
  });

  test("of hundreds in one batch only the refused ones are not made, and what goes over them", async () => {
    const many = Array.from({ length: 300 }, (_, index): readonly [Nexthop, Route] => [
      { ...nexthop, id: 1000 + index, onlink: index !== 77 },
      { ...route, destination: narrow(fixture.sample.peerSubnet, index), nexthop: 1000 + index },
    ]);
    await fixture.put(...base);
    const objects = [...many.map(([object]) => object), ...many.map(([, over]) => over)];
    const results = await fixture.try("put", ...objects);
    const refused = results.flatMap(({ error }, index) => (error === undefined ? [] : [index]));
    expect(refused).toEqual([77, 377]);
    expect([await fixture.nexthops(), await fixture.routes()]).toEqual(
      [many.map(([object]) => object), many.map(([, over]) => over)].map((kind) =>
        fixture.sorted(...kind.toSpliced(77, 1)),
      ),
    );
  });

  test("a removed nexthop takes the routes over it along; removing it again succeeds", async () => {
    const foreign: Route = { ...route, destination: fixture.sample.otherSubnet, protocol: 4 };
    await fixture.put(...base, nexthop, route, foreign);
    await fixture.remove(nexthop);
    expect(await fixture.dump()).toEqual(fixture.sorted(...base));
    await fixture.remove(nexthop);
  });
}

function gatewaysContract({ fixture, nexthop, cardNexthop }: Nexthops): void {
  const { sample, device } = fixture;

  test("a gateway that is not on the link is refused unless it is onlink", async () => {
    await fixture.put(device);
    expect(await fixture.answer({ ...nexthop, onlink: false })).toContain(sample.unreachable);
    expect(await fixture.answer(nexthop)).toBe("made");
    expect(await fixture.answer({ ...cardNexthop, gateway: sample.farIp })).toContain(
      sample.unreachable,
    );
    expect(await fixture.answer(cardNexthop)).toBe("made");
  });

  test("a refused nexthop leaves the one with its id as it was", async () => {
    await fixture.put(device, nexthop);
    expect(await fixture.answer({ ...nexthop, gateway: sample.cardIp })).toContain("EINVAL");
    expect(await fixture.nexthops()).toEqual([nexthop]);
  });

  test("a nexthop without its link is refused", async () => {
    expect(await fixture.answer(nexthop)).toContain("ENODEV");
  });

  test("IPv6 refuses an onlink gateway that a route on another device leads to; IPv4 does not", async () => {
    await fixture.put(device);
    await fixture.world.appendRoute(fixture.cardRoute);
    expect(await fixture.answer(nexthop)).toContain(sample.misled);
  });
}

function routesOverThemContract({ fixture, nexthop, cardNexthop, route }: Nexthops): void {
  const { sample, device } = fixture;

  test("a route over a nexthop that is not there is refused", async () => {
    await fixture.put(device);
    expect(await fixture.answer(route)).toMatch(
      /^cannot put route .* nhid 7 via .*: EINVAL \(Nexthop id does not exist\)$/,
    );
  });

  test("many routes may go over one nexthop", async () => {
    const others = [sample.otherSubnet, sample.outside].map((destination) => ({
      ...route,
      destination,
    }));
    await fixture.put(device, nexthop, route, ...others);
    expect(await fixture.routes()).toEqual(fixture.sorted(route, ...others));
  });

  test("a route over an IPv6 nexthop may be IPv4, not the other way round", async () => {
    const other = SAMPLES.find(({ family }) => family !== sample.family);
    if (other === undefined) throw new Error("there is a sample of the other family");
    await fixture.put(cardNexthop);
    const crossing: Route = {
      ...fixture.cardRoute,
      destination: other.peerSubnet,
      nexthop: cardNexthop.id,
    };
    const scope = { ...fixture.scope, networks: [other.network] };
    const answer = await fixture.answer(crossing);
    const dump = await fixture.world.kernel.dump(scope);
    const isMade = sample.family === 6;
    expect(answer).toContain(isMade ? "made" : "EINVAL (IPv6 routes can not use an IPv4 nexthop)");
    expect(dump.filter(({ kind }) => kind === "route")).toEqual(isMade ? [crossing] : []);
  });

  test("a nexthop under an IPv6 route does not become one of IPv4", async () => {
    // Without any address of IPv4 no IPv4 gateway is a good one.
    await fixture.world.addInterface("card1", CARD_MTU, [parseCidr("198.51.100.1/24")]);
    await fixture.put(device, nexthop, route);
    const other: Nexthop = { ...nexthop, gateway: parseIp("10.42.9.0") };
    expect(await fixture.answer(other)).toContain(
      sample.family === 4 ? "made" : "EINVAL (IPv6 routes can not use an IPv4 nexthop)",
    );
  });

  test("a lookup answers with what the nexthop says", async () => {
    await fixture.put(cardNexthop, { ...fixture.cardRoute, nexthop: cardNexthop.id });
    const destination = sample.peerGateway;
    expect(await fixture.world.kernel.routesTo([destination])).toEqual([
      { destination, link: CARD, gateway: sample.neighbourIp, source: sample.cardIp },
    ]);
  });
}

function formsContract({ fixture, nexthop, route, base }: Nexthops): void {
  test("a route changes from plain to a nexthop and back, and is one route all the time", async () => {
    await fixture.put(...base, fixture.route, nexthop, route);
    expect(await fixture.routes()).toEqual([route]);
    await fixture.put(fixture.route);
    expect(await fixture.routes()).toEqual([fixture.route]);
    expect(await fixture.nexthops()).toEqual([nexthop]);
  });

  test("a removal that states a nexthop removes no plain route, nor one over another nexthop", async () => {
    await fixture.put(...base, fixture.route, nexthop, { ...nexthop, id: 99 });
    await fixture.remove(route);
    expect(await fixture.routes()).toEqual([fixture.route]);
    await fixture.put(route);
    await fixture.remove({ ...route, nexthop: 99 }, { ...route, nexthop: 98 });
    expect(await fixture.routes()).toEqual([route]);
    await fixture.remove({ ...route, protocol: 4 });
    expect(await fixture.routes()).toEqual([route]);
    await fixture.remove(route);
    expect(await fixture.routes()).toEqual([]);
  });

  test("a removal that states no nexthop leaves a route over one in IPv4, and takes it in IPv6", async () => {
    await fixture.put(...base, nexthop, route);
    await fixture.remove({ ...fixture.route, protocol: 4 });
    expect(await fixture.routes()).toEqual([route]);
    await fixture.remove(fixture.route);
    expect(await fixture.routes()).toEqual(fixture.sample.family === 4 ? [route] : []);
  });

  test("the other form of a route is another route", async () => {
    await fixture.put(...base, nexthop, route);
    await fixture.world.appendRoute(fixture.route);
    expect(await fixture.routes()).toEqual([route, fixture.route]);
  });

  test("both forms of a route may stand beside each other; a put replaces the first in IPv4, the one of its form in IPv6", async () => {
    const plain: Route = { ...fixture.route, protocol: 4 };
    await fixture.put(...base, nexthop, route);
    await fixture.world.appendRoute(plain);
    expect(await fixture.routes()).toEqual([route, plain]);
    await fixture.put(fixture.route);
    const expected = fixture.sample.family === 4 ? [fixture.route, plain] : [route, fixture.route];
    expect(await fixture.routes()).toEqual(expected);
  });
}

function lifeContract({ fixture, nexthop, cardNexthop, route, cardRoute, base }: Nexthops): void {
  const { device } = fixture;

  test("a removed device takes its nexthops and the routes over them along", async () => {
    await fixture.put(...base, nexthop, route);
    await fixture.remove(device);
    expect(await fixture.dump()).toEqual([]);
  });

  test("a device set down loses its nexthops and the routes over them, and gets none until it is up", async () => {
    await fixture.put(...base, nexthop, route);
    await fixture.world.setUp(device.name, false);
    expect([...(await fixture.nexthops()), ...(await fixture.routes())]).toEqual([]);
    for (const onlink of [true, false])
      expect(await fixture.answer({ ...nexthop, onlink })).toContain(
        "ENETDOWN (Nexthop device is not up)",
      );
    await fixture.put(device, nexthop, route);
    expect(await fixture.routes()).toEqual([route]);
  });

  test("a card that loses its carrier loses its nexthops and the routes over them; plain routes stay", async () => {
    const plain: Route = { ...fixture.cardRoute, destination: fixture.sample.otherSubnet };
    await fixture.put(cardNexthop, cardRoute, plain);
    await fixture.world.setCarrier(CARD, false);
    expect(await fixture.dump()).toEqual([plain]);
    expect(await fixture.answer(cardNexthop)).toContain(
      "ENETDOWN (Carrier for nexthop device is down)",
    );
    expect(await fixture.answer(fixture.cardRoute)).toBe("made");
    await fixture.world.setCarrier(CARD, true);
    expect(await fixture.dump()).toEqual(fixture.sorted(plain, fixture.cardRoute));
    expect(await fixture.answer(cardNexthop)).toBe("made");
  });

  test("a tunnel keeps its nexthops and routes when the card below loses its carrier, or is set down", async () => {
    await fixture.put(...base, nexthop, route);
    await fixture.world.setCarrier(CARD, false);
    expect(await fixture.routes()).toEqual([route]);
    await fixture.world.setUp(CARD, false);
    expect(await fixture.routes()).toEqual([route]);
    expect(await fixture.nexthops()).toEqual([nexthop]);
  });

  test("without its last IPv4 address a device loses its plain routes, not those over nexthops", async () => {
    const plain: Route = { ...fixture.route, destination: fixture.sample.otherSubnet };
    await fixture.put(...base, nexthop, route, plain);
    await fixture.world.removeAddress(device.name, fixture.sample.ownAddress);
    expect(await fixture.routes()).toEqual(
      fixture.sample.family === 4 ? [route] : fixture.sorted(route, plain),
    );
  });

  test("another MAC or MTU of the device leaves them", async () => {
    await fixture.put(...base, nexthop, route);
    await fixture.put({ ...device, mtu: 1280 });
    expect(await fixture.nexthops()).toEqual([nexthop]);
    expect(await fixture.routes()).toEqual([route]);
  });
}

function worldContract({ fixture, nexthop, cardNexthop, cardRoute, base, route }: Nexthops): void {
  test("a nexthop that somebody else changed or removed is told, and dumped as it is", async () => {
    await fixture.put(...base, nexthop, route);
    const controller = new AbortController();
    const limit = AbortSignal.any([controller.signal, AbortSignal.timeout(EVENT_LIMIT_MS)]);
    const events = fixture.world.kernel.watch(limit)[Symbol.asyncIterator]();
    await fixture.world.removeNexthop(nexthop.id);
    expect(await nextEvent(events)).toMatchObject({ kind: "changed" });
    expect(await fixture.dump()).toEqual(fixture.sorted(...base));
    controller.abort();
  });

  test("somebody else's route over our nexthop is dumped with it", async () => {
    await fixture.put(cardNexthop);
    const foreign: Route = { ...cardRoute, protocol: ROUTE_PROTOCOL_BOOT };
    await fixture.world.appendRoute(foreign);
    expect(await fixture.dump()).toEqual(fixture.sorted(cardNexthop, foreign));
  });
}
