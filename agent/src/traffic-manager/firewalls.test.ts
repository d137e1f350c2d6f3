/** What old programs and lacking kernels do to the rules, and what is said of it. */
import { expect, test } from "vitest";
import { CAPABILITY_REMEDY } from "../core/errors.ts";
import { parseCidr } from "../core/ip.ts";
import type { TrafficWish } from "../core/traffic-rules.ts";
import { MemoryLog } from "../system/memory-log.ts";
import { openTrafficManager } from "./firewalls.ts";
import { parseIptablesVersion } from "./iptables/iptables.ts";
import { MemoryFirewalls } from "./memory-firewalls.ts";
import type { MemoryFirewallOptions } from "./memory-firewalls.ts";
import type { TrafficManager } from "./traffic-manager.ts";

const WISH: TrafficWish = {
  pods: { network: parseCidr("10.42.0.0/16"), subnet: parseCidr("10.42.1.0/24") },
  masquerade: true,
  forward: true,
  fullyRandom: true,
  ownNetworks: [parseCidr("10.42.0.0/16")],
};

function node(
  usesNftables: boolean,
  {
    generation,
    showsLegacy = true,
    ...options
  }: MemoryFirewallOptions & {
    readonly generation?: number | (() => number);
    readonly showsLegacy?: boolean;
  } = {},
): {
  readonly firewalls: MemoryFirewalls;
  readonly manager: TrafficManager;
  readonly log: MemoryLog;
} {
  const firewalls = new MemoryFirewalls(options);
  const log = new MemoryLog();
  const watchRules = async function* (): AsyncGenerator<readonly "lost"[]> {
    yield ["lost"];
  };
  const manager = openTrafficManager({
    usesNftables,
    command: firewalls,
    watchRules,
    ruleGeneration: () => (typeof generation === "function" ? generation() : generation),
    legacyRules: (family) => (showsLegacy ? firewalls.iptables[family].save() : undefined),
    log,
  });
  return { firewalls, manager, log };
}

test.each([true, false])(
  "another wish is looked after although no rule changed meanwhile (nftables: %s)",
  async (usesNftables) => {
    const { manager } = node(usesNftables, { generation: 7 });
    expect(await manager.apply(4, WISH, "usual")).toBe(true);
    expect(await manager.apply(4, WISH, "usual")).toBe(false);
    expect(await manager.apply(4, { ...WISH, forward: false }, "usual")).toBe(true);
  },
);

test.each([
  ["iptables v1.8.9 (nf_tables)", "nf_tables", true],
  ["iptables v1.8.9 (legacy)", "legacy", true],
  ["iptables v1.6.2", "legacy", true],
  ["iptables v1.6.1", "legacy", false],
  ["iptables v1.4.21", "legacy", false],
  ["ip6tables v2.0.0 (nf_tables)", "nf_tables", true],
  ["iptables v1.10.0", "legacy", true],
  ["what?", "unknown", false],
])("%s is of the %s variant, and knows random ports: %s", (text, variant, isFull) => {
  expect(parseIptablesVersion(text)).toEqual({ variant, isFull });
});

test("before 1.6.2 iptables gets neither random ports nor a wait, and is content with that", async () => {
  const { firewalls, manager } = node(false, { version: "iptables v1.6.1\n" });
  expect(await manager.apply(4, WISH, "usual")).toBe(true);
  expect(firewalls.commands).toContain("iptables-restore --noflush");
  expect(firewalls.iptables[4].save()).toContain('"flanneld masq" -j MASQUERADE\n');
  expect(await manager.apply(4, WISH, "usual")).toBe(false);
});

const WISH_6: TrafficWish = {
  ...WISH,
  pods: { network: parseCidr("fd00:42::/56"), subnet: parseCidr("fd00:42:0:1::/64") },
  ownNetworks: [parseCidr("fd00:42::/56")],
};

