/** Each case of the reference's effect table (spec 06 section 1.1) sent as a real packet, and what its receiver sees. */
import { mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { requires } from "linux/testing";
import { afterAll, expect, test } from "vitest";
import { parseCidr } from "../core/ip.ts";
import type { Family } from "../core/ip.ts";
import type { TrafficWish } from "../core/traffic-rules.ts";
import { MemoryLog } from "../system/memory-log.ts";
import { openTrafficManager } from "./firewalls.ts";
import type { TrafficManager } from "./traffic-manager.ts";
import { NetnsFirewalls, programsOf } from "./netns-firewalls.contract.ts";
import {
  ADDRESSES,
  MARKED_PORTS,
  MARKS,
  MULTICAST,
  MULTICAST_PORT,
  PacketWorld,
} from "./netns-packets.contract.ts";
import type { Packet } from "./netns-packets.contract.ts";

const directory = mkdtempSync(join(tmpdir(), "twill-packets-"));
afterAll(() => rmSync(directory, { recursive: true }));
for (const variant of ["nft", "legacy"] as const) programsOf(variant, directory, symlinkSync);

const FAMILIES = [4, 6] as const;

function wish(family: Family): TrafficWish {
  const network = parseCidr(family === 4 ? "10.42.0.0/16" : "fd00:42::/56");
  const subnet = parseCidr(family === 4 ? "10.42.1.0/24" : "fd00:42:0:1::/64");
  return {
    pods: { network, subnet },
    masquerade: true,
    forward: true,
    fullyRandom: true,
    ownNetworks: [network],
  };
}

type Case = readonly [name: string, packet: Packet, source: string];

/** The last word of each: the source that the receiver sees. */
function cases(family: Family): readonly Case[] {
  const at = ADDRESSES[family];
  const one = (packet: Omit<Packet, "family">): Packet => ({ family, ...packet });
  const { pod1, pod2, remote, outside, container, bridge, external, tunnel } = at;
  const group = MULTICAST[family];
  return [
    ["pod to pod, same node", one({ at: "pod1", from: pod1, to: pod2, place: "pod2" }), pod1],
    ["pod to pod, other node", one({ at: "pod1", from: pod1, to: remote, place: "remote" }), pod1],
    ["remote pod to pod", one({ at: "remote", from: remote, to: pod1, place: "pod1" }), remote],
    ["node to pod", one({ at: "node", from: bridge, to: pod1, place: "pod1" }), bridge],
    [
      "node's address to pod",
      one({ at: "node", from: external, to: pod1, place: "pod1" }),
      external,
    ],
    ["outside to pod", one({ at: "outside", from: outside, to: pod1, place: "pod1" }), outside],
    [
      "container to pod",
      one({ at: "container", from: container, to: pod1, place: "pod1" }),
      container,
    ],
    [
      "pod to outside, marked 0x4000",
      one({ at: "pod1", from: pod1, to: outside, place: "outside", port: MARKED_PORTS.alone }),
      pod1,
    ],
    [
      "pod to outside, marked 0x4001",
      one({ at: "pod1", from: pod1, to: outside, place: "outside", port: MARKED_PORTS.among }),
      pod1,
    ],
    ["pod to outside", one({ at: "pod1", from: pod1, to: outside, place: "outside" }), external],
    [
      "remote pod to outside",
      one({ at: "remote", from: remote, to: outside, place: "outside" }),
      external,
    ],
    [
      "pod to container",
      one({ at: "pod1", from: pod1, to: container, place: "container" }),
      family === 4 ? "172.17.0.1" : "2001:db8:17::1",
    ],
    [
      "pod address to multicast",
      one({ at: "node", from: bridge, to: group, place: "outside", port: MULTICAST_PORT }),
      bridge,
    ],
    [
      "host network to outside",
      one({ at: "node", from: external, to: outside, place: "outside" }),
      external,
    ],
    [
      "host network to remote pod",
      one({ at: "node", from: external, to: remote, place: "remote" }),
      tunnel,
    ],
    [
      "outside to remote pod",
      one({ at: "outside", from: outside, to: remote, place: "remote" }),
      tunnel,
    ],
    [
      "container to remote pod",
      one({ at: "container", from: container, to: remote, place: "remote" }),
      tunnel,
    ],
    [
      "container to outside",
      one({ at: "container", from: container, to: outside, place: "outside" }),
      container,
    ],
  ];
}

class Node implements AsyncDisposable {
  readonly firewalls: NetnsFirewalls;
  readonly packets: PacketWorld;
  readonly manager: TrafficManager;

  constructor(variant: "nft" | "legacy", usesNftables: boolean) {
    this.firewalls = new NetnsFirewalls(join(directory, variant));
    this.packets = new PacketWorld(this.firewalls.namespace.path);
    const { command, watchRules, ruleGeneration, legacyRules } = this.firewalls;
    const log = new MemoryLog();
    const parts = { command, watchRules, ruleGeneration, legacyRules, usesNftables, log };
    this.manager = openTrafficManager(parts);
  }

  async apply(): Promise<void> {
    for (const family of FAMILIES) await this.manager.apply(family, wish(family), "all");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.packets[Symbol.asyncDispose]();
    await this.firewalls[Symbol.asyncDispose]();
  }
}

const ENGINES = [
  ["iptables, nf_tables variant", "nft", false],
  ["iptables, legacy variant", "legacy", false],
  ["nftables", "nft", true],
] as const;

requires(
  "netns",
  "iptables",
  "nft",
)("packets under the rules", () => {
  test.each(ENGINES)("%s: each case of the effect table", async (_, variant, usesNftables) => {
    await using node = new Node(variant, usesNftables);
    await node.packets.start();
    await node.firewalls.act(["nft", "-f", "-"], MARKS);
    const all = FAMILIES.flatMap((family) => cases(family));
    // Without rules everybody is seen as who he is.
    for (const [name, packet] of all)
      expect([name, await node.packets.seen(packet)]).toEqual([name, packet.from]);
    await node.apply();
    const seen: string[] = [];
    for (const [name, packet] of all) seen.push(`${name}: ${await node.packets.seen(packet)}`);
    expect(seen).toEqual(all.map(([name, , source]) => `${name}: ${source}`));
  });

  test.each(ENGINES)(
    "N6: %s: where others let nothing through, pods' packets pass",
    async (_, variant, usesNftables) => {
      await using node = new Node(variant, usesNftables);
      const { firewalls, packets } = node;
      await packets.start();
      for (const program of ["iptables", "ip6tables"])
        await firewalls.act([program, "-P", "FORWARD", "DROP"]);
      for (const family of FAMILIES) {
        const { pod1, remote } = ADDRESSES[family];
        const type = family === 4 ? "udp4" : "udp6";
        // If it were let through, it would be the first to arrive.
        const lost = { type, from: pod1, to: remote, port: 7000, text: "before the rules" };
        await packets.at("pod1").act("send", lost);
      }
      await node.apply();
      for (const family of FAMILIES) {
        const { pod1, remote } = ADDRESSES[family];
        const packet: Packet = { family, at: "pod1", from: pod1, to: remote, place: "remote" };
        expect(await packets.seen(packet)).toBe(pod1);
      }
    },
  );
});
