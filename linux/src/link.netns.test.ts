import { expect, test } from "vitest";
import { putFdbEntry } from "./fdb.ts";
import { type NewLink, addLink, changeLink, removeLink } from "./link.ts";
import { NetworkNamespace } from "./namespaces.ts";
import { RouteSocket } from "./route-socket.ts";
import { Fixture, linkNamed, must } from "./testing/fixture.ts";
import { iproute2 } from "./testing/iproute2.ts";
import { requires } from "./testing/requires.ts";
import type { Vxlan } from "./vxlan.ts";

requires("netns")("links in the kernel", () => {
  test("a new namespace has a loopback link that is down", async () => {
    using fixture = new Fixture();
    expect(await fixture.socket.links()).toEqual([
      {
        index: 1,
        name: "lo",
        mtu: 65536,
        mac: "00:00:00:00:00:00",
        up: false,
        lowerUp: false,
        loopback: true,
        pointToPoint: false,
        transmitQueueLength: 1000,
      },
    ]);
  });

  test("a bridge and a veth with its other end in a second namespace", async () => {
    using fixture = new Fixture();
    using pod = NetworkNamespace.create();
    using podSocket = RouteSocket.open({ namespace: pod.path });
    const { socket, namespace } = fixture;
    await must(socket, addLink({ name: "br0", kind: "bridge", mtu: 1400, up: true }));
    const masterIndex = (await linkNamed(socket, "br0")).index;
    const peer = {
      name: "eth0",
      mac: "0e:00:00:00:00:0a",
      mtu: 1400,
      namespace: { descriptor: pod.descriptor },
    };
    await must(
      socket,
      addLink({ name: "v0", kind: "veth", mtu: 1400, masterIndex, up: true, peer }),
    );
    await must(podSocket, changeLink({ name: "eth0" }, { up: true }));

    expect(await linkNamed(podSocket, "eth0")).toMatchObject({
      kind: "veth",
      mac: "0e:00:00:00:00:0a",
      mtu: 1400,
      up: true,
    });
    expect(await linkNamed(socket, "v0")).toMatchObject({ kind: "veth", masterIndex, up: true });
    expect(await socket.link({ name: "eth0" })).toBeUndefined();
    expect(iproute2("ip", namespace, "-details", "link", "show", "v0")).toMatchObject([
      { ifname: "v0", master: "br0", mtu: 1400, linkinfo: { info_kind: "veth" } },
    ]);
    expect(iproute2("ip", pod, "link", "show", "eth0")).toMatchObject([
      { ifname: "eth0", address: "0e:00:00:00:00:0a", mtu: 1400 },
    ]);
  });

  test("a link is moved into the namespace of a process", async () => {
    using fixture = new Fixture();
    const { socket } = fixture;
    using own = RouteSocket.open({ namespace: `/proc/${process.pid}/ns/net` });
    await must(socket, addLink({ name: "a", kind: "veth", peer: { name: "b" } }));
    const [refusal] = await socket.execute([
      changeLink({ name: "b" }, { namespace: { pid: 0x7fff_ffff } }),
    ]);
    expect(refusal?.code).toBe("ESRCH");
    expect(await own.link({ name: "lo" })).toMatchObject({ loopback: true });
    expect(await linkNamed(socket, "b")).toMatchObject({ kind: "veth" });
  });

  test("what is stated is changed and the rest is left", async () => {
    using fixture = new Fixture();
    const { socket, namespace } = fixture;
    await must(socket, addLink({ name: "br0", kind: "bridge", up: true }));
    const { index } = await linkNamed(socket, "br0");
    await must(socket, changeLink({ index }, { mtu: 1300, mac: "0e:00:00:00:00:03" }));
    await must(socket, changeLink({ index }, { transmitQueueLength: 7, name: "br1" }));
    await must(socket, changeLink({ name: "br1" }, { up: false }));
    expect(await socket.link({ index })).toMatchObject({
      name: "br1",
      mtu: 1300,
      mac: "0e:00:00:00:00:03",
      transmitQueueLength: 7,
      up: false,
    });
    expect(iproute2("ip", namespace, "link", "show", "br1")).toMatchObject([
      { mtu: 1300, address: "0e:00:00:00:00:03", txqlen: 7, operstate: "DOWN" },
    ]);
  });

  test("links are filtered by kind and master, and removed", async () => {
    using fixture = new Fixture();
    const { socket } = fixture;
    await must(
      socket,
      addLink({ name: "br0", kind: "bridge" }),
      addLink({ name: "br1", kind: "bridge" }),
      addLink({ name: "a", kind: "veth", peer: { name: "b" } }),
    );
    const masterIndex = (await linkNamed(socket, "br1")).index;
    await must(socket, changeLink({ name: "a" }, { masterIndex }));
    const namesOf = async (filter: Parameters<RouteSocket["links"]>[0]): Promise<string[]> =>
      (await socket.links(filter)).map((link) => link.name);
    expect(await namesOf({ kind: "bridge" })).toEqual(["br0", "br1"]);
    expect(await namesOf({ masterIndex })).toEqual(["a"]);
    expect(await namesOf({ kind: "no-such-kind" })).toEqual([]);
    expect(await namesOf({ masterIndex: 9999 })).toEqual([]);

    await must(socket, changeLink({ name: "a" }, { masterIndex: 0 }));
    expect(await namesOf({ masterIndex })).toEqual([]);
    await must(socket, removeLink({ name: "a" }), removeLink({ index: masterIndex }));
    expect(await namesOf({})).toEqual(["lo", "br0"]);
    expect(await socket.link({ index: masterIndex })).toBeUndefined();
  });
});