test.each([
  [["comments"], "comments on tables and chains"],
  [["fullyRandom"], "fully random source ports"],
  [["comments", "fullyRandom"], "comments on tables and chains and fully random source ports"],
] as const)(
  "N11: an nft without %j in IPv6 gets the rules without there, and with them in IPv4",
  async (missing, lost) => {
    const { firewalls, manager, log } = node(true, { missingFeatures: { ip6: missing } });
    const wishes = [
      [6, WISH_6, "ip6 flannel-ipv6"],
      [4, WISH, "ip flannel-ipv4"],
    ] as const;
    for (const [family, one] of wishes)
      expect(await manager.apply(family, one, "usual")).toBe(true);
    expect(firewalls.commands).toEqual([
      "nft -j list table ip6 flannel-ipv6",
      "nft -f -",
      ...Array.from({ length: 3 }, () => "nft --check -f -"),
      "nft -f -",
      "nft -j list table ip flannel-ipv4",
      "nft -f -",
    ]);
    const isPlain = missing.some((feature) => feature === "fullyRandom");
    const random = (family: string, table: string): boolean =>
      firewalls.nftables.list(family, table)?.includes("fully-random") === true;
    expect(random("ip6", "flannel-ipv6")).toBe(!isPlain);
    expect(random("ip", "flannel-ipv4")).toBe(true);
    expect(log.lines.map(({ message }) => message)).toEqual([
      `nft or this kernel does not know ${lost} for ip6: doing without`,
    ]);
    for (const [family, one] of wishes)
      expect(await manager.apply(family, one, "usual")).toBe(false);
    // Learnt once.
    firewalls.commands.length = 0;
    firewalls.nftables.run("delete table ip6 flannel-ipv6");
    await manager.apply(6, WISH_6, "usual");
    expect(firewalls.commands).toEqual(["nft -j list table ip6 flannel-ipv6", "nft -f -"]);
  },
);

test.each([
  [
    "iptables-save",
    "iptables-save v1.8.9 (legacy): Cannot initialize: Permission denied (you must be root)",
    CAPABILITY_REMEDY,
  ],
  [
    "iptables-restore",
    "iptables-restore v1.8.9 (legacy): iptables-restore: unable to initialize table 'nat'\niptables v1.8.9 (legacy): can't initialize iptables table `nat': Table does not exist (do you need to insmod?)",
    "run modprobe iptable_nat iptable_filter, or set EnableNFTables to true in the network config",
  ],
  [
    "iptables-save",
    "iptables-save v1.8.9 (nf_tables): Could not fetch rule set generation id: Invalid argument",
    "the kernel has no nf_tables: use iptables-legacy (update-alternatives --config iptables)",
  ],
  [
    "iptables-restore",
    "Another app is currently holding the xtables lock; still 1s 0us time ahead to have a chance to grab the lock...",
    "another program holds /run/xtables.lock: it is tried again",
  ],
  [
    "iptables-restore",
    'iptables-restore v1.8.9 (nf_tables): unknown option "--random-fully"',
    "if the kernel cannot draw ports at random, run with -ip-masq-fully-random-disable",
  ],
])("when %s says %j the remedy is in the same line", async (program, said, remedy) => {
  const { firewalls, manager } = node(false);
  firewalls.refusals.set(program, said);
  const words = program === "iptables-save" ? "" : " --noflush --wait=5";
  await expect(manager.apply(4, WISH, "usual")).rejects.toMatchObject({
    code: "command-failed",
    message: `${program}${words}: ${said.split("\n")[0]}; ${remedy}`,
  });
});

test.each([
  ["Error: Could not process rule: Operation not permitted", CAPABILITY_REMEDY],
  [
    "Error: JSON support not compiled-in",
    "install an nft that was built with JSON support (Debian: nftables)",
  ],
  [
    "Error: Could not process rule: Protocol not supported",
    "the kernel lacks parts of nf_tables: run modprobe nft_masq nft_chain_nat, or set EnableNFTables to false in the network config",
  ],
])("when nft says %j the remedy is in the same line", async (said, remedy) => {
  const { firewalls, manager } = node(true);
  firewalls.refusals.set("nft", said);
  await expect(manager.apply(4, WISH, "usual")).rejects.toThrow(
    `nft -j list table ip flannel-ipv4: ${said}; ${remedy}`,
  );
});

test("a firewall that is not in use and refuses is named once, and is no failure", async () => {
  const { firewalls, manager, log } = node(false);
  firewalls.refusals.set("nft", "Error: cannot open netlink socket");
  for (const _ of [1, 2]) await manager.apply(4, WISH, "all");
  expect(log.lines.map(({ level, message }) => `${level} ${message}`)).toEqual([
    "warn cannot clean up the firewall that is not in use: nft -j list table ip flannel-ipv4: Error: cannot open netlink socket",
  ]);
});

