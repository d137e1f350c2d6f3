/** What the rules of a node must be where iptables holds them, in memory and in the kernel, of either variant. */
import { describe, expect, test } from "vitest";
import { parseCidr } from "../core/ip.ts";
import type { Family } from "../core/ip.ts";
import {
  FAMILIES,
  OTHERS,
  PODS,
  SAVES,
  TEXT,
  inChain,
  iptablesChains,
  iptablesRules,
  manager,
  sorted,
  wish,
} from "./firewalls-world.contract.ts";
import type { FirewallWorld, Open } from "./firewalls-world.contract.ts";

const RESTORES: Readonly<Record<Family, string>> = {
  4: "iptables-restore",
  6: "ip6tables-restore",
};

async function restore(
  world: FirewallWorld,
  family: Family,
  ...lines: readonly string[]
): Promise<void> {
  await world.act([RESTORES[family], "--noflush"], `${lines.join("\n")}\n`);
}

export function iptablesContract(name: string, open: Open): void {
  describe(`iptables, ${name}`, () => {
    test.each(FAMILIES)("IPv%s: the rules are the reference's, in its order", async (family) => {
      await using world = await open();
      expect(await manager(world, false).apply(family, wish(family), "all")).toBe(true);
      const rules = await iptablesRules(world, family);
      for (const chain of ["FLANNEL-POSTRTG", "FLANNEL-FWD"])
        expect(rules.filter(inChain(chain))).toEqual(TEXT[family].filter(inChain(chain)));
      expect(sorted(rules)).toEqual(sorted(TEXT[family]));
    });

    test.each(FAMILIES)("D13: IPv%s: what is right is not written again", async (family) => {
      await using world = await open();
      await manager(world, false).apply(family, wish(family), "all");
      // Another agent than the one before, as after a restart.
      expect(await manager(world, false).apply(family, wish(family), "all")).toBe(false);
    });

    test.each(FAMILIES)(
      "IPv%s: each switch makes its own rules, and takes them away",
      async (family) => {
        await using world = await open();
        const agent = manager(world, false);
        await agent.apply(family, wish(family, { masquerade: false }), "all");
        expect(sorted(await iptablesRules(world, family))).toEqual(
          sorted(TEXT[family].filter((line) => line.includes("forward"))),
        );
        await agent.apply(family, wish(family, { forward: false, fullyRandom: false }), "all");
        const plain = TEXT[family].map((line) => line.replace(" --random-fully", ""));
        expect(sorted(await iptablesRules(world, family))).toEqual(
          sorted(plain.filter((line) => line.includes("masq"))),
        );
        await agent.apply(family, wish(family, { masquerade: false, forward: false }), "all");
        expect(await iptablesRules(world, family)).toEqual([]);
        expect(await iptablesChains(world, family)).toEqual([]);
      },
    );

    test.each(FAMILIES)(
      "D13: IPv%s: the rules of others stay as they are, and ours stand behind them",
      async (family) => {
        await using world = await open();
        const theirs = [
          "*nat",
          ":KUBE-POSTROUTING - [0:0]",
          "-A KUBE-POSTROUTING -j MASQUERADE",
          "-A POSTROUTING -j KUBE-POSTROUTING",
          // About our network, but without flannel's comment.
          `-A POSTROUTING -s ${PODS[family].network} -j MASQUERADE`,
          "COMMIT",
          "*filter",
          ":FORWARD DROP [0:0]",
          "-A FORWARD -j REJECT",
          "COMMIT",
        ];
        await restore(world, family, ...theirs);
        const before = await iptablesRules(world, family);
        const agent = manager(world, false);
        await agent.apply(family, wish(family), "all");
        const rules = await iptablesRules(world, family);
        expect(rules.filter(inChain("POSTROUTING"))).toEqual([
          "-A POSTROUTING -j KUBE-POSTROUTING",
          `-A POSTROUTING -s ${PODS[family].network} -j MASQUERADE`,
          ...TEXT[family].filter(inChain("POSTROUTING")),
        ]);
        await agent.apply(family, wish(family, { masquerade: false, forward: false }), "all");
        expect(await iptablesRules(world, family)).toEqual(before);
        expect(await world.act([SAVES[family]])).toContain(":FORWARD DROP");
      },
    );

    test.each(damages(4))("D11: %s is put right", async (_, ...lines) => {
      await using world = await open();
      const agent = manager(world, false);
      await agent.apply(4, wish(4), "all");
      // Seen to be right, and remembered as such.
      expect(await agent.apply(4, wish(4), "usual")).toBe(false);
      await restore(world, 4, ...lines);
      expect(await agent.apply(4, wish(4), "usual")).toBe(true);
      const rules = await iptablesRules(world, 4);
      for (const chain of ["FLANNEL-POSTRTG", "FLANNEL-FWD"])
        expect(rules.filter(inChain(chain))).toEqual(TEXT[4].filter(inChain(chain)));
      expect(sorted(rules)).toEqual(sorted(TEXT[4]));
      expect(await agent.apply(4, wish(4), "usual")).toBe(false);
    });

    test.each(FAMILIES)(
      "IPv%s: of our earlier networks nothing is left, of another agent's everything",
      async (family) => {
        await using world = await open();
        const pods = PODS[family];
        const network = parseCidr(OTHERS[family]);
        const other = { network, subnet: network };
        await manager(world, false).apply(family, wish(family), "all");
        await manager(world, false).apply(
          family,
          wish(family, { pods: other, ownNetworks: [network] }),
          "all",
        );
        const both = await iptablesRules(world, family);
        expect(both.filter((line) => line.includes(pods.network))).not.toEqual([]);
        // Both are content with what stands, whoever wrote last.
        expect(await manager(world, false).apply(family, wish(family), "all")).toBe(false);
        // Said to have been ours, it goes.
        const ownNetworks = [pods.network, network];
        await manager(world, false).apply(family, wish(family, { ownNetworks }), "all");
        expect(sorted(await iptablesRules(world, family))).toEqual(sorted(TEXT[family]));
      },
    );

    test.each(FAMILIES)(
      "N4: IPv%s: once nftables carries the rules iptables holds none of them",
      async (family) => {
        await using world = await open();
        await manager(world, false).apply(family, wish(family), "all");
        await manager(world, true).apply(family, wish(family), "all");
        expect(await iptablesRules(world, family)).toEqual([]);
        expect(await iptablesChains(world, family)).toEqual([]);
      },
    );

    test("N6: besides nftables iptables accepts where its own policy drops, and only then", async () => {
      await using world = await open();
      await restore(world, 4, "*filter", ":FORWARD DROP [0:0]", "COMMIT");
      const agent = manager(world, true);
      await agent.apply(4, wish(4), "all");
      expect(sorted(await iptablesRules(world, 4))).toEqual(
        sorted(TEXT[4].filter((line) => line.includes("forward"))),
      );
      await restore(world, 4, "*filter", ":FORWARD ACCEPT [0:0]", "COMMIT");
      await agent.apply(4, wish(4), "all");
      expect(await iptablesRules(world, 4)).toEqual([]);
    });
  });
}

