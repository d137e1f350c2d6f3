/** The backends on the real kernel, as `ip` and `bridge` show it. */
import { requires } from "linux/testing";
import { expect, test } from "vitest";
import { NamespaceWorld, runIn } from "../kernel/netlink-world.contract.ts";
import type { NetlinkKernel } from "../kernel/netlink-kernel.ts";
import type { BackendDefinition } from "./backend.ts";
import { Cluster } from "./memory-cluster.ts";
import type { Node } from "./memory-cluster.ts";
import { hostGw, vxlan } from "./registry.ts";

/** As many as fit beside us in 10.42.0.0/16. */
const PEERS = 254;

requires("netns", "vxlan")("on the real kernel", () => {
  async function open(
    definition: BackendDefinition,
    options: object = {},
  ): Promise<{
    readonly cluster: Cluster;
    readonly world: NamespaceWorld;
    readonly node: Node<NetlinkKernel>;
  }> {
    const world = new NamespaceWorld();
    const cluster = new Cluster(definition, [4, 6], options);
    await world.addInterface("eth0", 1500, cluster.cardAddresses(1));
    return { cluster, world, node: await cluster.nodeOn(world.kernel) };
  }

  /** What `ip` and `bridge` say of pods' routes and our devices, the kernel's own left out. */
  function shown(world: NamespaceWorld): string {
    const said = [
      world.ip("route"),
      world.ip("-6", "route"),
      world.ip("neighbour", "show", "nud", "permanent"),
      runIn(world.path, "bridge", "fdb"),
    ];
    return said
      .join("")
      .split("\n")
      .filter((line) => /10\.42\.|2001:db8:42:|dst /.test(line))
      .filter((line) => !line.includes("proto kernel"))
      .map((line) => line.trim())
      .toSorted()
      .join("\n");
  }

  test("vxlan shows the reference's kernel state, and a second pass changes nothing", async () => {
    const { cluster, world, node } = await open(vxlan);
    await using _ = world;
    const peers = await cluster.leases(2);
    await node.pass(peers);
    expect(shown(world)).toMatchInlineSnapshot(`
      "10.42.2.0 dev flannel.1 lladdr ae:a6:d3:79:d5:69 PERMANENT
      10.42.2.0/24 via 10.42.2.0 dev flannel.1 onlink
      2001:db8:42:2:: dev flannel-v6.1 lladdr f6:0c:49:7f:69:4e PERMANENT
      2001:db8:42:2::/64 via 2001:db8:42:2:: dev flannel-v6.1 metric 1024 onlink pref medium
      ae:a6:d3:79:d5:69 dev flannel.1 dst 192.0.2.2 self permanent
      f6:0c:49:7f:69:4e dev flannel-v6.1 dst 2001:db8:1::2 self permanent"
    `);
    expect(await node.pass(peers)).toEqual({ changes: [], failures: [], held: [] });
    expect(world.ip("address", "show", "dev", "flannel.1")).toContain(
      "inet 10.42.1.0/32 scope global",
    );
    await node.pass([]);
    expect(shown(world)).toBe("");
  });

  test("host-gw shows plain routes, and a second pass changes nothing", async () => {
    const { cluster, world, node } = await open(hostGw);
    await using _ = world;
    const peers = await cluster.leases(2);
    await node.pass(peers);
    expect(shown(world)).toMatchInlineSnapshot(`
      "10.42.2.0/24 via 192.0.2.2 dev eth0 proto 116
      2001:db8:42:2::/64 via 2001:db8:1::2 dev eth0 proto 116 metric 1024 pref medium"
    `);
    expect(await node.pass(peers)).toEqual({ changes: [], failures: [], held: [] });
  });

  test("a device deleted, set down or given another MAC comes back with all peers in one pass", async () => {
    const { cluster, world, node } = await open(vxlan);
    await using _ = world;
    const peers = await cluster.leases(2, 3, 4);
    await node.pass(peers);
    const before = shown(world);
    for (const command of [
      ["delete", "flannel.1"],
      ["set", "flannel-v6.1", "down"],
      ["set", "flannel-v6.1", "address", "0e:ff:ff:ff:ff:ff"],
      ["set", "eth0", "down"],
    ]) {
      world.ip("link", ...command);
      if (command.includes("eth0")) await world.setUp("eth0", true);
      await node.pass(peers);
      expect(shown(world)).toBe(before);
    }
  });

  test("switching between encapsulated, direct and host-gw replaces every route", async () => {
    const { cluster, world, node } = await open(vxlan);
    await using _ = world;
    const peers = await cluster.leases(2, 3);
    await node.pass(peers);
    const encapsulated = shown(world);
    const directCluster = new Cluster(vxlan, [4, 6], { DirectRouting: true });
    const direct = await directCluster.nodeOn(world.kernel);
    await direct.pass(peers);
    expect(shown(world)).not.toMatch(/flannel|onlink/);
    await node.pass(peers);
    expect(shown(world)).toBe(encapsulated);
    const gateway = new Cluster(hostGw, [4, 6]);
    await (await gateway.nodeOn(world.kernel)).pass(await gateway.leases(2, 3));
    expect(world.ip("route")).toContain("10.42.2.0/24 via 192.0.2.2 dev eth0 proto 116");
    await node.pass(peers);
    expect(shown(world)).toBe(encapsulated);
  });

  test("a network full of peers is programmed in one pass, looked at in one, and removed in one", async () => {
    const { cluster, world, node } = await open(vxlan);
    await using _ = world;
    const nodes = [...Array(PEERS).keys()].map((index) => index + 2);
    const peers = await cluster.leases(...nodes);
    expect((await node.pass(peers)).changes).toHaveLength(6 + 6 * PEERS);
    expect((await node.pass(peers)).changes).toEqual([]);
    expect((await node.pass([])).changes).toHaveLength(6 * PEERS);
  });
});
