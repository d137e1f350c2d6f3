/** What the rules of a node must be where nftables holds them, in memory and in the kernel. */
import { describe, expect, test } from "vitest";
import { familyBits, familyOf, parseCidr } from "../core/ip.ts";
import type { Family } from "../core/ip.ts";
import {
  FAMILIES,
  OTHERS,
  PODS,
  TEXT,
  iptablesRules,
  manager,
  sorted,
  wish,
} from "./firewalls-world.contract.ts";
import type { FirewallWorld, Open } from "./firewalls-world.contract.ts";

/** What each line of `nft -j list table` says of a rule. */
async function nftRules(world: FirewallWorld, family: Family): Promise<readonly string[]> {
  const words = family === 4 ? ["ip", "flannel-ipv4"] : ["ip6", "flannel-ipv6"];
  const { nftables } = JSON.parse(await world.act(["nft", "-j", "list", "table", ...words])) as {
    readonly nftables: readonly {
      readonly rule?: { readonly chain: string; readonly expr: unknown };
    }[];
  };
  return nftables.flatMap(({ rule }) =>
    rule === undefined ? [] : [`${rule.chain} ${JSON.stringify(rule.expr)}`],
  );
}

/** N1 and N2: unlike the reference's, these are what iptables does. */
const NFT_MARK =
  'postrtg [{"match":{"op":"==","left":{"&":[{"meta":{"key":"mark"}},16384]},"right":16384}},{"return":null}]';

export function nftablesContract(name: string, open: Open): void {
  describe(`nftables, ${name}`, () => {
    test.each(FAMILIES)(
      "N1, N2: IPv%s: the rules are those of iptables, in its order",
      async (family) => {
        await using world = await open();
        expect(await manager(world, true).apply(family, wish(family), "all")).toBe(true);
        const rules = await nftRules(world, family);
        expect(rules[0]).toBe(NFT_MARK);
        expect(rules.map(shortly)).toEqual(
          [4, 5, 6, 7, 8, 9, 1, 2].map((index) => shortlyIptables(TEXT[family][index] ?? "")),
        );
      },
    );

    test.each(FAMILIES)("D13: IPv%s: what is right is not written again", async (family) => {
      await using world = await open();
      await manager(world, true).apply(family, wish(family), "all");
      expect(await manager(world, true).apply(family, wish(family), "all")).toBe(false);
    });

    test("each switch makes its own rules, and takes them away; of the last nothing is left", async () => {
      await using world = await open();
      const agent = manager(world, true);
      await agent.apply(4, wish(4, { masquerade: false }), "all");
      expect((await nftRules(world, 4)).map((line) => line.split(" ")[0])).toEqual([
        "forward",
        "forward",
      ]);
      await agent.apply(4, wish(4, { forward: false, fullyRandom: false }), "all");
      const rules = await nftRules(world, 4);
      expect(rules).toHaveLength(6);
      expect(rules.join()).not.toContain("fully-random");
      await agent.apply(4, wish(4, { masquerade: false, forward: false }), "all");
      await expect(nftRules(world, 4)).rejects.toThrow("No such file");
    });

    test.each([
      ["a flushed chain", "flush chain ip flannel-ipv4 postrtg"],
      [
        "a rule that nobody of us wrote",
        "add rule ip flannel-ipv4 postrtg ip saddr 10.1.0.0/16 accept",
      ],
      ["a rule twice", "add rule ip flannel-ipv4 forward ip saddr 10.42.0.0/16 accept"],
      [
        "a chain that is gone",
        "flush chain ip flannel-ipv4 forward\ndelete chain ip flannel-ipv4 forward",
      ],
      ["a table that is gone", "delete table ip flannel-ipv4"],
      [
        "the right rules in a chain at another hook",
        [
          "flush chain ip flannel-ipv4 forward",
          "delete chain ip flannel-ipv4 forward",
          "add chain ip flannel-ipv4 forward { type filter hook input priority 0 ; }",
          "add rule ip flannel-ipv4 forward ip saddr 10.42.0.0/16 accept",
          "add rule ip flannel-ipv4 forward ip daddr 10.42.0.0/16 accept",
        ].join("\n"),
      ],
      [
        "a chain at another hook",
        "flush chain ip flannel-ipv4 forward\ndelete chain ip flannel-ipv4 forward\nadd chain ip flannel-ipv4 forward { type filter hook input priority 0 ; }",
      ],
      [
        "what the reference makes",
        [
          "flush chain ip flannel-ipv4 postrtg",
          "add rule ip flannel-ipv4 postrtg meta mark 0x4000 return",
          "add rule ip flannel-ipv4 postrtg ip saddr != 10.42.1.0/24 ip daddr 10.42.0.0/16 return",
        ].join("\n"),
      ],
    ])("N3, D11: %s is put right", async (_, damage) => {
      await using world = await open();
      const agent = manager(world, true);
      await agent.apply(4, wish(4), "all");
      const before = sorted(await nftRules(world, 4));
      await world.act(["nft", "-f", "-"], `${damage}\n`);
      expect(await agent.apply(4, wish(4), "usual")).toBe(true);
      expect(sorted(await nftRules(world, 4))).toEqual(before);
      expect(await agent.apply(4, wish(4), "usual")).toBe(false);
    });

    test("D13: what else somebody has in our table stays", async () => {
      await using world = await open();
      const chain = "ip flannel-ipv4 theirs";
      const theirs = [
        "add table ip flannel-ipv4",
        `add chain ${chain} { type filter hook input priority 0 ; }`,
        `add rule ${chain} ip saddr 10.42.0.0/16 accept`,
      ];
      await world.act(["nft", "-f", "-"], `${theirs.join("\n")}\n`);
      const before = await nftRules(world, 4);
      const agent = manager(world, true);
      await agent.apply(4, wish(4), "all");
      expect(await nftRules(world, 4)).toEqual(expect.arrayContaining([...before]));
      await agent.apply(4, wish(4, { masquerade: false, forward: false }), "all");
      expect(await nftRules(world, 4)).toEqual(before);
    });

    test("of our earlier networks nothing is left, of another agent's everything", async () => {
      await using world = await open();
      const network = parseCidr(OTHERS[4]);
      const other = wish(4, {
        pods: { network, subnet: parseCidr("10.99.3.0/24") },
        ownNetworks: [network],
      });
      await manager(world, true).apply(4, wish(4), "all");
      const before = await nftRules(world, 4);
      await manager(world, true).apply(4, other, "all");
      expect(await manager(world, true).apply(4, wish(4), "all")).toBe(false);
      expect((await nftRules(world, 4)).length).toBe(2 * before.length - 1);
      await manager(world, true).apply(
        4,
        wish(4, { ownNetworks: [network, PODS[4].network] }),
        "all",
      );
      expect(await nftRules(world, 4)).toEqual(before);
    });

    test("once iptables carries the rules the table is gone", async () => {
      await using world = await open();
      await manager(world, true).apply(4, wish(4), "all");
      await manager(world, false).apply(4, wish(4), "all");
      await expect(nftRules(world, 4)).rejects.toThrow("No such file");
      expect(sorted(await iptablesRules(world, 4))).toEqual(sorted(TEXT[4]));
    });

    test.each(
      NETWORKS.flatMap((text) => [
        [text, true],
        [text, false],
      ]) as [string, boolean][],
    )("a network %s is read as it was written (nftables: %s)", async (text, usesNftables) => {
      await using world = await open();
      const network = parseCidr(text);
      const family = familyOf(network);
      const subnet = parseCidr(`${text.split("/")[0]}/${familyBits(family) - 2}`);
      const one = wish(family, { pods: { network, subnet }, ownNetworks: [network] });
      await manager(world, usesNftables).apply(family, one, "all");
      expect(await manager(world, usesNftables).apply(family, one, "all")).toBe(false);
    });
  });
}

