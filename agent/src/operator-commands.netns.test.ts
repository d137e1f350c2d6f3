/** Cleanup on the real kernel, among objects of every kind that are somebody else's. */
import { requires } from "linux/testing";
import { expect, test } from "vitest";
import { withBlackholes } from "./backends/blackholes.ts";
import { Cluster } from "./backends/memory-cluster.ts";
import { hostGw, vxlan } from "./backends/registry.ts";
import { parseCidr } from "./core/ip.ts";
import type { TrafficWish } from "./core/traffic-rules.ts";
import { NetlinkKernel } from "./kernel/netlink-kernel.ts";
import { watchRules } from "./kernel/netlink-rules.ts";
import { NamespaceWorld, runIn } from "./kernel/netlink-world.contract.ts";
import { runCommand } from "./operator-commands.ts";
import { ManualClock } from "./system/manual-clock.ts";
import { MemoryFiles } from "./system/memory-files.ts";
import { MemoryLog } from "./system/memory-log.ts";
import { NodeCommand } from "./system/node-command.ts";
import { openTrafficManager } from "./traffic-manager/firewalls.ts";
import type { TrafficManager } from "./traffic-manager/traffic-manager.ts";

const SUBNET_FILE = "/run/flannel/subnet.env";
const SUBNET_ENV =
  "FLANNEL_NETWORK=10.42.0.0/16\nFLANNEL_SUBNET=10.42.1.1/24\n" +
  "FLANNEL_IPV6_NETWORK=2001:db8:42::/48\nFLANNEL_IPV6_SUBNET=2001:db8:42:1::1/64\n" +
  "FLANNEL_MTU=1450\nFLANNEL_IPMASQ=false\n";

/** By other programs, another agent and an operator: of each kind one that is near to ours. */
const FOREIGN: readonly string[] = [
  "ip link add cni0 type bridge",
  "ip link set cni0 up",
  "ip address add 10.42.1.1/24 dev cni0",
  // A second flannel on the node, with a network of its own.
  "ip link add flannel.7 address 0e:00:00:00:00:07 type vxlan id 7 local 192.0.2.1 dev eth0 dstport 8477 nolearning",
  "ip link set flannel.7 up",
  "ip address add 10.99.1.0/32 dev flannel.7",
  "ip neighbour add 10.99.2.0 lladdr 0e:00:00:00:07:02 dev flannel.7 nud permanent",
  "bridge fdb append 0e:00:00:00:07:02 dev flannel.7 dst 192.0.2.2 self permanent",
  "ip route add 10.99.2.0/24 via 10.99.2.0 dev flannel.7 onlink",
  "ip route add 10.99.3.0/24 via 192.0.2.3 dev eth0 proto 116",
  // An operator's, inside the pod networks.
  "ip route add 10.42.77.0/24 via 192.0.2.77 dev eth0 proto static",
  "ip route add 10.42.78.0/24 via 192.0.2.77 dev eth0",
  "ip route add blackhole 10.42.79.0/24 proto 116",
  "ip route add 10.42.80.0/24 via 192.0.2.77 dev eth0 proto 116 table 100",
  "ip -6 route add 2001:db8:42:77::/64 via 2001:db8:1::77 dev eth0 proto static",
  "ip nexthop add id 908 via 192.0.2.5 dev eth0",
  "ip neighbour add 192.0.2.77 lladdr 0e:00:00:00:00:77 dev eth0 nud permanent",
  "ip rule add from 10.42.1.0/24 table 100 priority 500",
  "nft add table inet other",
  "nft add chain inet other pods",
  "nft add rule inet other pods ip saddr 10.42.0.0/16 accept",
  "iptables -t nat -A POSTROUTING -s 10.42.0.0/16 -d 192.0.2.77 -j MASQUERADE",
  "ip6tables -A FORWARD -s 2001:db8:42::/48 -j ACCEPT",
];

const NETWORK = parseCidr("10.42.0.0/16");
const OURS: TrafficWish = {
  pods: { network: NETWORK, subnet: parseCidr("10.42.1.0/24") },
  masquerade: true,
  forward: true,
  fullyRandom: false,
  ownNetworks: [NETWORK],
};
/** The second agent's. */
const OTHER = parseCidr("10.99.0.0/16");
const THEIRS: TrafficWish = {
  ...OURS,
  pods: { network: OTHER, subnet: parseCidr("10.99.1.0/24") },
  ownNetworks: [OTHER],
};