/** Each is what somebody else feeds to iptables-restore. */
function damages(family: Family): readonly (readonly [string, ...string[]])[] {
  const jump = '-m comment --comment "flanneld masq" -j FLANNEL-POSTRTG';
  const [, , , , mark = "", pod = ""] = TEXT[family];
  return [
    ["a flushed chain", "*nat", ":FLANNEL-POSTRTG - [0:0]", "COMMIT"],
    ["a rule that is gone", "*nat", pod.replace("-A", "-D"), "COMMIT"],
    ["a rule at another place", "*nat", pod.replace("-A", "-D"), pod, "COMMIT"],
    ["a rule twice", "*nat", pod, "COMMIT"],
    ["the rule for kube-proxy at the end", "*nat", mark.replace("-A", "-D"), mark, "COMMIT"],
    ["the rule for kube-proxy twice", "*nat", mark, "COMMIT"],
    ["a rule that nobody of us wrote", "*nat", "-A FLANNEL-POSTRTG -j RETURN", "COMMIT"],
    [
      "rules with another comment",
      "*nat",
      ":FLANNEL-POSTRTG - [0:0]",
      ...TEXT[family]
        .filter((line) => line.startsWith("-A FLANNEL-POSTRTG"))
        .map((line) => line.replace("flanneld", "somebody's")),
      "COMMIT",
    ],
    ["a jump that is gone", "*nat", `-D POSTROUTING ${jump}`, "COMMIT"],
    ["a jump twice", "*nat", `-A POSTROUTING ${jump}`, "COMMIT"],
    [
      "a chain that is gone",
      "*nat",
      ":FLANNEL-POSTRTG - [0:0]",
      `-D POSTROUTING ${jump}`,
      "-X FLANNEL-POSTRTG",
      "COMMIT",
    ],
    [
      "a rule of the reference before it had chains",
      "*nat",
      pod.replace("FLANNEL-POSTRTG", "POSTROUTING"),
      "COMMIT",
    ],
  ];
}
