/** A whole agent that keeps the rules of a real node, with a store in memory. */
import { mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { requires } from "linux/testing";
import { afterAll, expect, test } from "vitest";
import * as registry from "./backends/registry.ts";
import { runDaemon } from "./daemon.ts";
import { NamespaceWorld } from "./kernel/netlink-world.contract.ts";
import { openLegacyRules, openRuleGeneration, watchRules } from "./kernel/netlink-rules.ts";
import { MemoryDatabase } from "./subnet-manager/etcd/memory-database.ts";
import { openMemorySubnetManager } from "./subnet-manager/etcd/memory-subnet-manager.ts";
import type { Command } from "./system/command.ts";
import { CryptoRandom } from "./system/crypto-random.ts";
import { MemoryFiles } from "./system/memory-files.ts";
import { MemoryLog } from "./system/memory-log.ts";
import { NodeCommand } from "./system/node-command.ts";
import { SystemClock } from "./system/system-clock.ts";
import { openTrafficManager } from "./traffic-manager/firewalls.ts";
import { programsOf } from "./traffic-manager/netns-firewalls.contract.ts";
import { PacketWorld } from "./traffic-manager/netns-packets.contract.ts";

const PREFIX = "/coreos.com/network";
const PATIENT = { timeout: 10_000, interval: 50 };
/** No sweep comes in the way of a test. */
const NEVER_SECONDS = 86_400;

const directory = mkdtempSync(join(tmpdir(), "twill-agent-rules-"));
afterAll(() => rmSync(directory, { recursive: true }));
for (const variant of ["nft", "legacy"] as const) programsOf(variant, directory, symlinkSync);

/** A node with everything around it, on which agents come and go. */
class Node implements AsyncDisposable {
  readonly world = new NamespaceWorld();
  readonly packets: PacketWorld;
  readonly files = new MemoryFiles();
  readonly log = new MemoryLog();
  /** What the agents ran so far. */
  readonly commands: string[] = [];
  ready = false;
  readonly #variant: string;
  readonly #clock = new SystemClock();
  readonly #database = new MemoryDatabase(this.#clock);
  #stop = new AbortController();
  #ended: Promise<unknown> = Promise.resolve();

  constructor(variant: "nft" | "legacy", usesNftables: boolean) {
    this.#variant = variant;
    this.packets = new PacketWorld(this.world.path);
    const networks = { Network: "10.42.0.0/16", EnableIPv6: true, IPv6Network: "fd00:42::/56" };
    const config = { ...networks, EnableNFTables: usesNftables, Backend: { Type: "host-gw" } };
    this.#database.put(`${PREFIX}/config`, JSON.stringify(config));
    // What the pods around were given.
    this.files.texts.set(
      "subnet.env",
      "FLANNEL_SUBNET=10.42.1.1/24\nFLANNEL_IPV6_SUBNET=fd00:42:0:1::1/64\n",
    );
  }

  start(resyncSeconds: number): void {
    const [random, log, clock] = [new CryptoRandom(), this.log, this.#clock];
    const database = this.#database;
    this.#stop = new AbortController();
    const { signal } = this.#stop;
    const { subnetManager } = openMemorySubnetManager({
      prefix: PREFIX,
      clock,
      database,
      random,
      log,
    });
    const rules = { masquerade: true, forward: true, fullyRandom: true, resyncSeconds };
    const names = ["eth0"];
    this.#ended = runDaemon(
      {
        interfaceWishes: { names, patterns: [], canReach: "", publicIp: "", publicIpv6: "" },
        subnetFile: "subnet.env",
        rules,
        onReady: (ready) => (this.ready = ready),
      },
      {
        subnetManager,
        kernel: this.world.kernel,
        backends: new Map(Object.values(registry).map((one) => [one.type, one])),
        openTrafficManager: ({ enableNftables }) =>
          openTrafficManager({
            usesNftables: enableNftables,
            command: this.#command(signal),
            watchRules: (stop) => watchRules(stop, this.world.path),
            ruleGeneration: openRuleGeneration(this.world.path),
            legacyRules: openLegacyRules(this.world.path),
            log,
          }),
        files: this.files,
        clock,
        random,
        log,
      },
      signal,
    ).catch((error: unknown) => error);
  }

  async stop(): Promise<void> {
    this.#stop.abort(new Error("stopped"));
    await this.#ended;
  }

  /** Runs a program in the node's namespace, as somebody else would. */
  async act(argv: readonly string[], input?: string): Promise<string> {
    const { exitCode, stdout, stderr } = await this.#programs(AbortSignal.timeout(10_000)).run(
      argv,
      input,
    );
    if (exitCode !== 0) throw new Error(`${argv.join(" ")}: ${stderr}`);
    return stdout;
  }

  #command(signal: AbortSignal): Command {
    const programs = this.#programs(signal);
    return {
      run: (argv, input) => {
        this.commands.push(argv.join(" "));
        return programs.run(argv, input);
      },
    };
  }

  #programs(signal: AbortSignal): NodeCommand {
    const environment = {
      PATH: `${join(directory, this.#variant)}:/usr/sbin:${process.env["PATH"]}`,
    };
    return new NodeCommand({
      signal,
      wrapper: ["nsenter", `--net=${this.world.path}`],
      environment,
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    this.#database.close();
    await this.packets[Symbol.asyncDispose]();
    await this.world[Symbol.asyncDispose]();
  }
}