/** Where programs print prefixes in ways of their own: whole bytes and odd bits, high and low, long runs of zeros. */
const NETWORKS = [
  "0.0.0.0/1",
  "10.0.0.0/8",
  "10.32.0.0/11",
  "10.42.0.0/16",
  "10.42.128.0/17",
  "10.42.0.0/24",
  "255.255.255.240/28",
  "2000::/3",
  "fd00::/8",
  "fd00:42::/33",
  "fd00:42:0:ff00::/56",
  "fd00:0:0:1::/64",
  "fd00::1:0:0:0/80",
  "fd00::ff:fff0/124",
];

interface NftMatch {
  readonly op: string;
  readonly right: { readonly prefix?: { readonly addr: string; readonly len: number } } | number;
}

/** Verdict and prefixes of a rule, as far as both firewalls have words for them. */
function shortly(line: string): string {
  const expressions = JSON.parse(line.slice(line.indexOf(" "))) as readonly (Readonly<
    Record<string, unknown>
  > & { readonly match?: NftMatch })[];
  const words = expressions.flatMap(({ match, ...verdict }) => {
    if (match === undefined) return Object.keys(verdict);
    const prefix = typeof match.right === "number" ? undefined : match.right.prefix;
    const not = match.op === "!=" ? "! " : "";
    return prefix === undefined ? [] : [`${not}${prefix.addr}/${prefix.len}`];
  });
  return words.join(" ");
}

function shortlyIptables(line: string): string {
  const prefixes = [...line.matchAll(/(! )?-[sd] (\S+)/g)].map(
    ([, not = "", prefix]) => `${not}${prefix}`,
  );
  const verdict = / -j (\w+)/.exec(line)?.[1]?.toLowerCase();
  return [...prefixes, verdict].join(" ");
}
