/**
 * A subnet manager that gets over a store that is down at the start: what an earlier run kept in the state file stands in for what the
 * store would say, until it says something.
 *
 *     ask the store ──answer──► as without a state file                              written: config, own lease, peers
 *          │
 *          └──none for 3 s, a lease in the file──► config, lease and peers of the file, not confirmed
 *                                                       │
 *                                                 store answers: the same config? ──no──► "config-changed"
 *                                                       └──yes──► take the same lease again ──another has it──► "lease-lost"
 *                                                                      └──► its peers, confirmed
 */
import { AgentError } from "./core/errors.ts";
import type { Cidr, PerFamily } from "./core/ip.ts";
import type { KeptState } from "./core/kept-state.ts";
import { Latest } from "./core/latest.ts";
import type { Lease, LeaseAttributes } from "./core/lease.ts";
import { formatNetworkConfig } from "./core/network-config.ts";
import type { NetworkConfig } from "./core/network-config.ts";
import { StateFile } from "./daemon-state-file.ts";
import type { StateFileParts } from "./daemon-state-file.ts";
import type {
  HeldLease,
  PreviousLeases,
  StoreState,
  SubnetManager,
} from "./subnet-manager/subnet-manager.ts";
import type { Clock } from "./system/clock.ts";
import type { Log } from "./system/log.ts";
import { together } from "./together.ts";

/** How long the store is waited for before the state file is looked at: a store that starts beside its nodes takes as long. */
const PATIENCE_MS = 3_000;
const LOOK_AGAIN_MS = 1_000;

export interface KeptLeasesParts extends StateFileParts {
  /** Told when the lease is that of the state file alone, and when the store has said that it is ours. */
  readonly onUnconfirmed: (unconfirmed: boolean) => void;
}

/** What stands in for the store, and since when. */
interface Resumed {
  readonly state: KeptState;
  readonly leaseEndsMs: number;
}

export class KeptLeases implements SubnetManager {
  readonly name: string;
  readonly held: Latest<HeldLease | undefined>;
  readonly #inner: SubnetManager;
  readonly #file: StateFile;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #onUnconfirmed: (unconfirmed: boolean) => void;
  #resumed: Resumed | undefined;
  /** Set once the store may be asked for more than the config. */
  readonly #back = new Latest<true>();

  constructor(inner: SubnetManager, parts: KeptLeasesParts) {
    this.name = inner.name;
    this.held = inner.held;
    this.#inner = inner;
    this.#file = new StateFile(parts);
    this.#clock = parts.clock;
    this.#log = parts.log;
    this.#onUnconfirmed = parts.onUnconfirmed;
  }

  async networkConfig(signal: AbortSignal): Promise<NetworkConfig> {
    const config = await this.#askConfig(signal);
    if (config !== undefined) {
      this.#file.setConfig(config);
      return config;
    }
    const state = await this.#file.load();
    if (state === undefined) return this.#waitForConfig(signal);
    this.#resumed = { state, leaseEndsMs: this.#clock.nowMs() + state.leaseLeftMs };
    return state.config;
  }

  async previousLeases(
    publicIps: LeaseAttributes["publicIps"],
    signal: AbortSignal,
  ): Promise<PreviousLeases> {
    const { state } = this.#resumed ?? {};
    if (state !== undefined && state.lease.publicIps[4] === publicIps[4])
      return { own: state.lease, others: state.peers };
    if (state !== undefined) {
      this.#log.warn(
        { path: this.#file.path },
        `cannot start from the state file: it is of the public IP ${state.lease.publicIps[4]}, and this node has ${publicIps[4]}`,
      );
      await this.#confirmConfig(state.config, signal);
      this.#resumed = undefined;
    }
    return this.#inner.previousLeases(publicIps, signal);
  }

