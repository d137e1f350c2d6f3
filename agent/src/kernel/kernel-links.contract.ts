/** The part of the kernel contract about devices, and what lives and dies with them. */
import { expect, test } from "vitest";
import { parseMac } from "../core/mac.ts";
import { CARD, CARD_MTU, MAC_2, MAC_3, SAMPLES } from "./kernel-world.contract.ts";
import type { Fixture } from "./kernel-world.contract.ts";
import type { Link } from "./kernel.ts";

export function linksContract(fixture: Fixture): void {
  const { device } = fixture;

  test("MTU and learning change in place: what the device carries stays", async () => {
    await fixture.put(...fixture.all);
    const { vxlan } = fixture;
    const changed: Link = { ...device, mtu: 1280, vxlan: { ...vxlan, learning: true } };
    await fixture.put(changed);
    expect(await fixture.dump()).toEqual(
      fixture.sorted(changed, ...fixture.all.filter((object) => object !== device)),
    );
    await fixture.put({ ...changed, vxlan: { ...vxlan, learning: false } });
    expect(await fixture.dump()).toContainEqual({ ...changed, vxlan });
  });

  test("the MAC changes in place, and takes the neighbours along", async () => {
    await fixture.put(...fixture.all);
    const changed: Link = { ...device, mac: MAC_3 };
    await fixture.put(changed);
    const { acceptRa, address, fdb, route } = fixture;
    expect(await fixture.dump()).toEqual(fixture.sorted(changed, acceptRa, address, fdb, route));
  });

  test.each(["vni", "port"] as const)("another %s is refused, not put in place", async (name) => {
    await fixture.put(...fixture.all);
    const { vxlan } = fixture;
    expect(await fixture.answer({ ...device, vxlan: { ...vxlan, [name]: 77 } })).toContain(
      "EEXIST (a device with this name and other attributes is there)",
    );
    expect(await fixture.dump()).toEqual(fixture.sorted(...fixture.all));
  });

  test("a second device with the same VNI and port is refused", async () => {
    await fixture.put(device);
    expect(await fixture.answer({ ...device, name: "other0", mac: MAC_2 })).toContain(
      "EEXIST (A VXLAN device with the specified VNI already exists); another vxlan device has VNI 1 and port 8472",
    );
  });

  test("a name of more than 15 letters is refused", async () => {
    expect(await fixture.answer({ ...device, name: "flannel.16777215" })).toContain(
      "cannot put link flannel.16777215",
    );
  });

  test("a device without its lower device is refused", async () => {
    await fixture.world.removeInterface(CARD);
    expect(await fixture.answer(device)).toMatch(/^cannot put link .*: ENODEV/);
  });

  test("a group address is refused as MAC", async () => {
    const group = parseMac("01:00:5e:00:00:01");
    expect(await fixture.answer({ ...device, mac: group })).toContain("EADDRNOTAVAIL");
    expect(await fixture.dump()).toEqual([]);
  });

  test("a new device gets the MTU that fits, and none that does not fit later", async () => {
    await fixture.put({ ...device, mtu: CARD_MTU });
    expect(await fixture.dump()).toContainEqual(device);
    expect(await fixture.answer({ ...device, mtu: CARD_MTU })).toContain("EINVAL");
    expect(await fixture.dump()).toContainEqual(device);
  });

  test("a removed device takes all it carries along", async () => {
    await fixture.put(...fixture.all);
    await fixture.world.removeInterface(device.name);
    expect(await fixture.dump()).toEqual([]);
  });

  test("a device goes with the one that carries its packets", async () => {
    await fixture.put(...fixture.all);
    await fixture.world.removeInterface(CARD);
    expect(await fixture.dump()).toEqual([]);
  });

  test("a device set down loses routes and neighbours, and gets up by a put", async () => {
    await fixture.put(...fixture.all);
    await fixture.world.setUp(device.name, false);
    const down: Link = { ...device, up: false };
    const kept = fixture.sample.family === 4 ? [fixture.address] : [];
    expect(await fixture.dump()).toEqual(
      fixture.sorted(down, fixture.acceptRa, fixture.fdb, ...kept),
    );
    expect(await fixture.answer(fixture.route)).toContain("ENETDOWN (Nexthop device is not up)");
    await fixture.put(device, fixture.address, fixture.neighbour, fixture.route);
    expect(await fixture.dump()).toEqual(fixture.sorted(...fixture.all));
  });

  test("an FDB entry needs a vxlan device, of the family of its destination", async () => {
    await fixture.put(device);
    expect(await fixture.answer({ ...fixture.fdb, link: CARD })).toContain("EOPNOTSUPP");
    const [destination] = SAMPLES.filter(({ family }) => family !== fixture.sample.family);
    if (destination === undefined) throw new Error("there is a sample of the other family");
    expect(
      await fixture.answer({ ...fixture.fdb, destination: destination.neighbourIp }),
    ).toContain("EAFNOSUPPORT");
  });

  test.each(["address", "neighbour", "fdb", "route"] as const)(
    "%s is refused where there is no device",
    async (kind) => {
      expect(await fixture.answer(fixture[kind])).toContain("ENODEV");
    },
  );

  test("removing an FDB entry with another destination leaves it", async () => {
    await fixture.put(device, fixture.fdb);
    await fixture.remove({ ...fixture.fdb, destination: fixture.sample.farIp });
    expect(await fixture.dump()).toContainEqual(fixture.fdb);
  });
}
