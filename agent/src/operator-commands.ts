/** `flanneld status | check | cleanup`: what an operator asks of a node, over the socket of its agent and with his own eyes. */
import { AgentError } from "./core/errors.ts";
import { FAMILIES, familyOf, maskCidr, tryParseCidr } from "./core/ip.ts";
import type { Cidr } from "./core/ip.ts";
import { keptStatePath, parseKeptState } from "./core/kept-state.ts";
import { parseSubnetFile } from "./core/subnet-file.ts";
import { parseGoBoolean, parseGoFlags } from "./go-flags.ts";
import { EVERYWHERE, cleanupScope, planCleanup } from "./kernel/cleanup.ts";
import type { Change, Kernel, RouteLookup } from "./kernel/kernel.ts";
import { printObject } from "./kernel/print.ts";
import { stateDirectoryPath, statusSocketPath, variableName } from "./options.ts";
import { findDifferences, probesOf } from "./status/check.ts";
import type { Report } from "./status/pages.ts";
import { formatStatus } from "./status/status-text.ts";
import type { Clock } from "./system/clock.ts";
import type { Files } from "./system/files.ts";
import type { TrafficManager } from "./traffic-manager/traffic-manager.ts";

const SUBNET_FILE = "/run/flannel/subnet.env";
const ETCD_PREFIX = "/coreos.com/network";
/** The first word of a command line that is no agent's. */
const COMMANDS = ["status", "check", "cleanup"] as const;
type CommandName = (typeof COMMANDS)[number];

const FLAGS = [
  { name: "json", type: "boolean", help: "for programs" },
  {
    name: "dry-run",
    type: "boolean",
    help: "cleanup: say what would be removed, and remove nothing",
  },
  {
    name: "network",
    type: "list",
    help: "cleanup: a pod network, where no subnet file tells it; may be repeated",
  },
  { name: "subnet-file", type: "string", help: `that of the agent (default ${SUBNET_FILE})` },
  {
    name: "status-socket",
    type: "string",
    help: "that of the agent (default flanneld.sock beside the subnet file)",
  },
  {
    name: "state-dir",
    type: "string",
    help: "cleanup: that of the agent (default /var/lib/flannel); none for none",
  },
  {
    name: "etcd-prefix",
    type: "string",
    help: `cleanup: that of the agent, by which its state file is named (default ${ETCD_PREFIX})`,
  },
] as const;

/** A change that an agent makes within a second of its cause is none that lasts. Source: invariant D11. */
const LOOK_AGAIN_MS = 1_500;
/** Asked and read in about a millisecond. */
const LOOKUPS_AT_ONCE = 256;

export interface CommandPorts {
  /** The body of a page of the agent that listens there; undefined where none does. @throws AgentError "agent-silent" */
  readonly ask: (path: string, page: string) => Promise<string | undefined>;
  /** @throws AgentError "kernel-refused" */
  readonly openKernel: () => Kernel & AsyncDisposable;
  /** Removes a socket that nobody listens on; says whether there was one. */
  readonly removeDeadSocket: (path: string) => Promise<boolean>;
  /** Each firewall that may hold rules of ours. */
  readonly openFirewalls: () => readonly TrafficManager[];
  /** Keeps agents with this subnet file away; undefined where there can be none. @throws AgentError "already-running", "file-unusable" */
  readonly lockForCleanup: (subnetFile: string) => RemovableLock | undefined;
  readonly files: Files;
  readonly clock: Clock;
  readonly writeOut: (text: string) => void;
}

/** A lock whose file can be taken away while it is held. */
interface RemovableLock extends Disposable {
  removeFile(): void;
}

/** What was asked for. */
interface Wishes {
  readonly json: boolean;
  readonly dryRun: boolean;
  readonly networks: readonly Cidr[];
  readonly subnetFile: string;
  readonly socket: string;
  /** Empty for none. */
  readonly stateFile: string;
}

export function isCommand(word: string | undefined): word is CommandName {
  return COMMANDS.some((name) => name === word);
}

export function formatCommandUsage(program: string): string {
  const flags = FLAGS.map(({ name, help }) => `  -${name}\n        ${help}\n`).join("");
  return (
    `Usage: ${program} status|check|cleanup [OPTION]...\n` +
    "status: what the agent knows; exit code 0 when it is ready\n" +
    "check: whether the kernel holds what the store says; exit code 0 when it does\n" +
    `cleanup: removes what an agent left that is not coming back; exit code 0 when all is gone\n${flags}`
  );
}

/** Returns the exit code. @throws AgentError "options-invalid" for bad words, and whatever makes the command impossible */
export async function runCommand(
  name: CommandName,
  words: readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
  ports: CommandPorts,
): Promise<number> {
  const wishes = readWishes(words, environment);
  if (wishes === "help") {
    ports.writeOut(formatCommandUsage("flanneld"));
    return 0;
  }
  switch (name) {
    case "status":
      return status(wishes, ports);
    case "check":
      return check(wishes, ports);
    case "cleanup":
      return cleanup(wishes, ports);
  }
}