  async acquireLease(
    config: NetworkConfig,
    wanted: LeaseAttributes,
    preferred: PerFamily<Cidr>,
    signal: AbortSignal,
  ): Promise<Lease> {
    if (this.#resumed === undefined)
      return this.#inner.acquireLease(config, wanted, preferred, signal);
    const { state, leaseEndsMs } = this.#resumed;
    const { subnets } = state.lease;
    this.#onUnconfirmed(true);
    this.#log.warn(
      {
        subnets,
        peers: state.peers.length,
        leaseSecondsLeft: secondsUntil(leaseEndsMs, this.#clock),
      },
      "the store does not answer: starting with the lease and the peers of the state file",
    );
    return { ...wanted, subnets };
  }

  async keepLease(
    lease: Lease,
    onHeld: (held: boolean) => void,
    signal: AbortSignal,
    formerId?: string,
  ): Promise<never> {
    await together(signal, [
      (stop) => this.#keep(lease, onHeld, stop, formerId),
      (stop) => this.#noteHeld(stop),
      (stop) => this.#file.run(stop),
    ]);
    throw signal.reason;
  }

  async *watchPeers(own: Lease, signal: AbortSignal): AsyncGenerator<readonly Lease[], void> {
    if (this.#resumed !== undefined) {
      yield this.#resumed.state.peers;
      await this.#back.changedSince(0, signal);
    }
    for await (const peers of this.#inner.watchPeers(own, signal)) {
      this.#file.setPeers(peers);
      yield peers;
    }
  }

  publish(attributes: LeaseAttributes, signal: AbortSignal): Promise<Lease | undefined> {
    return this.#inner.publish(attributes, signal);
  }

  state(): StoreState {
    const state = this.#inner.state();
    if (this.#resumed === undefined || this.held.version > 0) return state;
    return { ...state, leaseSecondsLeft: secondsUntil(this.#resumed.leaseEndsMs, this.#clock) };
  }

  reconnect(): void {
    this.#inner.reconnect();
  }

  close(): Promise<void> {
    return this.#inner.close();
  }

  /** The config, or undefined when the store has not answered for a while. */
  async #askConfig(signal: AbortSignal): Promise<NetworkConfig | undefined> {
    const stop = new AbortController();
    const either = AbortSignal.any([signal, stop.signal]);
    const asking = this.#inner.networkConfig(either);
    try {
      for (let waitMs = PATIENCE_MS; ; waitMs = LOOK_AGAIN_MS) {
        const waiting = this.#clock.sleep(waitMs, either).then(() => undefined);
        const config = await Promise.race([asking, waiting]);
        if (config !== undefined) return config;
        if (this.#inner.state().outageSeconds !== undefined) return undefined;
      }
    } finally {
      stop.abort(new Error("the config is waited for no more"));
    }
  }

  async #waitForConfig(signal: AbortSignal): Promise<NetworkConfig> {
    const config = await this.#inner.networkConfig(signal);
    this.#file.setConfig(config);
    return config;
  }

  /** Waits for the store. @throws AgentError "config-changed" when its config is another one than `known` */
  async #confirmConfig(known: NetworkConfig, signal: AbortSignal): Promise<void> {
    const config = await this.#waitForConfig(signal);
    if (formatNetworkConfig(config) === formatNetworkConfig(known)) return;
    this.#file.setHeld(undefined);
    throw new AgentError(
      "config-changed",
      "the network config in the store is another one than in the state file that this agent started from: start again with the new one",
    );
  }

  async #keep(
    lease: Lease,
    onHeld: (held: boolean) => void,
    signal: AbortSignal,
    formerId: string | undefined,
  ): Promise<never> {
    const { state } = this.#resumed ?? {};
    try {
      if (state !== undefined) await this.#confirmConfig(state.config, signal);
      this.#back.set(true);
      return await this.#inner.keepLease(lease, onHeld, signal, state?.leaseId ?? formerId);
    } catch (error) {
      if (error instanceof AgentError && error.code === "lease-lost") this.#file.setHeld(undefined);
      throw error;
    }
  }

  async #noteHeld(signal: AbortSignal): Promise<never> {
    for (let version = 0; ;) {
      await this.held.changedSince(version, signal);
      ({ version } = this.held);
      const { value } = this.held;
      if (value !== undefined && this.#resumed !== undefined) this.#confirmed();
      this.#file.setHeld(value);
    }
  }

  #confirmed(): void {
    this.#resumed = undefined;
    this.#onUnconfirmed(false);
    this.#log.info({}, "the store has the lease that this agent started with");
  }
}

function secondsUntil(endMs: number, clock: Clock): number | "never" {
  return Number.isFinite(endMs) ? (endMs - clock.nowMs()) / 1_000 : "never";
}
