/** A whole agent that follows the external interface, on the real kernel, with a store in memory. */
import { requires } from "linux/testing";
import { expect, test } from "vitest";
import * as registry from "./backends/registry.ts";
import { parseCidr } from "./core/ip.ts";
import { runDaemon } from "./daemon.ts";
import { NamespaceWorld, runIn } from "./kernel/netlink-world.contract.ts";
import { MemoryDatabase } from "./subnet-manager/etcd/memory-database.ts";
import { openMemorySubnetManager } from "./subnet-manager/etcd/memory-subnet-manager.ts";
import { CryptoRandom } from "./system/crypto-random.ts";
import { MemoryFiles } from "./system/memory-files.ts";
import { MemoryLog } from "./system/memory-log.ts";
import { SystemClock } from "./system/system-clock.ts";

const PREFIX = "/coreos.com/network";
const PEER = {
  PublicIP: "192.0.2.2",
  PublicIPv6: "2001:db8:1::2",
  BackendType: "vxlan",
  BackendData: { VNI: 1, VtepMAC: "0e:00:00:00:04:02" },
  BackendV6Data: { VNI: 1, VtepMAC: "0e:00:00:00:06:02" },
};
/** A change is followed within a second of its event (invariant D11); the machine may be busy. */
const PATIENT = { timeout: 10_000, interval: 50 };

/** An agent of one node, beside a peer that never moves. */
class Running implements AsyncDisposable {
  readonly world = new NamespaceWorld();
  readonly files = new MemoryFiles();
  ready = false;
  readonly #clock = new SystemClock();
  readonly #database = new MemoryDatabase(this.#clock);
  readonly #stop = new AbortController();
  #ended: Promise<unknown> = Promise.resolve();

  async start(): Promise<void> {
    const { world, files } = this;
    await world.addInterface("eth0", 1500, ["192.0.2.1/24", "2001:db8:1::1/64"].map(parseCidr));
    const networks = { Network: "10.42.0.0/16", EnableIPv6: true, IPv6Network: "fd00:42::/56" };
    const config = { ...networks, Backend: { Type: "vxlan" } };
    this.#database.put(`${PREFIX}/config`, JSON.stringify(config));
    const key = `${PREFIX}/subnets/10.42.2.0-24&fd00:42:0:2::-64`;
    this.#database.put(key, JSON.stringify(PEER));
    const [clock, random, log] = [this.#clock, new CryptoRandom(), new MemoryLog()];
    const database = this.#database;
    const { subnetManager } = openMemorySubnetManager({
      prefix: PREFIX,
      clock,
      database,
      random,
      log,
    });
    const backends = new Map(Object.values(registry).map((one) => [one.type, one]));
    const none = { patterns: [], canReach: "", publicIp: "", publicIpv6: "" };
    this.#ended = runDaemon(
      {
        interfaceWishes: { names: ["eth0"], ...none },
        subnetFile: "subnet.env",
        onReady: (ready) => (this.ready = ready),
      },
      { subnetManager, kernel: world.kernel, backends, files, clock, random, log },
      this.#stop.signal,
    ).catch((error: unknown) => error);
  }

  /** What `ip` and `bridge` say that a change of the environment may touch. */
  get shown(): string {
    const { world } = this;
    const links = world.ip("-d", "-o", "link").split("\n");
    const devices = ["flannel.1", "flannel-v6.1"].map((name) => {
      const line = links.find((one) => one.includes(` ${name}: `)) ?? "";
      const parts = [/ mtu \d+/, / local \S+/, /link.ether \S+/];
      return [name, ...parts.map((part) => part.exec(line)?.[0])].join(" ");
    });
    const entries = [
      world.ip("route"),
      world.ip("-6", "route"),
      world.ip("neighbour", "show", "nud", "permanent"),
      runIn(world.path, "bridge", "fdb"),
    ].join("");
    const peers = entries
      .split("\n")
      .filter((line) => /10\.42\.2\.|fd00:42:0:2:|dst /.test(line))
      .map((line) => line.trim())
      .toSorted();
    const env = /FLANNEL_MTU=\d+/.exec(this.files.texts.get("subnet.env") ?? "")?.[0];
    return [...devices, ...peers, env, ...this.published].join("\n");
  }

