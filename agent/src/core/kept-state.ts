/**
 * The state file: what a node knew of its cluster, so that it can start while the store is down. Keys and values stand in it as the store
 * has them and are read by the same code; whatever is wrong with one of them is wrong with the whole.
 */
import { AgentError } from "./errors.ts";
import { describeValue, openObject, parseJson } from "./json-object.ts";
import type { ObjectReader } from "./json-object.ts";
import { formatLeaseValue, parseLeaseValue } from "./lease-json.ts";
import { sameLease } from "./lease.ts";
import type { Lease } from "./lease.ts";
import { formatNetworkConfig, parseNetworkConfig } from "./network-config.ts";
import type { NetworkConfig } from "./network-config.ts";
import { isCompatible } from "./subnet-allocator.ts";
import { formatSubnetKey, parseSubnetKey } from "./subnet-key.ts";

/** The cluster that a command line names. */
export interface ClusterName {
  /** What all of its keys start with. */
  readonly prefix: string;
  /** Without user names and passwords. */
  readonly endpoints: readonly string[];
}

/** When something was so, by the clocks that outlive a process. */
export interface Moment {
  /** Since 1970, in milliseconds; may have jumped. */
  readonly wallMs: number;
  /** Of this run of the kernel; absent where nobody can know. */
  readonly boot?: BootMoment;
}

export interface BootMoment {
  /** Source: proc_sys_kernel(5) random/boot_id. */
  readonly id: string;
  /** Since the boot, sleep included. Source: proc_uptime(5). */
  readonly uptimeMs: number;
}

export interface KeptState {
  readonly cluster: ClusterName;
  readonly written: Moment;
  readonly config: NetworkConfig;
  readonly lease: Lease;
  /** How long the lease had to live when this was written; infinite for a reservation. */
  readonly leaseLeftMs: number;
  /** The store's name for what the lease hangs on. */
  readonly leaseId?: string;
  readonly peers: readonly Lease[];
}

/** Another one is read by nobody. */
const VERSION = 1;
const WHAT = "state";
/** In letters: a hundred times what ten thousand peers take. */
const MAX_LETTERS = 256 * 1024 * 1024;
/** In seconds. No lease of ours lives longer than a day. Source: spec 03 section 9. */
const MAX_LEFT_SECONDS = 2 * 86_400;
const MAX_ENDPOINTS = 100;
/** Written between two places where the work may be interrupted. */
const PEERS_PER_STEP = 32;
const NEVER = "never";
/** How far a clock that is set anew at a boot may be behind the one before. */
const CLOCK_TOLERANCE_MS = 60_000;
const MEMBERS = [
  "version",
  "prefix",
  "endpoints",
  "writtenAt",
  "bootId",
  "uptimeMs",
  "config",
  "lease",
  "leaseSecondsLeft",
  "leaseId",
  "peers",
];

/** The text of the file. May be interrupted wherever it yields: a cluster may have thousands of peers. */
export function* formatKeptState(state: KeptState): Generator<void, string, undefined> {
  const { cluster, written, config, leaseLeftMs, leaseId } = state;
  const { boot } = written;
  const head = JSON.stringify({
    version: VERSION,
    prefix: cluster.prefix,
    endpoints: cluster.endpoints,
    writtenAt: new Date(written.wallMs).toISOString(),
    ...(boot === undefined ? {} : { bootId: boot.id, uptimeMs: Math.floor(boot.uptimeMs) }),
    config: formatNetworkConfig(config),
    lease: entryOf(state.lease),
    leaseSecondsLeft: Number.isFinite(leaseLeftMs) ? Math.floor(leaseLeftMs / 1_000) : NEVER,
    ...(leaseId === undefined ? {} : { leaseId }),
  });
  const peers: string[] = [];
  for (const peer of state.peers) {
    peers.push(JSON.stringify(entryOf(peer)));
    if (peers.length % PEERS_PER_STEP === 0) yield;
  }
  return `${head.slice(0, -1)},"peers":[\n${peers.join(",\n")}]}\n`;
}

function entryOf(lease: Lease): readonly [string, string] {
  return [formatSubnetKey(lease.subnets), formatLeaseValue(lease)];
}

/**
 * Reads what `formatKeptState` wrote, and nothing else.
 * @throws AgentError "config-invalid"
 */
export function parseKeptState(text: string): KeptState {
  if (text.length > MAX_LETTERS) throw invalid(`longer than ${MAX_LETTERS} letters`);
  const reader = openObject(parseJson(text, WHAT), WHAT);
  const version = reader.integer("version", undefined);
  if (version !== VERSION) throw invalid(`version is ${version}: expected ${VERSION}`);
  const [unknown] = reader.unknownNames(MEMBERS);
  if (unknown !== undefined) throw invalid(`there is a member ${describeValue(unknown)}`);
  const config = parseNetworkConfig(required(reader.string("config", undefined), "config"));
  const lease = readEntry(reader.raw("lease"), "lease");
  if (!isCompatible(lease.subnets, config)) throw invalid("the lease does not fit the config");
  const leaseId = reader.string("leaseId", undefined);
  if (leaseId !== undefined && !/^\d{1,20}$/.test(leaseId)) throw invalid("leaseId is no number");
  return {
    cluster: readCluster(reader),
    written: readMoment(reader),
    config,
    lease,
    leaseLeftMs: readLeftMs(reader),
    ...(leaseId === undefined ? {} : { leaseId }),
    peers: readPeers(reader, lease),
  };
}

