/** The contract on the real firewalls, each test in a network namespace of its own. */
import { mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { requires } from "linux/testing";
import { afterAll, expect, test } from "vitest";
import { parseCidr } from "../core/ip.ts";
import type { TrafficWish } from "../core/traffic-rules.ts";
import { MemoryLog } from "../system/memory-log.ts";
import { openTrafficManager } from "./firewalls.ts";
import { iptablesContract } from "./iptables.contract.ts";
import { nftablesContract } from "./nftables.contract.ts";
import { NetnsFirewalls, programsOf } from "./netns-firewalls.contract.ts";

const directory = mkdtempSync(join(tmpdir(), "twill-iptables-"));
afterAll(() => rmSync(directory, { recursive: true }));
for (const variant of ["nft", "legacy"] as const) programsOf(variant, directory, symlinkSync);

requires(
  "netns",
  "iptables",
  "nft",
)("real firewalls", () => {
  iptablesContract("nf_tables variant", async () => new NetnsFirewalls(join(directory, "nft")));
  iptablesContract("legacy variant", async () => new NetnsFirewalls(join(directory, "legacy")));
  nftablesContract("nft", async () => new NetnsFirewalls(join(directory, "nft")));

  test("nft lists the reference's text, with N1 and N2 put right", async () => {
    await using world = new NetnsFirewalls(join(directory, "nft"));
    await manager(world, true).apply(4, WISH, "all");
    expect(await world.act(["nft", "list", "ruleset"])).toMatchInlineSnapshot(`
      "table ip flannel-ipv4 {
      	comment "rules for flannel-ipv4"
      	chain postrtg {
      		comment "chain to manage traffic masquerading by flannel"
      		type nat hook postrouting priority srcnat; policy accept;
      		meta mark & 0x00004000 == 0x00004000 return
      		ip saddr 10.42.1.0/24 ip daddr 10.42.0.0/16 return
      		ip saddr 10.42.0.0/16 ip daddr 10.42.1.0/24 return
      		ip saddr != 10.42.0.0/16 ip daddr 10.42.1.0/24 return
      		ip saddr 10.42.0.0/16 ip daddr != 224.0.0.0/4 masquerade fully-random
      		ip saddr != 10.42.0.0/16 ip daddr 10.42.0.0/16 masquerade fully-random
      	}

      	chain forward {
      		comment "chain to accept flannel traffic"
      		type filter hook forward priority filter; policy accept;
      		ip saddr 10.42.0.0/16 accept
      		ip daddr 10.42.0.0/16 accept
      	}
      }
      "
    `);
  });

  test.each(["nft", "legacy"])(
    "%s: other programs find each rule by its words",
    async (variant) => {
      await using world = new NetnsFirewalls(join(directory, variant));
      await manager(world, false).apply(4, WISH, "all");
      // As the reference's own check asks. Source: spec 06 section 1.4.
      const masq = ["-m", "comment", "--comment", "flanneld masq", "-j"];
      const forward = ["-m", "comment", "--comment", "flanneld forward", "-j"];
      const rules = [
        ["nat", "POSTROUTING", ...masq, "FLANNEL-POSTRTG"],
        ["nat", "FLANNEL-POSTRTG", "-m", "mark", "--mark", "0x4000/0x4000", ...masq, "RETURN"],
        ["nat", "FLANNEL-POSTRTG", "-s", "10.42.1.0/24", "-d", "10.42.0.0/16", ...masq, "RETURN"],
        ["nat", "FLANNEL-POSTRTG", "-s", "10.42.0.0/16", "-d", "10.42.1.0/24", ...masq, "RETURN"],
        [
          "nat",
          "FLANNEL-POSTRTG",
          "!",
          "-s",
          "10.42.0.0/16",
          "-d",
          "10.42.1.0/24",
          ...masq,
          "RETURN",
        ],
        [
          "nat",
          "FLANNEL-POSTRTG",
          "-s",
          "10.42.0.0/16",
          "!",
          "-d",
          "224.0.0.0/4",
          ...masq,
          "MASQUERADE",
          "--random-fully",
        ],
        [
          "nat",
          "FLANNEL-POSTRTG",
          "!",
          "-s",
          "10.42.0.0/16",
          "-d",
          "10.42.0.0/16",
          ...masq,
          "MASQUERADE",
          "--random-fully",
        ],
        ["filter", "FORWARD", ...forward, "FLANNEL-FWD"],
        ["filter", "FLANNEL-FWD", "-s", "10.42.0.0/16", ...forward, "ACCEPT"],
        ["filter", "FLANNEL-FWD", "-d", "10.42.0.0/16", ...forward, "ACCEPT"],
      ];
      for (const [table = "", chain = "", ...rule] of rules)
        expect(await world.act(["iptables", "-t", table, "-C", chain, ...rule])).toBe("");
      const [, [table = "", chain = "", ...rule] = []] = rules;
      const other = rule.map((word) => word.replace("0x4000", "0x8000"));
      await expect(world.act(["iptables", "-t", table, "-C", chain, ...other])).rejects.toThrow(
        "iptables",
      );
    },
  );

  test("a table into which somebody put rules of nft is named, with the remedy", async () => {
    await using world = new NetnsFirewalls(join(directory, "nft"));
    await world.act(["iptables", "-t", "nat", "-N", "THEIRS"]);
    const rule = "add rule ip nat THEIRS numgen random mod 2 vmap { 0 : accept }";
    await world.act(["nft", "-f", "-"], `${rule}\n`);
    await expect(manager(world, false).apply(4, WISH, "all")).rejects.toThrow(
      "iptables-save cannot read the table nat: another program put rules of nft into it; move them into a table of their own, or set EnableNFTables to true in the network config",
    );
    expect(await world.act(["nft", "list", "table", "ip", "nat"])).not.toContain("FLANNEL");
  });

  test.each([
    ["nft", false],
    ["legacy", false],
    ["nft", true],
  ] as const)(
    "whoever looks while %s rules are replaced (nftables: %s) never finds a half-made set",
    async (variant, usesNftables) => {
      await using world = new NetnsFirewalls(join(directory, variant));
      const agent = manager(world, usesNftables);
      await agent.apply(4, WISH, "all");
      const sizes = new Set<number>();
      const done = new AbortController();
      const look = async (): Promise<void> => {
        while (!done.signal.aborted) {
          const list = usesNftables ? ["nft", "list", "ruleset"] : ["iptables-save", "-t", "nat"];
          const text = await world.act(list);
          sizes.add(
            text
              .split("\n")
              .filter((line) => / (return|masquerade)|-j (RETURN|MASQUERADE|FLANNEL)/.test(line))
              .length,
          );
        }
      };
      const looking = look();
      for (let turn = 0; turn < 12; turn++)
        expect(await agent.apply(4, { ...WISH, fullyRandom: turn % 2 === 1 }, "usual")).toBe(true);
      done.abort();
      await looking;
      expect([...sizes]).toEqual([usesNftables ? 6 : 7]);
    },
  );
});

const WISH: TrafficWish = {
  pods: { network: parseCidr("10.42.0.0/16"), subnet: parseCidr("10.42.1.0/24") },
  masquerade: true,
  forward: true,
  fullyRandom: true,
  ownNetworks: [parseCidr("10.42.0.0/16")],
};

function manager(
  world: NetnsFirewalls,
  usesNftables: boolean,
): ReturnType<typeof openTrafficManager> {
  return openTrafficManager({
    command: world.command,
    watchRules: world.watchRules,
    ruleGeneration: world.ruleGeneration,
    legacyRules: world.legacyRules,
    usesNftables,
    log: new MemoryLog(),
  });
}
