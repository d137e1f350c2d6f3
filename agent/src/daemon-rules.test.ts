/** When rules are looked at, and what becomes of failures: over firewalls in memory and a clock of the test's own. */
import { expect, test } from "vitest";
import { parseCidr } from "./core/ip.ts";
import type { NetworkConfig } from "./core/network-config.ts";
import { parseNetworkConfig } from "./core/network-config.ts";
import { openRuleKeeper } from "./daemon-rules.ts";
import type { RuleKeeper, RuleOptions } from "./daemon-rules.ts";
import { ManualClock } from "./system/manual-clock.ts";
import { MemoryLog } from "./system/memory-log.ts";
import { openTrafficManager } from "./traffic-manager/firewalls.ts";
import { MemoryFirewalls } from "./traffic-manager/memory-firewalls.ts";
import type { MemoryFirewallOptions } from "./traffic-manager/memory-firewalls.ts";
import type { RuleEvent } from "./traffic-manager/rule-events.ts";

const LEGACY = "iptables v1.8.9 (legacy)\n";

const DUAL = { Network: "10.42.0.0/16", EnableIPv6: true, IPv6Network: "fd00:42::/56" };

interface NodeOptions extends MemoryFirewallOptions {
  readonly config?: object;
  /** What subnet.env says of networks. */
  readonly previous?: readonly string[];
}

/** A node whose firewalls tell of changes when the test says so. */
class Node {
  readonly clock = new ManualClock();
  readonly log = new MemoryLog();
  readonly firewalls: MemoryFirewalls;
  readonly stop = new AbortController();
  readonly keeper: RuleKeeper;
  /** How often masquerade rules came to stand after they did not. */
  standing = 0;
  /** As the kernel counts; nobody asks it while undefined. */
  generation: number | undefined;
  /** Whether the kernel shows the tables of legacy iptables. */
  showsLegacy = false;
  ended: Promise<unknown> = Promise.resolve();
  #tell: (event: RuleEvent | "lost") => void = () => undefined;

  constructor(
    options: Partial<RuleOptions> = {},
    { config = DUAL, previous = [], ...firewalls }: NodeOptions = {},
  ) {
    this.firewalls = new MemoryFirewalls(firewalls);
    const parsed: NetworkConfig = parseNetworkConfig(JSON.stringify(config));
    const { firewalls: command, log, clock } = this;
    this.keeper = openRuleKeeper({
      trafficManager: openTrafficManager({
        usesNftables: parsed.enableNftables,
        command,
        watchRules: (signal) => this.#events(signal),
        ruleGeneration: () => this.generation,
        legacyRules: (family) =>
          this.showsLegacy ? this.firewalls.iptables[family].save() : undefined,
        log,
      }),
      config: parsed,
      lease: { subnets: { 4: parseCidr("10.42.1.0/24"), 6: parseCidr("fd00:42:0:1::/64") } },
      previousNetworks: previous.map(parseCidr),
      options: { masquerade: true, forward: true, fullyRandom: true, resyncSeconds: 5, ...options },
      clock,
      log,
    });
  }

  async *#events(signal: AbortSignal): AsyncGenerator<readonly (RuleEvent | "lost")[]> {
    while (!signal.aborted) {
      const next = Promise.withResolvers<readonly (RuleEvent | "lost")[]>();
      this.#tell = (event) => next.resolve([event]);
      signal.addEventListener("abort", () => next.resolve([]), { once: true });
      yield await next.promise;
    }
  }

  async tell(event: RuleEvent | "lost"): Promise<void> {
    this.#tell(event);
    await this.clock.advance(0);
  }

  /** Runs the keeper and lets its first look behind the subscription pass. */
  async run(): Promise<void> {
    this.ended = this.keeper
      .run(() => this.standing++, this.stop.signal)
      .catch((error: unknown) => error);
    await this.clock.advance(1_000);
    this.firewalls.commands.length = 0;
  }

  get said(): readonly string[] {
    return this.log.lines.map(({ level, message }) => `${level} ${message}`);
  }

  async end(): Promise<void> {
    this.stop.abort(new Error("over"));
    await this.ended;
  }
}

