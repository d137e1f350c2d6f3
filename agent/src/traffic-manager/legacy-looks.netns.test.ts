/** Legacy tables that did not change are looked at without a program, on the real kernel; what changed never is. */
import { mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { requires } from "linux/testing";
import { afterAll, expect, test } from "vitest";
import type { Family } from "../core/ip.ts";
import type { Command } from "../system/command.ts";
import { MemoryLog } from "../system/memory-log.ts";
import { FAMILIES, SAVES, wish } from "./firewalls-world.contract.ts";
import { openTrafficManager } from "./firewalls.ts";
import { NetnsFirewalls, programsOf } from "./netns-firewalls.contract.ts";

const directory = mkdtempSync(join(tmpdir(), "twill-legacy-looks-"));
afterAll(() => rmSync(directory, { recursive: true }));
programsOf("legacy", directory, symlinkSync);

const IPTABLES: Readonly<Record<Family, string>> = { 4: "iptables", 6: "ip6tables" };
const SELF: Readonly<Record<Family, string>> = { 4: "127.0.0.1", 6: "::1" };

/** A node with right rules, which were seen to be right. */
class Node implements AsyncDisposable {
  readonly world: NetnsFirewalls = new NetnsFirewalls(join(directory, "legacy"));
  readonly family: Family;
  /** What was run since the last look. */
  commands: string[] = [];
  readonly look: () => Promise<boolean>;

  private constructor(family: Family) {
    this.family = family;
    const command: Command = {
      run: (argv, input) => {
        this.commands.push(argv.join(" "));
        return this.world.command.run(argv, input);
      },
    };
    const { watchRules, ruleGeneration, legacyRules } = this.world;
    const log = new MemoryLog();
    const news = { watchRules, ruleGeneration, legacyRules };
    const manager = openTrafficManager({ ...news, usesNftables: false, command, log });
    this.look = () => {
      this.commands = [];
      return manager.apply(family, wish(family), "all");
    };
  }

  static async open(family: Family): Promise<Node> {
    const node = new Node(family);
    await node.act("-t nat -N THEIRS", "-t nat -A THEIRS -j RETURN", "-A FORWARD -j ACCEPT");
    for (let look = 0; look < 2; look++) await node.look();
    return node;
  }

  /** As somebody else does, in words of iptables(8). */
  async act(...lines: readonly string[]): Promise<void> {
    for (const line of lines) await this.world.act([IPTABLES[this.family], ...line.split(" ")]);
  }

  save(...words: readonly string[]): Promise<string> {
    return this.world.act([SAVES[this.family], ...words]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.world[Symbol.asyncDispose]();
  }
}

const THEIRS: readonly (readonly [string, string])[] = [
  ["put", "-t nat -A THEIRS -j ACCEPT"],
  ["removed", "-t nat -D THEIRS 1"],
  ["replaced", "-R FORWARD 1 -j DROP"],
  ["given another policy", "-P FORWARD DROP"],
];

requires(
  "netns",
  "iptables",
  "nft",
)("looks at legacy tables", () => {
  test.each(FAMILIES)("D13: IPv%s: while nothing changes no program is run", async (family) => {
    await using node = await Node.open(family);
    // The look that saw the rules right read them with one program.
    expect(node.commands).toEqual([SAVES[family]]);
    for (const time of ["first", "second"]) {
      expect(await node.look(), time).toBe(false);
      expect(node.commands, time).toEqual([]);
    }
  });

  test.each(FAMILIES)("D13: IPv%s: packets that are counted are no change", async (family) => {
    await using node = await Node.open(family);
    await node.world.act(["ip", "link", "set", "lo", "up"]);
    const before = await node.save("-c");
    await node.world.act(["ping", "-c", "2", "-w", "5", SELF[family]]);
    expect(withoutDates(await node.save("-c"))).not.toBe(withoutDates(before));
    expect(await node.look()).toBe(false);
    expect(node.commands).toEqual([]);
  });

  test.each(FAMILIES.flatMap((family) => THEIRS.map((one) => [family, ...one] as const)))(
    "D13: IPv%s: a rule of others that is %s is noticed once, and left as it is",
    async (family, _, change) => {
      await using node = await Node.open(family);
      await node.act(change);
      const rules = await node.save();
      expect(await node.look()).toBe(false);
      expect(node.commands).toEqual([SAVES[family]]);
      expect(withoutDates(await node.save())).toBe(withoutDates(rules));
      expect(await node.look()).toBe(false);
      expect(node.commands).toEqual([]);
    },
  );

  test.each(FAMILIES)("D11: IPv%s: our rules that are gone are put back", async (family) => {
    await using node = await Node.open(family);
    const rules = withoutDates(await node.save());
    for (const change of ["-t nat -D FLANNEL-POSTRTG 2", "-F FLANNEL-FWD"]) {
      await node.act(change);
      expect(await node.look(), change).toBe(true);
      expect(withoutDates(await node.save()), change).toBe(rules);
      expect(await node.look(), change).toBe(false);
    }
    expect(await node.look()).toBe(false);
    expect(node.commands).toEqual([]);
  });

  test.each(FAMILIES)(
    "IPv%s: what happens in another namespace, or to the other family, is no change",
    async (family) => {
      await using node = await Node.open(family);
      await using other = await Node.open(family);
      await other.act("-t nat -F");
      const otherFamily = IPTABLES[family === 4 ? 6 : 4];
      await node.world.act([otherFamily, "-P", "FORWARD", "DROP"]);
      expect(await node.look()).toBe(false);
      expect(node.commands).toEqual([]);
      expect(await other.look()).toBe(true);
    },
  );
});

function withoutDates(text: string): string {
  return text.replaceAll(/^#.*\n/gm, "");
}