  get published(): readonly string[] {
    const { entries } = this.#database.range({ prefix: `${PREFIX}/subnets/` });
    return entries
      .map(({ value }) => JSON.parse(value) as typeof PEER)
      .filter(({ PublicIP }) => PublicIP !== PEER.PublicIP)
      .map(({ PublicIP, PublicIPv6 }) => `published ${PublicIP} ${PublicIPv6}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new Error("the test is over"));
    await this.#ended;
    this.#database.close();
    await this.world[Symbol.asyncDispose]();
  }
}

requires("netns", "vxlan")("the external interface, on the real kernel", () => {
  test("another address, another MTU, down and up, gone and back: everything follows", async () => {
    await using agent = new Running();
    await agent.start();
    await expect.poll(() => agent.ready, PATIENT).toBe(true);
    const { world } = agent;
    const before = agent.shown;
    expect(before).toContain("published 192.0.2.1 2001:db8:1::1");
    expect(before).toContain("FLANNEL_MTU=1430");
    const index = (): string => /^(\d+): flannel\.1: /m.exec(world.ip("-o", "link"))?.[1] ?? "none";
    const first = index();

    world.ip("link", "set", "eth0", "mtu", "1400");
    const smaller = before
      .replace("mtu 1450", "mtu 1350")
      .replace("mtu 1430", "mtu 1330")
      .replace("FLANNEL_MTU=1430", "FLANNEL_MTU=1330");
    await expect.poll(() => agent.shown, PATIENT).toBe(smaller);
    expect(index()).toBe(first);

    // The other way round the new one would be a secondary address, which goes with the first.
    world.ip("address", "delete", "192.0.2.1/24", "dev", "eth0");
    world.ip("address", "add", "192.0.2.101/24", "dev", "eth0");
    const moved = smaller
      .replace("local 192.0.2.1 ", "local 192.0.2.101 ")
      .replace("published 192.0.2.1 ", "published 192.0.2.101 ");
    await expect.poll(() => agent.shown, PATIENT).toBe(moved);
    expect(index()).not.toBe(first);

    world.ip("address", "add", "2001:db8:1::101/64", "dev", "eth0", "nodad");
    world.ip("address", "delete", "2001:db8:1::1/64", "dev", "eth0");
    const both = moved
      .replace("local 2001:db8:1::1 ", "local 2001:db8:1::101 ")
      .replace(/(published .*) 2001:db8:1::1$/m, "$1 2001:db8:1::101");
    await expect.poll(() => agent.shown, PATIENT).toBe(both);

    world.ip("link", "set", "eth0", "mtu", "9000");
    const larger = both
      .replace("mtu 1350", "mtu 8950")
      .replace("mtu 1330", "mtu 8930")
      .replace("FLANNEL_MTU=1330", "FLANNEL_MTU=8930");
    await expect.poll(() => agent.shown, PATIENT).toBe(larger);

    // Takes the devices along.
    await world.removeInterface("eth0");
    await expect.poll(() => world.ip("link"), PATIENT).not.toContain("flannel");
    await world.addInterface("eth0", 9000, ["192.0.2.101/24", "2001:db8:1::101/64"].map(parseCidr));
    await expect.poll(() => agent.shown, PATIENT).toBe(larger);

    world.ip("link", "set", "eth0", "down");
    world.ip("link", "set", "eth0", "name", "uplink");
    world.ip("link", "set", "uplink", "up");
    world.ip("address", "add", "2001:db8:1::101/64", "dev", "uplink", "nodad");
    await expect.poll(() => agent.shown, PATIENT).toBe(larger);
    expect(world.ip("-d", "link", "show", "dev", "flannel.1")).toContain("dev uplink");
    expect(agent.ready).toBe(true);
  });
});