const SAVES = ["iptables-save", "ip6tables-save"];
const POSTROUTING = { family: "ip", table: "nat", chain: "POSTROUTING" };

test("a resync of rules that are right runs one program per family", async () => {
  const node = new Node({}, { version: LEGACY });
  expect(await node.keeper.first(node.stop.signal)).toBe(true);
  await node.run();
  await node.clock.advance(5_000);
  expect(node.firewalls.commands).toEqual(SAVES);
  await node.end();
});

test("a resync of nftables that is right runs one program per family", async () => {
  const node = new Node({}, { config: { ...DUAL, EnableNFTables: true } });
  await node.keeper.first(node.stop.signal);
  await node.run();
  await node.clock.advance(10_000);
  expect(node.firewalls.commands).toEqual([
    "nft -j list table ip flannel-ipv4",
    "nft -j list table ip6 flannel-ipv6",
  ]);
  await node.end();
});

test.each([false, true])(
  "D13: a sweep without another generation of rules runs no program (nftables: %s), a change that nobody told of is found by it",
  async (EnableNFTables) => {
    const node = new Node({}, { config: { ...DUAL, EnableNFTables } });
    node.generation = 7;
    await node.keeper.first(node.stop.signal);
    node.generation = 8;
    await node.run();
    await node.clock.advance(50_000);
    node.firewalls.commands.length = 0;
    await node.clock.advance(600_000);
    expect(node.firewalls.commands).toEqual([]);
    node.firewalls.iptables[4].restore("*nat\n:FLANNEL-POSTRTG - [0:0]\nCOMMIT\n");
    node.generation = 9;
    await node.clock.advance(10_000);
    expect(node.firewalls.commands).toContain(
      EnableNFTables ? "nft -j list table ip flannel-ipv4" : "iptables-restore --noflush --wait=5",
    );
    await node.end();
  },
);

test("D13: a sweep of legacy tables that are as they were runs no program, a change is found by the next one", async () => {
  const node = new Node({}, { version: LEGACY });
  node.generation = 7;
  node.showsLegacy = true;
  await node.keeper.first(node.stop.signal);
  await node.run();
  await node.clock.advance(50_000);
  const before = node.firewalls.iptables[4].save();
  node.firewalls.commands.length = 0;
  await node.clock.advance(600_000);
  expect(node.firewalls.commands).toEqual([]);
  node.firewalls.iptables[4].restore("*nat\n:FLANNEL-POSTRTG - [0:0]\nCOMMIT\n");
  await node.clock.advance(5_000);
  expect(node.firewalls.commands).toEqual(["iptables-save", "iptables-restore --noflush --wait=5"]);
  expect(node.firewalls.iptables[4].save()).toBe(before);
  await node.end();
});

test.each([
  [LEGACY, 1, 60],
  [LEGACY, 5, 12],
  [LEGACY, 30, 2],
  // Where the kernel tells of changes, every 10 s is often enough.
  [undefined, 1, 6],
  [undefined, 5, 6],
  [undefined, 30, 2],
])(
  "with %j and a resync of %d s it looks %d times a minute",
  async (version, resyncSeconds, times) => {
    const node = new Node({ resyncSeconds }, version === undefined ? {} : { version });
    await node.keeper.first(node.stop.signal);
    await node.run();
    await node.clock.advance(60_000);
    const looks = node.firewalls.commands.filter((command) => command === "iptables-save").length;
    expect(looks).toBe(times);
    await node.end();
  },
);

test("D11: a change that the kernel tells of is put right within a second", async () => {
  const node = new Node({ resyncSeconds: 86_400 });
  await node.keeper.first(node.stop.signal);
  await node.run();
  const before = node.firewalls.iptables[4].save();
  node.firewalls.iptables[4].restore("*nat\n:FLANNEL-POSTRTG - [0:0]\nCOMMIT\n");
  await node.tell(POSTROUTING);
  await node.clock.advance(1_000);
  expect(node.firewalls.iptables[4].save()).toBe(before);
  await node.end();
});