/** What tells rules that were written again from those that stand: the packets counted by those that masquerade, and nft's handles. */
async function standing(node: Node, usesNftables: boolean): Promise<string> {
  if (usesNftables) return node.act(["nft", "-a", "list", "ruleset"]);
  const saves = await Promise.all(
    ["iptables-save", "ip6tables-save"].map((program) => node.act([program, "-c"])),
  );
  const lines = saves.join("").split("\n");
  const counted = lines.map((line) =>
    line.includes("MASQUERADE") ? line : line.replace(/\[\d+:\d+\]/, ""),
  );
  return counted.filter((line) => !line.startsWith("#")).join("\n");
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
)("an agent and the rules of its node", () => {
  test.each(ENGINES)(
    "D13: %s: a masqueraded connection outlives a restart and every resync, and no rule is written again",
    async (_, variant, usesNftables) => {
      await using node = new Node(variant, usesNftables);
      await node.packets.start();
      const [pod, outside] = [node.packets.at("pod1"), node.packets.at("outside")];
      node.start(1);
      await expect.poll(() => node.ready, PATIENT).toBe(true);
      expect(node.files.texts.get("subnet.env")).toContain("FLANNEL_IPMASQ=true");
      await outside.act("serve", { port: 8000 });
      await pod.act("connect", { to: "192.0.2.100", port: 8000 });
      await pod.act("say", { text: "before" });
      const before = await outside.hear();
      expect(before).toMatchObject({ heard: "before", from: expect.stringContaining("192.0.2.1") });
      const rules = await standing(node, usesNftables);

      await node.stop();
      const ran = node.commands.length;
      node.start(1);
      await expect.poll(() => node.ready, PATIENT).toBe(true);
      // Of the legacy variant a second look by program; where the kernel tells of changes, one look of each family.
      const programs = variant === "legacy" ? 5 : 2;
      await expect.poll(() => node.commands.length - ran, PATIENT).toBeGreaterThan(programs);
      expect(node.commands.slice(ran).filter((command) => /restore|-f -/.test(command))).toEqual(
        [],
      );
      expect(await standing(node, usesNftables)).toBe(rules);
      await pod.act("say", { text: "after" });
      expect(await outside.hear()).toEqual({ ...before, heard: "after" });
    },
  );

  test.each(ENGINES)(
    "D11: %s: rules that somebody removes are back",
    async (_, variant, usesNftables) => {
      await using node = new Node(variant, usesNftables);
      // Of legacy rules the kernel tells nobody; of the others it does, and no sweep is waited for.
      const isTold = variant !== "legacy";
      node.start(isTold ? NEVER_SECONDS : 1);
      await expect.poll(() => node.ready, PATIENT).toBe(true);
      const rules = await plain(node, usesNftables);
      // The first time it may be the look behind the subscription that finds it.
      for (const time of ["first", "second"]) {
        if (usesNftables) await node.act(["nft", "flush", "ruleset"]);
        else
          for (const program of ["iptables", "ip6tables"])
            await node.act([program, "-t", "nat", "-F"]);
        await expect
          .poll(() => plain(node, usesNftables), { ...PATIENT, message: time })
          .toBe(rules);
      }
    },
  );
});

/** In the order of the alphabet: the family whose rules are back first lists first. */
async function plain(node: Node, usesNftables: boolean): Promise<string> {
  if (usesNftables) {
    const text = await node.act(["nft", "list", "ruleset"]);
    return text
      .split(/^(?=table )/m)
      .toSorted()
      .join("");
  }
  const saves = ["iptables-save", "ip6tables-save"].map((program) => node.act([program]));
  const text = (await Promise.all(saves)).join("");
  return text.replaceAll(/\[\d+:\d+\]|^#.*\n/gm, "");
}
