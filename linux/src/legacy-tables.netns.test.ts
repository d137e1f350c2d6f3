import { execFileSync } from "node:child_process";
import { expect, test } from "vitest";
import { NetlinkError } from "./errors.ts";
import type { Family } from "./ip.ts";
import { digestLegacyTables } from "./legacy-tables.ts";
import { NetworkNamespace } from "./namespaces.ts";
import { requires } from "./testing/requires.ts";
import { moduleUrl, runScript } from "./testing/run-script.ts";

const TABLES = ["nat", "filter"] as const;

const IN_FAMILY = {
  inet: { program: "iptables-legacy", names: "ip_tables_names", self: "127.0.0.1" },
  inet6: { program: "ip6tables-legacy", names: "ip6_tables_names", self: "::1" },
} as const;
const FAMILIES = ["inet", "inet6"] as const;

function run(namespace: NetworkNamespace, ...argv: readonly string[]): string {
  return execFileSync("nsenter", [`--net=${namespace.path}`, ...argv], { encoding: "utf8" });
}

/** What somebody else does to rules, in words of iptables(8) without the program. */
function act(namespace: NetworkNamespace, family: Family, ...lines: readonly string[]): void {
  for (const line of lines) run(namespace, IN_FAMILY[family].program, ...line.split(" "));
}

function digest(namespace: NetworkNamespace, family: Family): string {
  return digestLegacyTables(family, TABLES, namespace.path);
}

/** A rule of each kind, a chain of one's own among them. */
const SOME = [
  "-t nat -N OURS",
  "-t nat -A OURS -m mark --mark 0x4000/0x4000 -j RETURN",
  "-t nat -A OURS -j MASQUERADE --random-fully",
  "-t nat -A POSTROUTING -m comment --comment ours -j OURS",
  "-A FORWARD -j ACCEPT",
];

const CHANGES: readonly (readonly [string, readonly string[], readonly string[]])[] = [
  ["a rule put", ["-t nat -A OURS -j RETURN"], ["-t nat -D OURS 3"]],
  ["a rule put in front", ["-I FORWARD -j DROP"], ["-D FORWARD 1"]],
  ["a rule removed", ["-D FORWARD 1"], ["-A FORWARD -j ACCEPT"]],
  ["a rule replaced", ["-R FORWARD 1 -j DROP"], ["-R FORWARD 1 -j ACCEPT"]],
  [
    "an option of a rule changed",
    ["-t nat -R OURS 2 -j MASQUERADE"],
    ["-t nat -R OURS 2 -j MASQUERADE --random-fully"],
  ],
  [
    "the mark of a rule changed",
    ["-t nat -R OURS 1 -m mark --mark 0x8000/0x4000 -j RETURN"],
    ["-t nat -R OURS 1 -m mark --mark 0x4000/0x4000 -j RETURN"],
  ],
  [
    "two rules in another order",
    ["-t nat -D OURS 1", `${SOME[1]}`],
    ["-t nat -D OURS 2", `-t nat -I OURS 1 -m mark --mark 0x4000/0x4000 -j RETURN`],
  ],
  ["a policy changed", ["-P FORWARD DROP"], ["-P FORWARD ACCEPT"]],
  ["a chain put", ["-N THEIRS"], ["-X THEIRS"]],
  ["a chain renamed", ["-t nat -E OURS THEIRS"], ["-t nat -E THEIRS OURS"]],
];

requires("netns", "iptables")("tables of legacy iptables", () => {
  test.each(FAMILIES.flatMap((family) => CHANGES.map((change) => [family, ...change] as const)))(
    "%s: %s is another digest, and undone the same",
    (family, _, change, undo) => {
      using namespace = NetworkNamespace.create();
      act(namespace, family, ...SOME);
      const before = digest(namespace, family);
      expect(digest(namespace, family)).toBe(before);
      act(namespace, family, ...change);
      const changed = digest(namespace, family);
      expect(changed).not.toBe(before);
      expect(digest(namespace, family)).toBe(changed);
      act(namespace, family, ...undo);
      expect(digest(namespace, family)).toBe(before);
    },
  );

  test.each(FAMILIES)("%s: packets that are counted change nothing", (family) => {
    using namespace = NetworkNamespace.create();
    const { program, self } = IN_FAMILY[family];
    run(namespace, "ip", "link", "set", "lo", "up");
    act(
      namespace,
      family,
      "-t nat -A OUTPUT -j ACCEPT",
      `-A OUTPUT -d ${self} -j ACCEPT`,
      `-A INPUT -m limit --limit 1/hour -j ACCEPT`,
    );
    const before = digest(namespace, family);
    const counted = (): string => run(namespace, program, "-L", "-v", "-x", "-n");
    const countedBefore = counted();
    // To the node itself, where nobody listens: each is counted on its way out and in.
    run(namespace, "ping", "-c", "2", "-i", "0.01", "-w", "5", self);
    expect(counted()).not.toBe(countedBefore);
    expect(digest(namespace, family)).toBe(before);
  });

  test.each(FAMILIES)(
    "%s: a table that is not in use counts as empty, and stays unused",
    (family) => {
      using namespace = NetworkNamespace.create();
      const { program, names } = IN_FAMILY[family];
      const inUse = (): string => run(namespace, "cat", `/proc/net/${names}`);
      const nothing = digest(namespace, family);
      expect(inUse()).toBe("");
      run(namespace, program, "-S");
      expect(inUse()).toBe("filter\n");
      const filter = digest(namespace, family);
      expect(filter).not.toBe(nothing);
      expect(inUse()).toBe("filter\n");
      run(namespace, program, "-t", "nat", "-S");
      expect(digest(namespace, family)).not.toBe(filter);
    },
  );

  test.each(FAMILIES)(
    "%s: another table, family or namespace is none of its business",
    (family) => {
      using namespace = NetworkNamespace.create();
      using other = NetworkNamespace.create();
      act(namespace, family, ...SOME);
      const before = digest(namespace, family);
      act(namespace, family, "-t mangle -A FORWARD -j ACCEPT");
      act(namespace, family === "inet" ? "inet6" : "inet", "-A FORWARD -j DROP");
      act(other, family, "-A FORWARD -j DROP");
      expect(digest(namespace, family)).toBe(before);
      expect(digest(other, family)).not.toBe(before);
    },
  );

  test.each([
    ["+net_admin", (seen: string) => seen],
    ["+net_raw", () => "NetlinkError: cannot read the table nat of iptables-legacy: EPERM"],
  ] as const)("with no capability but %s", (capability, expected) => {
    using namespace = NetworkNamespace.create();
    act(namespace, "inet", ...SOME);
    const script = `import { digestLegacyTables } from ${moduleUrl("legacy-tables.ts")};
      try {
        process.stdout.write(digestLegacyTables("inet", ["nat", "filter"]));
      } catch (error) {
        process.stdout.write(String(error));
      }`;
    const { stdout } = runScript(script, [
      "nsenter",
      `--net=${namespace.path}`,
      "setpriv",
      `--bounding-set=-all,${capability}`,
      `--inh-caps=-all,${capability}`,
      "--ambient-caps=-all",
    ]);
    expect(stdout).toBe(expected(digest(namespace, "inet")));
  });

  test("a namespace that is not there is an error", () => {
    expect(() => digestLegacyTables("inet6", ["nat"], "/run/netns/none")).toThrow(
      new NetlinkError("read the table nat of ip6tables-legacy in /run/netns/none", 2),
    );
  });
});
