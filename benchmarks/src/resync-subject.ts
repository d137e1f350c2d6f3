/**
 * Looks at traffic rules that are right, in the network namespace of this process: `node resync-subject.ts RUNS`. Prints one JSON document.
 * Started by resync.ts.
 */
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Family, parseCidr } from "agent/core/ip.ts";
import type { TrafficWish } from "agent/core/traffic-rules.ts";
import { openLegacyRules, openRuleGeneration, watchRules } from "agent/kernel/netlink-rules.ts";
import type { Command } from "agent/system/command.ts";
import { MemoryLog } from "agent/system/memory-log.ts";
import { NodeCommand } from "agent/system/node-command.ts";
import { openTrafficManager } from "agent/traffic-manager/firewalls.ts";
import type { TrafficManager } from "agent/traffic-manager/traffic-manager.ts";

/** Of one look, on average of many in a row: the kernel counts the time of ended programs in steps of 10 ms. */
export interface Look {
  /** Of this process and of the programs. */
  readonly cpuMs: number;
  readonly childrenMs: number;
  readonly processes: number;
}

export interface Resync {
  readonly firewall: string;
  readonly families: number;
  readonly quiet: readonly Look[];
  /** Each look after a change that is none of ours. */
  readonly stirred: readonly Look[];
}

export type Resyncs = readonly Resync[];

const LOOKS = 50;
const US_PER_MS = 1_000;
/** Source: proc(5), clock ticks; USER_HZ is 100 on every architecture that Node runs on. */
const MS_PER_TICK = 10;
/** After the program's name in /proc/PID/stat. Source: proc(5), cutime and cstime. */
const [CHILDREN_USER, CHILDREN_SYSTEM] = [13, 14];

const RANGES = {
  4: { network: parseCidr("10.244.0.0/16"), subnet: parseCidr("10.244.1.0/24") },
  6: { network: parseCidr("2001:db8:42::/56"), subnet: parseCidr("2001:db8:42:1::/64") },
} as const;

/** What the agent is asked for with -ip-masq and its defaults. */
function wishOf(family: Family): TrafficWish {
  return {
    pods: RANGES[family],
    masquerade: true,
    forward: true,
    fullyRandom: true,
    ownNetworks: [RANGES[4].network, RANGES[6].network],
  };
}

class CountingCommand implements Command {
  readonly #command: Command;
  count = 0;

  constructor(command: Command) {
    this.#command = command;
  }

  run: Command["run"] = (argv, input) => {
    this.count++;
    return this.#command.run(argv, input);
  };
}

/** Where `iptables` is one variant, whatever the machine's is. Source: xtables-nft(8), xtables-legacy(8). */
function programsOf(variant: "nft" | "legacy", directory: string): string {
  const place = join(directory, variant);
  mkdirSync(place, { recursive: true });
  const program = execFileSync("sh", ["-c", `command -v xtables-${variant}-multi`], {
    encoding: "utf8",
    env: { PATH: SEARCH_PATH },
  }).trim();
  for (const name of ["iptables", "ip6tables"])
    for (const verb of ["", "-save", "-restore"]) symlinkSync(program, join(place, name + verb));
  return place;
}

const SEARCH_PATH = `/usr/sbin:/sbin:${process.env["PATH"] ?? "/usr/bin:/bin"}`;

function childrenMs(): number {
  const fields = readFileSync("/proc/self/stat", "utf8").split(") ")[1]?.split(" ") ?? [];
  return (Number(fields[CHILDREN_USER]) + Number(fields[CHILDREN_SYSTEM])) * MS_PER_TICK;
}

function ownMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / US_PER_MS;
}

/** @param before is done before each look, and not measured */
async function measure(
  look: () => Promise<void>,
  command: CountingCommand,
  before: (index: number) => void,
): Promise<Look> {
  let [own, ofChildren] = [0, 0];
  command.count = 0;
  for (let index = 0; index < LOOKS; index++) {
    before(index);
    const [ownBefore, childrenBefore] = [ownMs(), childrenMs()];
    await look();
    own += ownMs() - ownBefore;
    ofChildren += childrenMs() - childrenBefore;
  }
  return {
    cpuMs: (own + ofChildren) / LOOKS,
    childrenMs: ofChildren / LOOKS,
    processes: command.count / LOOKS,
  };
}

function nft(...words: readonly string[]): void {
  execFileSync("nft", words, { stdio: ["ignore", "ignore", "inherit"] });
}

/** A chain of others in each family's nat table: every look meets another table. */
function changeChain(programs: string, families: readonly Family[], verb: "-N" | "-X"): void {
  for (const family of families) {
    const program = join(programs, family === 4 ? "iptables" : "ip6tables");
    execFileSync(program, ["--wait", "--table", "nat", verb, "OTHERS"]);
  }
}

async function lookAt(manager: TrafficManager, families: readonly Family[]): Promise<void> {
  await Promise.all(families.map((family) => manager.apply(family, wishOf(family), "usual")));
}

async function resyncOf(
  { name, usesNftables, programs, isLegacy }: Firewall,
  families: readonly Family[],
  runs: number,
): Promise<Resync> {
  const stop = new AbortController();
  const PATH = `${programs}:${SEARCH_PATH}`;
  const command = new CountingCommand(
    new NodeCommand({ signal: stop.signal, environment: { PATH } }),
  );
  const manager = openTrafficManager({
    usesNftables,
    command,
    log: new MemoryLog(),
    watchRules,
    ruleGeneration: openRuleGeneration(),
    legacyRules: openLegacyRules(),
  });
  const look = (): Promise<void> => lookAt(manager, families);
  // Written, seen to be right, and seen to be the same.
  for (let time = 0; time < 3; time++) await look();
  const [quiet, stirred]: [Look[], Look[]] = [[], []];
  for (let run = 0; run < runs; run++) {
    quiet.push(await measure(look, command, () => undefined));
    stirred.push(
      await measure(look, command, (index) => {
        if (isLegacy) changeChain(programs, families, index % 2 === 0 ? "-N" : "-X");
        else nft(index % 2 === 0 ? "add" : "delete", "table", "inet", "others");
      }),
    );
  }
  for (const program of ["iptables", "ip6tables"])
    for (const table of ["nat", "filter"])
      execFileSync(join(programs, program), ["-t", table, "--flush"]);
  nft("flush", "ruleset");
  return { firewall: name, families: families.length, quiet, stirred };
}

interface Firewall {
  readonly name: string;
  readonly usesNftables: boolean;
  /** Where `iptables` is. */
  readonly programs: string;
  /** Its rules stand in tables of their own. */
  readonly isLegacy: boolean;
}

async function measureAll(directory: string, runs: number): Promise<Resyncs> {
  const [throughNft, legacy] = [programsOf("nft", directory), programsOf("legacy", directory)];
  const firewalls: readonly Firewall[] = [
    { name: "nftables", usesNftables: true, programs: throughNft, isLegacy: false },
    { name: "iptables-nft", usesNftables: false, programs: throughNft, isLegacy: false },
    { name: "iptables-legacy", usesNftables: false, programs: legacy, isLegacy: true },
  ];
  const found: Resync[] = [];
  for (const firewall of firewalls)
    for (const families of [[4], [4, 6]] as const)
      found.push(await resyncOf(firewall, families, runs));
  return found;
}

const home = mkdtempSync(join(tmpdir(), "twill-resync-"));
try {
  const found = await measureAll(home, Number(process.argv[2]));
  process.stdout.write(`${JSON.stringify(found)}\n`);
} finally {
  rmSync(home, { recursive: true });
}
