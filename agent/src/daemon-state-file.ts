/**
 * The state file of a running agent: what it would need to start while the store is down. It is written when something of it has changed,
 * our own lease at once and peers together, beside everything else and never in its way.
 */
import { AgentError } from "./core/errors.ts";
import {
  formatKeptState,
  holdsSecret,
  isSameCluster,
  keptStatePath,
  leftMsOf,
  parseKeptState,
} from "./core/kept-state.ts";
import type { BootMoment, ClusterName, KeptState, Moment } from "./core/kept-state.ts";
import { Latest, firstOf } from "./core/latest.ts";
import { sameLease } from "./core/lease.ts";
import type { Lease } from "./core/lease.ts";
import type { NetworkConfig } from "./core/network-config.ts";
import type { HeldLease } from "./subnet-manager/subnet-manager.ts";
import type { Clock } from "./system/clock.ts";
import type { Files } from "./system/files.ts";
import type { Log } from "./system/log.ts";
import { Slices } from "./system/slices.ts";

/** It names every node of the cluster. */
const MODE = 0o600;
/** Between two writes, whatever changes. */
const WRITE_MS_MIN = 1_000;
/** Peers come and go together: what has changed waits so long for more, twice as long after each write while they keep changing. */
const PEERS_SETTLE_MS = 1_000;
const PEERS_SETTLE_MS_MAX = 60_000;
/** After a write that failed. */
const RETRY_MS = 30_000;
/** How often it is looked whether the wall clock was set, and what counts as that. */
const CLOCK_LOOK_MS = 60_000;
const CLOCK_JUMP_MS = 30_000;
const BOOT_ID_FILE = "/proc/sys/kernel/random/boot_id";
const UPTIME_FILE = "/proc/uptime";

export interface StateFileParts {
  /** `-state-dir`. */
  readonly directory: string;
  readonly cluster: ClusterName;
  readonly files: Files;
  readonly clock: Clock;
  readonly log: Log;
}

/** What stands in it, as the values that were written: those that are the same need no other write. */
interface Content {
  readonly config: NetworkConfig;
  readonly held: HeldLease;
  readonly peers: readonly Lease[];
  readonly written: Moment;
  readonly leaseLeftMs: number;
}

export class StateFile {
  readonly path: string;
  readonly #parts: StateFileParts;
  readonly #slices: Slices;
  readonly #changes = new Latest<undefined>();
  #config: NetworkConfig | undefined;
  /** `none` once the store has our lease no more. */
  #held: HeldLease | "none" | undefined;
  #peers: readonly Lease[] | undefined;
  /** Since when peers are not as they are in the file. */
  #peersChangedMs = 0;
  #settleMs = PEERS_SETTLE_MS;
  /** Undefined before this run has written or removed it. */
  #content: Content | "none" | undefined;
  /** How far the wall clock was ahead of the monotonic one when it was written. */
  #wallAheadMs = 0;
  /** At first the start of this run, which is not to be held up by a write. */
  #triedMs: number;
  #failure: string | undefined;

  constructor(parts: StateFileParts) {
    this.#parts = parts;
    this.#slices = new Slices(parts.clock);
    this.#triedMs = parts.clock.nowMs();
    this.path = keptStatePath(parts.directory, parts.cluster.prefix);
  }