test.each<readonly [string, RuleEvent]>([
  ["kube-proxy's chains", { family: "ip", table: "nat", chain: "KUBE-SERVICES" }],
  ["another table", { family: "ip", table: "mangle", chain: "POSTROUTING" }],
  ["another family", { family: "bridge", table: "nat", chain: "POSTROUTING" }],
  ["a table named as a member of every object is", { family: "ip", table: "constructor" }],
])("a change of %s is no reason to look", async (_, event) => {
  const node = new Node();
  await node.keeper.first(node.stop.signal);
  await node.run();
  await node.tell(event);
  await node.clock.advance(2_000);
  expect(node.firewalls.commands).toEqual([]);
  await node.end();
});

test.each<readonly [string, RuleEvent | "lost"]>([
  ["a base chain", POSTROUTING],
  ["a whole table", { family: "ip6", table: "filter" }],
  ["the table of nftables", { family: "ip", table: "flannel-ipv4", chain: "anything" }],
  ["nobody knows what", "lost"],
])("a change of %s is a reason to look at both firewalls", async (_, event) => {
  const node = new Node();
  await node.keeper.first(node.stop.signal);
  await node.run();
  await node.tell(event);
  await node.clock.advance(2_000);
  expect(node.firewalls.commands.toSorted()).toEqual([
    "ip6tables-save",
    "iptables-save",
    "nft -j list table ip flannel-ipv4",
    "nft -j list table ip6 flannel-ipv6",
  ]);
  await node.end();
});

test("whoever undoes the rules all the time is answered ever more slowly, down to every 10 s", async () => {
  const node = new Node();
  await node.keeper.first(node.stop.signal);
  await node.run();
  const { firewalls } = node;
  const undo = (): void => {
    firewalls.iptables[4].restore("*nat\n:FLANNEL-POSTRTG - [0:0]\nCOMMIT\n");
    void node.tell(POSTROUTING);
  };
  for (let seconds = 0; seconds < 120; seconds += 0.5) {
    undo();
    await node.clock.advance(500);
  }
  const writes = firewalls.commands.filter((command) => command.includes("restore")).length;
  expect(writes).toBeGreaterThan(10);
  expect(writes).toBeLessThan(20);
  await node.end();
});

test("a refusal is said once, tried again after 1, 2, 4, 8 and then every 10 s, and its end is said", async () => {
  const node = new Node({ resyncSeconds: 86_400 });
  node.firewalls.refusals.set(
    "iptables-restore",
    "Another app is currently holding the xtables lock",
  );
  expect(await node.keeper.first(node.stop.signal)).toBe(false);
  const tries: number[] = [];
  node.firewalls.beforeCommand = (command) => {
    if (command.startsWith("iptables-restore")) tries.push(node.clock.nowMs());
  };
  node.ended = node.keeper.run(() => node.standing++, node.stop.signal).catch(() => undefined);
  await node.clock.advance(45_000);
  const gaps = tries.map((at, index) => at - (tries[index - 1] ?? 0));
  // Of a look behind the subscription the first try may come earlier.
  expect(gaps.slice(-5)).toEqual([4_000, 8_000, 10_000, 10_000, 10_000]);
  expect(node.standing).toBe(0);
  node.firewalls.refusals.clear();
  await node.clock.advance(10_000);
  expect(node.standing).toBe(1);
  const complaint =
    "cannot keep the traffic rules, so that pods may not reach what is outside: iptables-restore --noflush --wait=5: Another app is currently holding the xtables lock; another program holds /run/xtables.lock: it is tried again";
  expect(node.said.filter((line) => line.includes("lock"))).toEqual([`warn ${complaint}`]);
  expect(node.log.lines).toContainEqual({
    level: "info",
    data: { was: complaint },
    message: "no longer so",
  });
  await node.end();
});