test.each([
  [1, 0],
  [2, 1],
])(
  "D13: nftables that are not in use are looked through only where they ever had a rule (generation %d: %d times)",
  async (begin, times) => {
    let generation = begin;
    const { firewalls, manager } = node(false, { generation: () => generation });
    firewalls.beforeCommand = (command) => {
      if (command.includes("restore")) generation++;
    };
    const lists = (): number =>
      firewalls.commands.filter((command) => command.startsWith("nft -j list")).length;
    expect(await manager.apply(4, WISH, "all")).toBe(true);
    expect(await manager.apply(4, WISH, "all")).toBe(false);
    expect(lists()).toBe(times);
    // Whoever writes there later is found, as often as it happens.
    for (const more of [1, 2]) {
      firewalls.nftables.run("add table ip flannel-ipv4");
      generation++;
      expect(await manager.apply(4, WISH, "all")).toBe(true);
      expect(firewalls.nftables.list("ip", "flannel-ipv4")).toBeUndefined();
      expect(lists()).toBe(times + 2 * more - 1);
      expect(await manager.apply(4, WISH, "all")).toBe(false);
      expect(lists()).toBe(times + 2 * more);
    }
  },
);

const LEGACY = "iptables v1.8.9 (legacy)\n";
const POD = "-A FLANNEL-POSTRTG -j RETURN";

test.each([
  [LEGACY, true, 0],
  // Whoever cannot see the tables, or whether they are the ones, looks each time.
  [LEGACY, false, 1],
  ["what?\n", true, 1],
] as const)(
  "D13: right rules of %j (the kernel shows them: %s) are looked at again by %d programs",
  async (version, showsLegacy, programs) => {
    const { firewalls, manager } = node(false, { version, showsLegacy });
    expect(await manager.apply(4, WISH, "usual")).toBe(true);
    expect(await manager.apply(4, WISH, "usual")).toBe(false);
    firewalls.commands.length = 0;
    expect(await manager.apply(4, WISH, "usual")).toBe(false);
    expect(firewalls.commands).toHaveLength(programs);
    // What others do is noticed in the next look, also where it is none of ours.
    firewalls.iptables[4].restore("*nat\n:THEIRS - [0:0]\nCOMMIT\n");
    firewalls.commands.length = 0;
    expect(await manager.apply(4, WISH, "usual")).toBe(false);
    expect(firewalls.commands).toEqual(["iptables-save"]);
    firewalls.iptables[4].restore(`*nat\n${POD}\nCOMMIT\n`);
    expect(await manager.apply(4, WISH, "usual")).toBe(true);
    expect(firewalls.iptables[4].save()).not.toContain(POD);
  },
);

test("D13: what somebody does to legacy rules while they are looked at is noticed in the next look", async () => {
  const { firewalls, manager } = node(false, { version: LEGACY });
  await manager.apply(4, WISH, "usual");
  const run = firewalls.run.bind(firewalls);
  firewalls.run = async (argv, input) => {
    const result = await run(argv, input);
    firewalls.run = run;
    firewalls.iptables[4].restore(`*nat\n${POD}\nCOMMIT\n`);
    return result;
  };
  expect(await manager.apply(4, WISH, "usual")).toBe(false);
  expect(firewalls.iptables[4].save()).toContain(POD);
  expect(await manager.apply(4, WISH, "usual")).toBe(true);
  expect(firewalls.iptables[4].save()).not.toContain(POD);
});

test.each([
  [1, "nf_tables", 0],
  [2, "nf_tables", 1],
  [1, "legacy", 1],
])(
  "D13: tables are taken for empty only where they never had a rule and would tell (generation %d, %s: %d looks)",
  async (begin, variant, looks) => {
    let generation = begin;
    const version = `iptables v1.8.9 (${variant})\n`;
    const { firewalls, manager } = node(false, { generation: () => generation, version });
    firewalls.beforeCommand = (command) => {
      if (command.includes("restore")) generation++;
    };
    const saves = (): number =>
      firewalls.commands.filter((command) => command === "iptables-save").length;
    expect(await manager.apply(4, WISH, "usual")).toBe(true);
    expect(saves()).toBe(looks);
    expect(firewalls.iptables[4].save()).toContain('"flanneld masq" -j MASQUERADE');
    expect(await manager.apply(4, WISH, "usual")).toBe(false);
    expect(saves()).toBe(looks + 1);
  },
);

test("D13: who writes while iptables says of which variant it is, is looked at", async () => {
  let generation = 1;
  const { firewalls, manager } = node(false, { generation: () => generation });
  firewalls.iptables[4].restore(
    "*nat\n:FLANNEL-POSTRTG - [0:0]\n-A FLANNEL-POSTRTG -j ACCEPT\nCOMMIT\n",
  );
  firewalls.beforeCommand = (command) => {
    if (command.includes("--version")) generation++;
  };
  expect(await manager.apply(4, WISH, "usual")).toBe(true);
  expect(firewalls.commands).toContain("iptables-save");
});