requires("netns", "vxlan")("vxlan links in the kernel", () => {
  test("the reference's device is what ip(8) shows", async () => {
    using fixture = await Fixture.withLinks();
    const { socket, namespace, underlay } = fixture;
    expect(iproute2("ip", namespace, "-details", "link", "show", "flannel.1")).toMatchObject([
      {
        ifname: "flannel.1",
        mtu: 1450,
        address: "0e:00:00:00:00:01",
        linkinfo: {
          info_kind: "vxlan",
          info_data: {
            id: 1,
            local: "192.0.2.1",
            link: "u0",
            port: 8472,
            learning: false,
            ttl: 0,
            ageing: 300,
            udp_csum: true,
            udp_zero_csum6_tx: false,
            udp_zero_csum6_rx: false,
          },
        },
      },
    ]);
    expect((await socket.links({ kind: "vxlan" })).map((link) => link.vxlan)).toEqual([
      {
        id: 1,
        lowerIndex: underlay,
        local: "192.0.2.1",
        port: 8472,
        learning: false,
        ttl: 0,
        tos: 0,
        proxy: false,
        routeShortCircuit: false,
        l2miss: false,
        l3miss: false,
        udpChecksum: true,
        zeroChecksumTransmit: false,
        zeroChecksumReceive: false,
        gbp: false,
        ageingSeconds: 300,
        limit: 0,
        sourcePorts: { first: 0, last: 0 },
      },
    ]);
  });

  test.each<Vxlan>([
    { id: 2, local: "2001:db8::1", port: 8473, gbp: true, learning: true, udpChecksum: false },
    { id: 3, group: "239.0.0.1", ttl: 9, tos: 4, ageingSeconds: 60, limit: 10, udpChecksum: false },
    {
      id: 0xff_fffe,
      group: "2001:db8::9",
      proxy: true,
      routeShortCircuit: true,
      l2miss: true,
      l3miss: true,
      zeroChecksumTransmit: true,
      zeroChecksumReceive: true,
      sourcePorts: { first: 20000, last: 30000 },
    },
  ])("settings are read back as they were given: %j", async (vxlan) => {
    using fixture = await Fixture.withLinks();
    const { socket, underlay } = fixture;
    const given: Vxlan = { ...vxlan, lowerIndex: underlay };
    await must(socket, addLink({ name: "vx", kind: "vxlan", vxlan: given }));
    expect((await linkNamed(socket, "vx")).vxlan).toMatchObject(given);
  });

  test("learning, ageing, local address and lower link change in place; port and VNI do not", async () => {
    using fixture = await Fixture.withLinks();
    const { socket, device } = fixture;
    await must(
      socket,
      addLink({ name: "u1", kind: "bridge", up: true }),
      putFdbEntry({ linkIndex: device, mac: "0e:00:00:00:00:02", destination: "192.0.2.2" }),
    );
    const before = await linkNamed(socket, "flannel.1");
    const id = before.vxlan?.id ?? 0;
    const lowerIndex = (await linkNamed(socket, "u1")).index;
    const vxlan = { id, learning: true, ageingSeconds: 77, local: "192.0.2.9", lowerIndex };
    await must(socket, changeLink({ name: "flannel.1" }, { vxlan }));
    const after = await linkNamed(socket, "flannel.1");
    expect(after).toEqual({ ...before, vxlan: { ...before.vxlan, ...vxlan } });
    expect(await socket.fdbEntries({ linkIndex: device })).toHaveLength(1);
    const refusals = await socket.execute(
      [{ id, port: 4789 }, { id: id + 1 }].map((other) =>
        changeLink({ name: "flannel.1" }, { vxlan: other }),
      ),
    );
    expect(refusals.map((refusal) => refusal?.code)).toEqual(["EOPNOTSUPP", "EOPNOTSUPP"]);
    expect(await linkNamed(socket, "flannel.1")).toEqual(after);
  });

  test("a refusal names the request, the code and the kernel's words", async () => {
    using fixture = await Fixture.withLinks();
    const again: NewLink = { name: "flannel.1", kind: "vxlan", vxlan: { id: 9 } };
    const sameId: NewLink = {
      name: "other",
      kind: "vxlan",
      vxlan: { id: 1, lowerIndex: fixture.underlay, local: "192.0.2.1", port: 8472 },
    };
    const refusals = await fixture.socket.execute([addLink(again), addLink(sameId)]);
    expect(refusals).toMatchObject([
      { code: "EEXIST", errno: 17, message: "cannot add link flannel.1 type vxlan: EEXIST" },
      {
        code: "EEXIST",
        detail: "A VXLAN device with the specified VNI already exists",
        message:
          "cannot add link other type vxlan: EEXIST (A VXLAN device with the specified VNI already exists)",
      },
    ]);
  });
});