test.each([
  [
    "iptables",
    {},
    "there is no program iptables in PATH: install iptables 1.6.2 or later, or set EnableNFTables to true in the network config",
  ],
  [
    "ip6tables",
    {},
    "there is no program ip6tables in PATH: install iptables 1.6.2 or later, or set EnableNFTables to true in the network config",
  ],
  [
    "nft",
    { EnableNFTables: true },
    "there is no program nft in PATH: install nftables 1.0.1 or later, or set EnableNFTables to false in the network config",
  ],
] as const)(
  "without %s the error names the program and the remedy, and the other family has its rules",
  async (program, config, message) => {
    const node = new Node({}, { missing: [program], config: { ...DUAL, ...config } });
    expect(await node.keeper.first(node.stop.signal)).toBe(false);
    expect(node.said).toContain(
      `warn cannot keep the traffic rules, so that pods may not reach what is outside: ${message}`,
    );
    const other = node.firewalls.iptables[program === "iptables" ? 6 : 4].save();
    expect(other.includes("FLANNEL-POSTRTG")).toBe(program !== "nft");
  },
);

test.each(["iptables", "ip6tables", "nft"] as const)(
  "N5: the firewall that is not in use may lack %s",
  async (missing) => {
    const config = { ...DUAL, EnableNFTables: missing !== "nft" };
    const node = new Node({}, { missing: [missing], config });
    expect(await node.keeper.first(node.stop.signal)).toBe(true);
    expect(node.said.filter((line) => line.startsWith("warn"))).toEqual([]);
  },
);

test("nothing is wanted and nothing is there: each family is looked at once, whatever programs there are", async () => {
  const node = new Node({ masquerade: false, forward: false }, { missing: ["ip6tables", "nft"] });
  expect(await node.keeper.first(node.stop.signal)).toBe(true);
  expect(node.firewalls.commands.toSorted()).toEqual([
    "ip6tables-save",
    "iptables-save",
    "nft -j list table ip flannel-ipv4",
    "nft -j list table ip6 flannel-ipv6",
  ]);
  await node.run();
  await node.clock.advance(600_000);
  expect(node.firewalls.commands).toEqual([]);
  expect(node.said).toEqual([]);
  await node.end();
});

test("of a family that is not in use and never was no program is run", async () => {
  const node = new Node({}, { config: { Network: DUAL.Network } });
  await node.keeper.first(node.stop.signal);
  expect(node.firewalls.commands).toEqual([
    "iptables --version",
    "iptables-save",
    "iptables-restore --noflush --wait=5",
    "nft -j list table ip flannel-ipv4",
  ]);
});

test.each([
  ["knows it", ["10.42.0.0/16", "fd00:42::/56"], false],
  // Nobody can say whose it is: another agent of this node may have it.
  ["does not know it", [], true],
])(
  "N10: rules of a switch that is off go; those of a family that is off do when subnet.env %s",
  async (_, previous, stays) => {
    const before = new Node();
    await before.keeper.first(before.stop.signal);
    expect(before.firewalls.iptables[6].save()).toContain("fd00:42::/56");
    const after = new Node({ forward: false }, { config: { Network: DUAL.Network }, previous });
    for (const family of [4, 6] as const)
      after.firewalls.iptables[family].restore(before.firewalls.iptables[family].save());
    await after.keeper.first(after.stop.signal);
    expect(after.firewalls.iptables[4].save()).toContain("FLANNEL-POSTRTG");
    expect(after.firewalls.iptables[4].save()).not.toContain("FLANNEL-FWD");
    expect(after.firewalls.iptables[6].save().includes("FLANNEL")).toBe(stays);
  },
);

test("the end of the agent is no complaint", async () => {
  const node = new Node();
  node.firewalls.beforeCommand = () => {
    node.stop.abort(new Error("over"));
  };
  node.firewalls.refusals.set("iptables", "killed");
  await expect(node.keeper.first(node.stop.signal)).rejects.toThrow("over");
  expect(node.said.filter((line) => line.startsWith("warn"))).toEqual([]);
});
