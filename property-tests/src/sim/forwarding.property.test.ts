/** The reading of forwarding itself, over kernels made by hand: what the worlds of healthy agents never show. */
import { cidr, parseCidr, parseIp } from "agent/core/ip.ts";
import type { Ip } from "agent/core/ip.ts";
import { parseMac } from "agent/core/mac.ts";
import type { Mac } from "agent/core/mac.ts";
import type { KernelObject } from "agent/kernel/kernel.ts";
import { MemoryKernel } from "agent/kernel/memory-kernel.ts";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Forwarding, type ForwardingNode } from "./forwarding.ts";
import { blockOf } from "./stored.ts";

const DESTINATION = parseCidr("10.42.9.0/24");
const GATEWAY = parseIp("10.42.9.0");

function ipOf(number: number): Ip {
  return parseIp(`192.0.2.${number}`);
}

function macOf(number: number): Mac {
  return parseMac(`0e:00:00:00:00:0${number}`);
}

function machine(number: number): ForwardingNode {
  const kernel = new MemoryKernel();
  const [publicIp, publicIpv6] = [ipOf(number), parseIp(`2001:db8::${number}`)];
  kernel.addInterface({ name: "eth0", addresses: [cidr(publicIp, 24)] });
  return { name: `n${number}`, publicIp, publicIpv6, kernel };
}

async function put({ kernel }: ForwardingNode, objects: readonly KernelObject[]): Promise<void> {
  const results = await kernel.apply(objects.map((object) => ({ action: "put", object })));
  expect(results.filter(({ error }) => error !== undefined)).toEqual([]);
}

/** As host-gw leads to it. */
function direct(gateway: Ip, destination = DESTINATION): KernelObject {
  return { kind: "route", destination, gateway, link: "eth0", onlink: false, protocol: 116 };
}

function tunnel(number: number): KernelObject {
  return {
    kind: "link",
    name: "flannel.1",
    type: "vxlan",
    mac: macOf(number),
    mtu: 1450,
    up: true,
    vxlan: {
      vni: 1,
      port: 8472,
      local: ipOf(number),
      lowerLink: "eth0",
      learning: false,
      gbp: false,
    },
  };
}

/** As vxlan leads to it: FDB entry, neighbour, route. */
function tunnelled(mac: Mac, destination: Ip): readonly KernelObject[] {
  const link = "flannel.1";
  return [
    { kind: "fdb", link, mac, destination },
    { kind: "neighbour", link, address: GATEWAY, mac },
    {
      kind: "route",
      destination: DESTINATION,
      gateway: GATEWAY,
      link,
      onlink: true,
      protocol: 3,
    },
  ];
}

/** What becomes of packets that the first machine sends into the subnet of the owner. */
function way(nodes: readonly ForwardingNode[], owner: number): { arrives: boolean; path: string } {
  const [first] = nodes;
  const block = blockOf(DESTINATION);
  if (first === undefined || block === undefined) throw new Error("no machine, or no subnet");
  const publicIp = ipOf(owner);
  return new Forwarding(nodes).way(first, { block, owner: publicIp, publicIp });
}

describe("D7: the way of a packet", () => {
  test("over any number of machines it ends at the owner, or in a loop where the last one sends it back", async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 2, max: 9 }), fc.nat(8), async (count, back) => {
        const nodes = Array.from({ length: count }, (_, index) => machine(index + 1));
        for (const [index, node] of nodes.slice(0, -1).entries())
          await put(node, [direct(ipOf(index + 2))]);
        expect(way(nodes, count).arrives).toBe(true);
        expect(way(nodes, 1).arrives).toBe(false);
        const [last] = nodes.slice(-1);
        if (last !== undefined) await put(last, [direct(ipOf((back % (count - 1)) + 1))]);
        expect(way(nodes, count)).toMatchObject({
          arrives: false,
          path: expect.stringContaining("a loop"),
        });
      }),
    );
  });

  test("the longest prefix leads", async () => {
    const nodes = [machine(1), machine(2), machine(3)] as const;
    await put(nodes[0], [direct(ipOf(2), parseCidr("10.42.0.0/16")), direct(ipOf(3))]);
    expect(way(nodes, 3)).toEqual({ arrives: true, path: "n1 -> 192.0.2.3 n3 and no further" });
  });

  test("an owner outside of the world is reached at its address", async () => {
    const node = machine(1);
    await put(node, [direct(ipOf(7))]);
    expect(way([node], 7)).toEqual({ arrives: true, path: "n1 -> 192.0.2.7" });
    expect(way([node], 8)).toEqual({ arrives: false, path: "n1 -> 192.0.2.7" });
  });

  test("through a tunnel every link of the chain is needed, at both ends", async () => {
    const nodes = [machine(1), machine(2)] as const;
    await put(nodes[0], [tunnel(1), ...tunnelled(macOf(2), ipOf(2))]);
    expect(way(nodes, 2).path).toBe("n1 -> 192.0.2.2: no flannel.1 0e:00:00:00:00:02");
    await put(nodes[1], [tunnel(2)]);
    expect(way(nodes, 2)).toEqual({ arrives: true, path: "n1 -> 192.0.2.2 n2 and no further" });
    const [fdb, neighbour] = tunnelled(macOf(2), ipOf(2));
    if (fdb === undefined || neighbour === undefined) throw new Error("no objects");
    await nodes[0].kernel.apply([{ action: "remove", object: fdb }]);
    expect(way(nodes, 2)).toEqual({
      arrives: false,
      path: "n1: no FDB entry 0e:00:00:00:00:02 dev flannel.1",
    });
    await nodes[0].kernel.apply([{ action: "remove", object: neighbour }]);
    expect(way(nodes, 2).path).toBe("n1: no neighbour 10.42.9.0 dev flannel.1");
  });
});
