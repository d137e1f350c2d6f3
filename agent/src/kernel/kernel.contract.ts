/** What any kernel must do; run on the one in memory and on the real one. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { parseCidr, parseIp } from "../core/ip.ts";
import { linksContract } from "./kernel-links.contract.ts";
import { nexthopsContract } from "./kernel-nexthops.contract.ts";
import {
  addressesContract,
  blackholesContract,
  foreignRoutesContract,
  routesContract,
} from "./kernel-routes.contract.ts";
import {
  CARD,
  CARD_MTU,
  EVENT_LIMIT_MS,
  Fixture,
  MAC_3,
  SAMPLES,
} from "./kernel-world.contract.ts";
import type { ContractWorld } from "./kernel-world.contract.ts";
import { ROUTE_PROTOCOL_TWILL } from "./kernel.ts";
import type { KernelObject, Route, Sysctl } from "./kernel.ts";

export type { ContractWorld } from "./kernel-world.contract.ts";

/** Runs the contract on fresh worlds. */
export function kernelContract(name: string, open: () => Promise<ContractWorld>): void {
  describe.each(SAMPLES)(`${name}, IPv$family`, (sample) => {
    const fixture = new Fixture(sample);
    beforeEach(() => fixture.begin(open));
    afterEach(() => fixture.end());
    objectsContract(fixture);
    linksContract(fixture);
    addressesContract(fixture);
    routesContract(fixture);
    foreignRoutesContract(fixture);
    blackholesContract(fixture);
    nexthopsContract(fixture);
    readingContract(fixture);
    eventsContract(fixture);
  });
}

function objectsContract(fixture: Fixture): void {
  test("an empty scope is an empty dump", async () => {
    const { kernel } = fixture.world;
    expect(await kernel.dump({ links: [], networks: [], sysctls: [] })).toEqual([]);
    expect(await fixture.dump()).toEqual([]);
  });

  test("what was put is dumped", async () => {
    await fixture.put(...fixture.all);
    expect(await fixture.dump()).toEqual(fixture.sorted(...fixture.all));
  });

  test("putting the same again changes nothing", async () => {
    await fixture.put(...fixture.all);
    await fixture.put(...fixture.all);
    expect(await fixture.dump()).toEqual(fixture.sorted(...fixture.all));
  });

  test("putting other content replaces", async () => {
    await fixture.put(...fixture.all);
    const changed: readonly KernelObject[] = [
      { ...fixture.acceptRa, value: "1" },
      fixture.address,
      { ...fixture.device, mac: MAC_3, mtu: 1300 },
      { ...fixture.fdb, destination: fixture.sample.farIp },
      { ...fixture.neighbour, mac: MAC_3 },
      { ...fixture.route, protocol: ROUTE_PROTOCOL_TWILL },
    ];
    await fixture.put(...changed);
    expect(await fixture.dump()).toEqual(fixture.sorted(...changed));
  });

  test("removed objects are gone, and removing them again succeeds", async () => {
    await fixture.put(...fixture.all);
    const { route, neighbour, fdb, address, device } = fixture;
    await fixture.remove(route, neighbour, fdb, address);
    expect(await fixture.dump()).toEqual(fixture.sorted(device, fixture.acceptRa));
    await fixture.remove(route, neighbour, fdb, address);
    await fixture.remove(device);
    await fixture.remove(route, neighbour, fdb, address, device);
    expect(await fixture.dump()).toEqual([]);
  });

  test("a refused change stops no other, and its error names object, errno and reason", async () => {
    const { device, neighbour, fdb, route, sample } = fixture;
    const lost: Route = {
      ...route,
      destination: sample.otherSubnet,
      gateway: sample.farIp,
      onlink: false,
    };
    const results = await fixture.try("put", device, fdb, lost, neighbour, route);
    expect(results.map(({ error }) => error?.message)).toEqual([
      undefined,
      undefined,
      `cannot put route ${sample.otherSubnet} via ${sample.farIp} dev ${sample.device}: ${sample.unreachable}`,
      undefined,
      undefined,
    ]);
    expect(await fixture.dump()).toContainEqual(route);
  });

  test("a sysctl that is not there is refused, unless it is optional", async () => {
    const sysctl: Sysctl = { ...fixture.acceptRa, path: "net/ipv6/conf/absent0/accept_ra" };
    expect(await fixture.answer(sysctl)).toBe(
      "cannot put sysctl net/ipv6/conf/absent0/accept_ra = 0: ENOENT",
    );
    expect(await fixture.answer({ ...sysctl, optional: true })).toBe("made");
  });
}

function readingContract(fixture: Fixture): void {
  const { sample, cardRoute } = fixture;

  test("a route lookup answers with link, gateway and source, or not at all", async () => {
    const inPeerSubnet = parseIp(sample.family === 4 ? "10.42.2.9" : "2001:db8:42:2::9");
    await fixture.put(cardRoute);
    expect(
      await fixture.world.kernel.routesTo([
        sample.neighbourIp,
        sample.farIp,
        inPeerSubnet,
        sample.cardIp,
      ]),
    ).toEqual([
      { destination: sample.neighbourIp, link: CARD, source: sample.cardIp },
      undefined,
      { destination: inPeerSubnet, link: CARD, gateway: sample.neighbourIp, source: sample.cardIp },
      { destination: sample.cardIp, link: "lo", source: sample.cardIp },
    ]);
  });

  test("interfaces are listed with their addresses, and default routes", async () => {
    await fixture.world.appendRoute({
      ...cardRoute,
      destination: parseCidr(sample.family === 4 ? "0.0.0.0/0" : "::/0"),
    });
    const { interfaces, defaultRoutes } = await fixture.world.kernel.interfaces();
    const card = interfaces.find(({ name }) => name === CARD);
    expect(card).toMatchObject({ name: CARD, mtu: CARD_MTU, up: true });
    expect(card?.index).toBeGreaterThan(0);
    expect(card?.addresses).toContainEqual({
      address: sample.card,
      deprecated: false,
      permanent: true,
      temporary: false,
    });
    expect(defaultRoutes).toEqual([{ family: sample.family, link: CARD }]);
  });
}

function eventsContract(fixture: Fixture): void {
  test("watching tells of changes since the call, and ends with its signal", async () => {
    const controller = new AbortController();
    const limit = AbortSignal.any([controller.signal, AbortSignal.timeout(EVENT_LIMIT_MS)]);
    const events = fixture.world.kernel.watch(limit)[Symbol.asyncIterator]();
    await fixture.world.setUp(CARD, false);
    expect(await events.next()).toEqual({ done: false, value: { kind: "changed" } });
    await fixture.put({ ...fixture.device, up: false });
    expect(await events.next()).toEqual({ done: false, value: { kind: "changed" } });
    controller.abort();
    let last = await events.next();
    // What happened before the end may still be told.
    if (last.done !== true) last = await events.next();
    expect(last).toEqual({ done: true, value: undefined });
  });
}