  /** What a run before this one left, if it may still be used, with the time that its lease has left now; otherwise says why not. */
  async load(): Promise<KeptState | undefined> {
    const { cluster, files, log } = this.#parts;
    try {
      const text = await files.read(this.path);
      if (text === undefined) return undefined;
      const state = parseKeptState(text);
      const leftMs = leftMsOf(state, await this.#now());
      const reason = isSameCluster(state.cluster, cluster)
        ? runOut(state, leftMs)
        : `it is of the cluster at ${state.cluster.endpoints.join(",")}, prefix ${state.cluster.prefix}`;
      if (reason === undefined) return { ...state, leaseLeftMs: leftMs ?? 0 };
      log.warn({ path: this.path }, `cannot start from the state file: ${reason}`);
    } catch (error) {
      if (!(error instanceof AgentError)) throw error;
      log.warn({ path: this.path, err: error }, "cannot start from the state file: unusable");
    }
    return undefined;
  }

  setConfig(config: NetworkConfig): void {
    this.#config = config;
    this.#changes.set(undefined);
  }

  /** @param held undefined once the store has our lease no more: what is in the file is then not true any more */
  setHeld(held: HeldLease | undefined): void {
    this.#held = held ?? "none";
    this.#changes.set(undefined);
  }

  setPeers(peers: readonly Lease[]): void {
    const nowMs = this.#parts.clock.nowMs();
    if (!this.#isPeersNews) {
      if (nowMs - this.#triedMs > PEERS_SETTLE_MS_MAX) this.#settleMs = PEERS_SETTLE_MS;
      this.#peersChangedMs = nowMs;
    }
    this.#peers = peers;
    this.#changes.set(undefined);
  }

  /** Writes what has changed until the signal aborts, and at last what is not written yet. */
  async run(signal: AbortSignal): Promise<never> {
    const { clock } = this.#parts;
    try {
      for (;;) {
        const { version } = this.#changes;
        const leftMs = this.#dueMs - clock.nowMs();
        if (leftMs <= 0) await this.#save();
        else
          await firstOf(signal, [
            (either) => this.#changes.changedSince(version, either),
            (either) => clock.sleep(Math.min(leftMs, CLOCK_LOOK_MS), either),
          ]);
        signal.throwIfAborted();
      }
    } finally {
      if (this.#isNews) await this.#save();
    }
  }

  /** When the next write is due; never while there is nothing to write. */
  get #dueMs(): number {
    if (!this.#isNews) return Number.POSITIVE_INFINITY;
    const spacedMs = this.#triedMs + (this.#failure === undefined ? WRITE_MS_MIN : RETRY_MS);
    if (this.#isLeaseNews || this.#isClockNews) return spacedMs;
    return Math.max(spacedMs, this.#peersChangedMs + this.#settleMs);
  }

  get #isNews(): boolean {
    return this.#isLeaseNews || this.#isPeersNews || this.#isClockNews;
  }

  /** Of what is not to wait. */
  get #isLeaseNews(): boolean {
    if (this.#held === undefined) return false;
    if (this.#held === "none") return this.#content !== "none";
    if (this.#config === undefined || this.#peers === undefined) return false;
    if (holdsSecret(this.#config)) return this.#content !== "none";
    if (this.#content === undefined || this.#content === "none") return true;
    return this.#content.held !== this.#held || this.#content.config !== this.#config;
  }

  get #isPeersNews(): boolean {
    const content = this.#content;
    return typeof content === "object" && content.peers !== this.#peers;
  }

  /** What is in the file says when the lease ends by a wall clock that was set since. */
  get #isClockNews(): boolean {
    if (typeof this.#content !== "object") return false;
    return Math.abs(wallAheadMs(this.#parts.clock) - this.#wallAheadMs) > CLOCK_JUMP_MS;
  }

  async #save(): Promise<void> {
    const { clock, log } = this.#parts;
    this.#triedMs = clock.nowMs();
    if (this.#isPeersNews) this.#settleMs = Math.min(2 * this.#settleMs, PEERS_SETTLE_MS_MAX);
    try {
      await this.#put();
      if (this.#failure !== undefined) log.info({ was: this.#failure }, "no longer so");
      this.#failure = undefined;
    } catch (error) {
      if (!(error instanceof AgentError)) throw error;
      await this.#forgetAnother();
      if (this.#failure === undefined)
        log.warn(
          {},
          `${error.message}: going on without a state file; should this node boot while the store is down, it waits for it`,
        );
      this.#failure = error.message;
    }
  }

  async #put(): Promise<void> {
    const { files, log } = this.#parts;
    const [config, held, peers] = [this.#config, this.#held, this.#peers];
    const isSecret = config !== undefined && holdsSecret(config);
    if (typeof held !== "object" || config === undefined || peers === undefined || isSecret) {
      await files.remove(this.path);
      if (isSecret && this.#content === undefined)
        log.info({}, "keeping no state file: the network config holds a secret");
      this.#content = "none";
      return;
    }
    const { cluster, clock } = this.#parts;
    const ahead = wallAheadMs(clock);
    const written = await this.#now();
    const leaseLeftMs = Math.max(0, this.#leftMs(held, written));
    const text = await this.#slices.run(
      formatKeptState({
        cluster,
        written,
        config,
        lease: held.lease,
        leaseLeftMs,
        ...(held.id === undefined ? {} : { leaseId: held.id }),
        peers,
      }),
    );
    await files.writeAtomically(this.path, text, MODE);
    this.#wallAheadMs = ahead;
    this.#content = { config, held, peers, written, leaseLeftMs };
  }

  /** What the lease has left. Where the machine slept since the last write, the clock of this process did not go on. */
  #leftMs(held: HeldLease, now: Moment): number {
    const leftMs = held.endsMs - this.#parts.clock.nowMs();
    const before = this.#content;
    if (typeof before !== "object" || before.held !== held) return leftMs;
    const { boot } = before.written;
    if (boot === undefined || now.boot === undefined) return leftMs;
    return Math.min(leftMs, before.leaseLeftMs - (now.boot.uptimeMs - boot.uptimeMs));
  }

  /** Where nothing can be written, what is there is removed if it is of another lease: that one is ours no more. */
  async #forgetAnother(): Promise<void> {
    const { files, log } = this.#parts;
    if (typeof this.#held !== "object") return;
    const { lease } = this.#held;
    try {
      const text = await files.read(this.path);
      if (text !== undefined && !sameLease(parseKeptState(text).lease, lease))
        await files.remove(this.path);
    } catch (error) {
      if (!(error instanceof AgentError)) throw error;
      log.debug({ err: error }, "nor can the former state file be read or removed");
    }
  }

  async #now(): Promise<Moment> {
    const { files, clock } = this.#parts;
    const boot = await readBoot(files);
    const wallMs = clock.wallClock().getTime();
    return { wallMs, ...(boot === undefined ? {} : { boot }) };
  }
}

/** Why the lease in it may not be used any more. */
function runOut({ lease }: KeptState, leftMs: number | undefined): string | undefined {
  const { 4: subnet } = lease.subnets;
  if (leftMs === undefined)
    return `the wall clock is behind the time of its writing, so that nobody can tell whether the lease of ${subnet} has run out`;
  return leftMs <= 0 ? `the lease of ${subnet} in it has run out` : undefined;
}

function wallAheadMs(clock: Clock): number {
  return clock.wallClock().getTime() - clock.nowMs();
}

async function readBoot(files: Files): Promise<BootMoment | undefined> {
  const [id, uptime] = await Promise.all([files.read(BOOT_ID_FILE), files.read(UPTIME_FILE)]);
  const [, seconds] = /^(\d+(?:\.\d+)?) /.exec(uptime ?? "") ?? [];
  if (id === undefined || seconds === undefined) return undefined;
  return { id: id.trim(), uptimeMs: Math.floor(1_000 * Number(seconds)) };
}