/** The second agent's way to many peers; ours takes every nexthop object with its mark for its own while it runs. */
const NEXTHOPS: readonly string[] = [
  "ip nexthop replace id 907 via 192.0.2.4 dev eth0 proto 116",
  "ip route replace 10.99.4.0/24 nhid 907 proto 116",
];

/** Everything there is, as iproute2 prints it. */
const EVERYTHING: readonly string[] = [
  "ip link",
  "ip -d link show type vxlan",
  "ip address",
  "ip route show table all",
  "ip -6 route show table all",
  "ip neighbour show nud permanent",
  "bridge fdb",
  "ip nexthop",
  "ip rule",
  "nft list table inet other",
  "iptables -S",
  "iptables -t nat -S",
  "ip6tables -S",
];

function say(world: NamespaceWorld, line: string): string {
  const [command = "", ...argv] = line.split(" ");
  return runIn(world.path, command, ...argv);
}

/** nftables and iptables of the world. */
function firewallsOf({ path }: NamespaceWorld): readonly TrafficManager[] {
  const command = new NodeCommand({
    signal: new AbortController().signal,
    wrapper: ["nsenter", `--net=${path}`],
  });
  const news = { watchRules, ruleGeneration: () => undefined, legacyRules: () => undefined };
  return [true, false].map((usesNftables) =>
    openTrafficManager({ ...news, usesNftables, command, log: new MemoryLog() }),
  );
}

requires(
  "netns",
  "vxlan",
  "iptables",
  "nft",
)("cleanup on the real kernel", () => {
  test.each([
    ["vxlan", vxlan],
    ["host-gw", hostGw],
  ])("D2: after %s all of ours is gone and nothing of others is", async (_, definition) => {
    await using world = new NamespaceWorld();
    const cluster = new Cluster(withBlackholes(definition), [4, 6], {});
    // Addresses that are still tested for being unique, for seconds on a busy machine, would count as changed.
    runIn(world.path, "sh", "-c", "echo 0 > /proc/sys/net/ipv6/conf/default/accept_dad");
    await world.addInterface("eth0", 1500, cluster.cardAddresses(1));
    for (const line of [...FOREIGN, ...NEXTHOPS]) say(world, line);
    const firewalls = firewallsOf(world);
    const [nftables, iptables] = firewalls;
    await iptables?.apply(4, THEIRS, "usual");
    const everything = (): string => EVERYTHING.map((line) => say(world, line)).join("--\n");
    const before = everything();

    const node = await cluster.nodeOn(world.kernel);
    await node.pass(await cluster.leases(2, 3));
    for (const line of NEXTHOPS) say(world, line);
    await iptables?.apply(4, OURS, "usual");
    await nftables?.apply(4, OURS, "usual");
    expect(say(world, "nft list tables")).toContain("table ip flannel-ipv4");
    expect(say(world, "ip route")).toContain("blackhole 10.42.1.0/24 proto 116 metric 4294967295");
    expect(everything()).not.toBe(before);
    const files = new MemoryFiles();
    files.texts.set(SUBNET_FILE, SUBNET_ENV);
    let out = "";
    const exitCode = await runCommand(
      "cleanup",
      [],
      {},
      {
        ask: () => Promise.resolve(undefined),
        openKernel: () => NetlinkKernel.open({ namespace: world.path, sysctls: NO_SYSCTLS }),
        removeDeadSocket: () => Promise.resolve(false),
        openFirewalls: () => firewalls,
        lockForCleanup: () => undefined,
        files,
        clock: new ManualClock(),
        writeOut: (text) => (out += text),
      },
    );
    expect(exitCode, out).toBe(0);
    expect(out).toMatch(/^removed route 10\.42\.2\.0\/24 via /);
    expect(everything()).toBe(before);
    expect(say(world, "nft list tables")).not.toContain("flannel");
    expect(files.texts.size).toBe(0);
  });
});

/** Cleanup touches none. */
const NO_SYSCTLS = {
  read: () => Promise.resolve(undefined),
  write: () => Promise.reject(new Error("nothing is written")),
};