function readWishes(
  words: readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
): Wishes | "help" {
  const { values, help, ignored } = parseGoFlags(words, FLAGS);
  if (help) return "help";
  if (ignored.length > 0)
    throw new AgentError("options-invalid", `not understood: ${ignored.join(" ")}`);
  const text = (flag: string): string =>
    values.get(flag)?.at(-1) ?? environment[variableName(flag)] ?? "";
  const isOn = (flag: string): boolean => parseGoBoolean(values.get(flag)?.at(-1) ?? "false");
  const subnetFile = text("subnet-file") || SUBNET_FILE;
  const directory = stateDirectoryPath(text("state-dir"));
  const prefix = text("etcd-prefix") || ETCD_PREFIX;
  return {
    json: isOn("json"),
    dryRun: isOn("dry-run"),
    networks: (values.get("network") ?? []).map(readNetwork),
    subnetFile,
    socket: statusSocketPath(text("status-socket"), subnetFile),
    stateFile: directory === "" ? "" : keptStatePath(directory, prefix),
  };
}

function readNetwork(text: string): Cidr {
  const network = tryParseCidr(text);
  if (network !== undefined) return maskCidr(network);
  throw new AgentError(
    "options-invalid",
    `invalid value ${JSON.stringify(text)} for flag -network: expected a prefix like 10.244.0.0/16`,
  );
}

async function status({ json, socket }: Wishes, { ask, writeOut }: CommandPorts): Promise<number> {
  const report = await askReport(socket, "/status", ask);
  writeOut(json ? `${JSON.stringify(report, undefined, 2)}\n` : formatStatus(report));
  return report.state.ready ? 0 : 1;
}

/** @throws AgentError "agent-silent" also where no agent runs */
async function askReport(socket: string, page: string, ask: CommandPorts["ask"]): Promise<Report> {
  const text = socket === "" ? undefined : await ask(socket, page);
  if (text !== undefined) return JSON.parse(text) as Report;
  throw new AgentError(
    "agent-silent",
    `no agent runs here: nobody listens on ${socket || "any socket"}; start one, or name its -status-socket`,
  );
}

/** What one look has found. */
interface Look {
  readonly report: Report;
  readonly differences: readonly string[];
}

async function check(wishes: Wishes, ports: CommandPorts): Promise<number> {
  await using kernel = ports.openKernel();
  const first = await look(wishes, ports, kernel);
  let last = first;
  if (first.differences.length > 0) {
    await ports.clock.sleep(LOOK_AGAIN_MS, new AbortController().signal);
    last = await look(wishes, ports, kernel);
  }
  const { differences, report } = last;
  const repaired = first.differences.filter((one) => !differences.includes(one));
  const notes = report.state.complaints;
  if (wishes.json)
    ports.writeOut(`${JSON.stringify({ differences, repaired, notes }, undefined, 2)}\n`);
  else {
    const lines = [
      ...differences,
      ...repaired.map((one) => `meanwhile repaired: ${one}`),
      ...notes.map((one) => `note: ${one}`),
    ];
    const objects = report.wish?.objects.length ?? 0;
    const verdict =
      differences.length === 0
        ? `the kernel holds what the store says; objects: ${objects}, peers: ${report.state.peers.length}`
        : `differences between kernel and store: ${differences.length}`;
    ports.writeOut([...lines, verdict, ""].join("\n"));
  }
  return differences.length === 0 ? 0 : 1;
}

async function look(wishes: Wishes, ports: CommandPorts, kernel: Kernel): Promise<Look> {
  const report = await askReport(wishes.socket, "/wish", ports.ask);
  const { state, wish, subnetFile } = report;
  if (wish === undefined || state.lease === undefined)
    return { report, differences: [`not programmed yet: the agent is ${state.stage}`] };
  const ways: (RouteLookup | undefined)[] = [];
  const destinations = probesOf(wish).map(({ destination }) => destination);
  for (let start = 0; start < destinations.length; start += LOOKUPS_AT_ONCE)
    ways.push(...(await kernel.routesTo(destinations.slice(start, start + LOOKUPS_AT_ONCE))));
  const dumped = await kernel.dump(wish.scope);
  const evidence = { dumped, ways, subnetFile: await ports.files.read(subnetFile) };
  return { report, differences: findDifferences(state, wish, evidence) };
}