function readCluster(reader: ObjectReader): ClusterName {
  const prefix = required(reader.string("prefix", undefined), "prefix");
  const endpoints = reader.raw("endpoints");
  if (!Array.isArray(endpoints) || endpoints.length === 0 || endpoints.length > MAX_ENDPOINTS)
    throw invalid(`endpoints is ${describeValue(endpoints)}: expected a list of strings`);
  return {
    prefix,
    endpoints: endpoints.map((one: unknown) => {
      if (typeof one === "string") return one;
      throw invalid(`an endpoint is ${describeValue(one)}: expected a string`);
    }),
  };
}

function readMoment(reader: ObjectReader): Moment {
  const text = required(reader.string("writtenAt", undefined), "writtenAt");
  const wallMs = Date.parse(text);
  if (Number.isNaN(wallMs) || new Date(wallMs).toISOString() !== text)
    throw invalid(`writtenAt is ${describeValue(text)}: expected a time`);
  const id = reader.string("bootId", undefined);
  const uptimeMs = reader.integer("uptimeMs", undefined);
  if (id === undefined || uptimeMs === undefined) return { wallMs };
  return { wallMs, boot: { id, uptimeMs } };
}

function readLeftMs(reader: ObjectReader): number {
  if (reader.raw("leaseSecondsLeft") === NEVER) return Number.POSITIVE_INFINITY;
  const bounds = { min: 0, max: MAX_LEFT_SECONDS };
  const seconds = reader.integer("leaseSecondsLeft", undefined, bounds);
  return 1_000 * required(seconds, "leaseSecondsLeft");
}

/** Whoever shares our subnet or our address is none. */
function readPeers(reader: ObjectReader, own: Lease): readonly Lease[] {
  const entries = reader.raw("peers");
  if (!Array.isArray(entries))
    throw invalid(`peers is ${describeValue(entries)}: expected a list of leases`);
  return entries
    .map((entry: unknown, index) => readEntry(entry, `peer ${index}`))
    .filter((peer) => !sameLease(peer, own) && peer.publicIps[4] !== own.publicIps[4]);
}

function readEntry(entry: unknown, what: string): Lease {
  const [key, value, ...more]: readonly unknown[] = Array.isArray(entry) ? entry : [];
  if (typeof key !== "string" || typeof value !== "string" || more.length > 0)
    throw invalid(`${what} is ${describeValue(entry)}: expected a key and a value`);
  const subnets = parseSubnetKey(key);
  if (subnets === undefined) throw invalid(`${what}: ${describeValue(key)} is no subnet`);
  return { subnets, ...parseLeaseValue(value) };
}

/**
 * How much of its time a kept lease has left. While the machine has not booted anew only that clock counts which nobody sets; after a
 * boot the wall clock has to do.
 * @returns milliseconds, none or fewer when it has run out; undefined when the wall clock was set back, so that nobody can tell
 */
export function leftMsOf(state: KeptState, now: Moment): number | undefined {
  const { written, leaseLeftMs: leftMs } = state;
  if (!Number.isFinite(leftMs)) return leftMs;
  const { boot } = written;
  const isSameBoot = boot !== undefined && boot.id === now.boot?.id;
  const elapsedMs = isSameBoot ? now.boot.uptimeMs - boot.uptimeMs : now.wallMs - written.wallMs;
  if (elapsedMs < (isSameBoot ? 0 : -CLOCK_TOLERANCE_MS)) return undefined;
  return leftMs - Math.max(0, elapsedMs);
}

/** Whether two command lines mean one cluster: its members may have become more or fewer. */
export function isSameCluster(one: ClusterName, other: ClusterName): boolean {
  return (
    one.prefix === other.prefix &&
    one.endpoints.some((endpoint) => other.endpoints.includes(endpoint))
  );
}

/** Letters of a prefix in the name of its file: enough to be known by. */
const MAX_NAME_LETTERS = 64;
/** Source: FNV-1a with 32 bits, by Fowler, Noll and Vo. */
const FNV_BASIS = 0x811c9dc5;
const FNV_PRIME = 0x01000193;

/** Of the state file. Another one for each prefix: two agents of one node may share a directory. */
export function keptStatePath(directory: string, prefix: string): string {
  return `${directory.replace(/\/+$/, "")}/${fileName(prefix)}`;
}

function fileName(prefix: string): string {
  let hash = FNV_BASIS;
  for (const byte of new TextEncoder().encode(prefix))
    hash = Math.imul(hash ^ byte, FNV_PRIME) >>> 0;
  const words = prefix.replaceAll(/[^A-Za-z0-9.]+/g, "-").replaceAll(/^[-.]+|-+$/g, "");
  const name = [words.slice(0, MAX_NAME_LETTERS), hash.toString(16).padStart(8, "0")];
  return `state-${name.filter((part) => part !== "").join("-")}.json`;
}

const SECRET_NAME = /psk|secret|password|token|private|access_?key/i;

/** Whether a config holds what no file may show, such as the shared key of an encrypting backend. */
export function holdsSecret({ backendOptions }: Pick<NetworkConfig, "backendOptions">): boolean {
  return hasSecretName(backendOptions);
}

function hasSecretName(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return false;
  return Object.entries(value).some(
    ([name, inner]) => SECRET_NAME.test(name) || hasSecretName(inner),
  );
}

function required<Value>(value: Value | undefined, name: string): Value {
  if (value === undefined) throw invalid(`${name} is missing`);
  return value;
}

function invalid(message: string): AgentError {
  return new AgentError("config-invalid", `${WHAT}: ${message}`);
}
