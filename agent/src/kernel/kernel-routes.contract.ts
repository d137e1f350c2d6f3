/** The part of the kernel contract about addresses and routes, ours and foreign. */
import { expect, test } from "vitest";
import { parseCidr, parseIp } from "../core/ip.ts";
import { CARD } from "./kernel-world.contract.ts";
import type { Fixture } from "./kernel-world.contract.ts";
import { ROUTE_PROTOCOL_BOOT } from "./kernel.ts";
import type { Address, Blackhole, Route } from "./kernel.ts";

export function addressesContract(fixture: Fixture): void {
  const { sample, device } = fixture;
  const wider: Address = { ...fixture.address, address: sample.ownAddressOtherLength };

  test("an address put again with another length: IPv4 has both, IPv6 keeps the first", async () => {
    await fixture.put(device, fixture.address);
    await fixture.put(wider);
    const addresses = (await fixture.dump()).filter((object) => object.kind === "address");
    expect(addresses).toEqual(sample.family === 4 ? [fixture.address, wider] : [fixture.address]);
  });

  test("removing an address with another length leaves it", async () => {
    await fixture.put(device, fixture.address);
    await fixture.remove(wider);
    expect(await fixture.dump()).toContainEqual(fixture.address);
  });

  test("without its last IPv4 address a device has no IPv4 routes and neighbours; IPv6 stays", async () => {
    await fixture.put(...fixture.all);
    await fixture.world.removeAddress(device.name, sample.ownAddress);
    const kept = sample.family === 4 ? [] : [fixture.neighbour, fixture.route];
    expect(await fixture.dump()).toEqual(
      fixture.sorted(device, fixture.acceptRa, fixture.fdb, ...kept),
    );
  });
}

export function routesContract(fixture: Fixture): void {
  const { sample, device, route, cardRoute } = fixture;

  test("a route inside the networks is dumped on whatever device, others only on ours", async () => {
    const outside = sample.outside;
    await fixture.put(device, cardRoute, { ...cardRoute, destination: outside });
    expect(await fixture.dump()).toEqual(
      fixture.sorted(device, { ...fixture.acceptRa, value: "1" }, cardRoute),
    );
    const ours: Route = { ...route, destination: outside, gateway: sample.otherGateway };
    await fixture.put(ours);
    expect(await fixture.dump()).toContainEqual(ours);
  });

  test("a route without a gateway leads to the device itself", async () => {
    const { gateway: _, ...direct } = { ...cardRoute };
    await fixture.put(direct);
    expect(await fixture.dump()).toEqual([direct]);
    await fixture.remove(direct);
    expect(await fixture.dump()).toEqual([]);
  });

  test("only the route with this gateway, link and protocol is removed", async () => {
    await fixture.put(cardRoute);
    await fixture.remove(
      { ...cardRoute, gateway: sample.farIp },
      { ...cardRoute, protocol: ROUTE_PROTOCOL_BOOT },
      route,
    );
    expect(await fixture.dump()).toEqual([cardRoute]);
  });

  test("a removal that states no gateway takes the route with any", async () => {
    const { gateway: _, ...direct } = cardRoute;
    await fixture.put(cardRoute);
    await fixture.remove({ ...direct, protocol: ROUTE_PROTOCOL_BOOT });
    expect(await fixture.dump()).toEqual([cardRoute]);
    await fixture.remove(direct);
    expect(await fixture.dump()).toEqual([]);
  });

  test("an own address is no gateway", async () => {
    await fixture.put(device);
    expect(await fixture.answer({ ...route, gateway: sample.cardIp })).toContain("EINVAL");
  });

  test("a destination with host bits is refused", async () => {
    const destination = parseCidr(sample.family === 4 ? "10.42.2.1/24" : "2001:db8:42:2::1/64");
    expect(await fixture.answer({ ...cardRoute, destination })).toContain("EINVAL");
  });

  test("setting a card down takes the routes through it", async () => {
    await fixture.put(cardRoute);
    await fixture.world.setUp(CARD, false);
    expect(await fixture.dump()).toEqual([]);
  });
}