async function cleanup(wishes: Wishes, ports: CommandPorts): Promise<number> {
  const { socket, subnetFile, stateFile, dryRun, json } = wishes;
  await refuseWhileAgentRuns(socket, ports.ask);
  // Of one without a socket, and of one that starts meanwhile.
  using lock = dryRun ? undefined : ports.lockForCleanup(subnetFile);
  const text = await ports.files.read(subnetFile);
  const stateText = stateFile === "" ? undefined : await ports.files.read(stateFile);
  const known = [...wishes.networks, ...networksOf(text), ...keptNetworks(stateText)];
  const networks = [...new Set(known)];
  await using kernel = ports.openKernel();
  const changes = await leftBehind(kernel, networks.length === 0 ? EVERYWHERE : networks);
  const [first] = changes;
  if (networks.length === 0 && first !== undefined)
    throw new AgentError(
      "config-missing",
      `no pod network is known, since ${subnetFile} is not there; to have ${printObject(first.object)} and the like removed, name it: -network 10.244.0.0/16`,
    );
  const results = dryRun ? [] : await kernel.apply(changes);
  const rules = dryRun ? wouldRemoveRules(networks) : await removeRules(networks, ports);
  const refused = [...results.flatMap(({ error }) => error?.message ?? []), ...rules.refused];
  // Last, and only when all else is gone: it tells the next try what to look for.
  const isFile = text !== undefined && refused.length === 0;
  if (isFile && !dryRun) await ports.files.remove(subnetFile);
  // With it the next start would go on with the lease without asking.
  const isState = stateText !== undefined;
  if (isState && !dryRun) await ports.files.remove(stateFile);
  if (socket !== "" && !dryRun) await ports.removeDeadSocket(socket);
  lock?.removeFile();
  const removed = [
    ...changes
      .filter((_, index) => results[index]?.error === undefined)
      .map(({ object }) => printObject(object)),
    ...rules.removed,
    ...(isFile ? [`file ${subnetFile}`] : []),
    ...(isState ? [`file ${stateFile}`] : []),
  ];
  if (json) ports.writeOut(`${JSON.stringify({ dryRun, removed, refused }, undefined, 2)}\n`);
  else {
    const word = dryRun ? "would remove" : "removed";
    const lines =
      removed.length === 0 ? ["nothing of ours is here"] : removed.map((one) => `${word} ${one}`);
    ports.writeOut([...lines, ...refused, ""].join("\n"));
  }
  return refused.length === 0 ? 0 : 1;
}

/** @throws AgentError "kernel-refused" */
async function leftBehind(kernel: Kernel, networks: readonly Cidr[]): Promise<readonly Change[]> {
  const { interfaces } = await kernel.interfaces();
  const scope = cleanupScope(interfaces, networks);
  return planCleanup(await kernel.dump(scope), scope, networks);
}

interface RemovedRules {
  readonly removed: readonly string[];
  readonly refused: readonly string[];
}

/** Which there are is not asked before they are to go. */
function wouldRemoveRules(networks: readonly Cidr[]): RemovedRules {
  return {
    removed: networks.map((network) => `traffic rules about ${network}, where there are any`),
    refused: [],
  };
}

/** Rules about the networks, out of both firewalls; one whose program is not there holds none. */
async function removeRules(
  networks: readonly Cidr[],
  { openFirewalls }: CommandPorts,
): Promise<RemovedRules> {
  const nothing = { masquerade: false, forward: false, fullyRandom: false, ownNetworks: networks };
  const removed = new Set<string>();
  const refused: string[] = [];
  for (const firewall of networks.length === 0 ? [] : openFirewalls())
    for (const family of new Set(networks.map(familyOf)))
      try {
        if (await firewall.apply(family, nothing, "usual"))
          removed.add(`traffic rules of IPv${family}`);
      } catch (error) {
        if (!(error instanceof AgentError)) throw error;
        if (error.code !== "program-missing") refused.push(error.message);
      }
  return { removed: [...removed], refused };
}

/** @throws AgentError "agent-running"; an agent that is stopped or hangs runs too */
async function refuseWhileAgentRuns(socket: string, ask: CommandPorts["ask"]): Promise<void> {
  try {
    if (socket === "" || (await ask(socket, "/healthz")) === undefined) return;
  } catch (error) {
    if (!(error instanceof AgentError && error.code === "agent-silent")) throw error;
  }
  throw new AgentError(
    "agent-running",
    `an agent runs here and would put everything back: stop the one that listens on ${socket} first`,
  );
}

/** What cannot be read tells nothing. */
function keptNetworks(text: string | undefined): readonly Cidr[] {
  if (text === undefined) return [];
  try {
    const { ranges } = parseKeptState(text).config;
    return FAMILIES.flatMap((family) => ranges[family]?.network ?? []);
  } catch (error) {
    if (error instanceof AgentError) return [];
    throw error;
  }
}

function networksOf(text: string | undefined): readonly Cidr[] {
  if (text === undefined) return [];
  const { networks } = parseSubnetFile(text);
  return FAMILIES.flatMap((family) => networks[family] ?? []);
}