export function blackholesContract(fixture: Fixture): void {
  const { sample, cardRoute } = fixture;
  const blackhole: Blackhole = { kind: "blackhole", destination: sample.peerSubnet };

  test("a blackhole is put, put again, dumped and removed, and removing it again succeeds", async () => {
    await fixture.put(blackhole);
    await fixture.put(blackhole);
    expect(await fixture.dump()).toEqual([blackhole]);
    await fixture.remove(blackhole);
    await fixture.remove(blackhole);
    expect(await fixture.dump()).toEqual([]);
  });

  test("a blackhole takes what has no other way, and only that, whichever came first", async () => {
    const inSubnet = parseIp(sample.family === 4 ? "10.42.2.9" : "2001:db8:42:2::9");
    const byDefault: Route = {
      ...cardRoute,
      destination: parseCidr(sample.family === 4 ? "0.0.0.0/0" : "::/0"),
    };
    const wayTo = async (): Promise<string | undefined> => {
      const [answer] = await fixture.world.kernel.routesTo([inSubnet]);
      return answer?.gateway;
    };
    await fixture.world.appendRoute(byDefault);
    expect(await wayTo()).toBe(byDefault.gateway);
    await fixture.put(blackhole);
    expect(await wayTo()).toBeUndefined();
    await fixture.put({ ...cardRoute, gateway: sample.secondNeighbourIp });
    expect(await wayTo()).toBe(sample.secondNeighbourIp);
    expect(await fixture.dump()).toContainEqual(blackhole);
    await fixture.remove(blackhole);
    expect(await wayTo()).toBe(sample.secondNeighbourIp);
  });

  test("a blackhole with host bits is refused", async () => {
    const destination = parseCidr(sample.family === 4 ? "10.42.2.1/24" : "2001:db8:42:2::1/64");
    expect(await fixture.answer({ ...blackhole, destination })).toContain("EINVAL");
  });

  test("a blackhole needs no device, and stays when the card goes down", async () => {
    await fixture.put(blackhole, cardRoute);
    await fixture.world.setUp(CARD, false);
    expect(await fixture.dump()).toEqual([blackhole]);
  });
}

export function foreignRoutesContract(fixture: Fixture): void {
  const { sample, cardRoute } = fixture;
  const foreign: Route = { ...cardRoute, protocol: ROUTE_PROTOCOL_BOOT };

  test("a foreign route for a destination is dumped, and replaced by a put", async () => {
    await fixture.world.appendRoute(foreign);
    expect(await fixture.dump()).toEqual([foreign]);
    await fixture.put(cardRoute);
    expect(await fixture.dump()).toEqual([cardRoute]);
  });

  test("IPv6 refuses an onlink gateway that a route on another device leads to; IPv4 does not", async () => {
    await fixture.put(fixture.device);
    await fixture.world.appendRoute(foreign);
    expect(await fixture.answer(fixture.route)).toContain(sample.misled);
    await fixture.remove(foreign);
    await fixture.put(fixture.route);
    expect(await fixture.routes()).toEqual([fixture.route]);
  });

  test("of two foreign routes IPv4 replaces the first, IPv6 both", async () => {
    const second: Route = { ...foreign, gateway: sample.secondNeighbourIp };
    await fixture.world.appendRoute(foreign);
    await fixture.world.appendRoute(second);
    expect(await fixture.dump()).toEqual(sample.family === 4 ? [foreign, second] : []);
    await fixture.put(cardRoute);
    expect(await fixture.dump()).toEqual(sample.family === 4 ? [cardRoute, second] : [cardRoute]);
  });

  test("a route equal to a later one is refused in IPv4", async () => {
    const second: Route = { ...foreign, gateway: sample.secondNeighbourIp };
    await fixture.world.appendRoute(foreign);
    await fixture.world.appendRoute(second);
    expect(await fixture.answer(second)).toContain(sample.doubled);
  });
}
