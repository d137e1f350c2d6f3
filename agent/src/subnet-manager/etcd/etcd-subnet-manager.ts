import { FAMILIES, type Cidr, type PerFamily } from "../../core/ip.ts";
import { Latest } from "../../core/latest.ts";
import type { Lease, LeaseAttributes } from "../../core/lease.ts";
import type { NetworkConfig } from "../../core/network-config.ts";
import { formatSubnetKey } from "../../core/subnet-key.ts";
import type { Clock } from "../../system/clock.ts";
import type { Log } from "../../system/log.ts";
import type { Random } from "../../system/random.ts";
import type { HeldLease, PreviousLeases, StoreState, SubnetManager } from "../subnet-manager.ts";
import { acquireLease } from "./acquire.ts";
import type { Claim } from "./claim.ts";
import { identityOf, ownLeases } from "./claim-plan.ts";
import type { StoreContext } from "./context.ts";
import { Figures } from "./figures.ts";
import { keepLease, noteHeld } from "./keep-lease.ts";
import type { KeyValueStore } from "./key-value-store.ts";
import { keysBelow } from "./keys.ts";
import { LeaseReader } from "./lease-entries.ts";
import { measuredStore } from "./measured-store.ts";
import { Outage, untilAnswered } from "./outage.ts";
import type { Publication } from "./publication.ts";
import { readNetworkConfig } from "./read-network-config.ts";
import { watchPeers } from "./watch-peers.ts";

export interface EtcdSubnetManagerOptions {
  /** `--etcd-prefix`: what all keys of the cluster start with. */
  readonly prefix: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** `--subnet-lease-renew-margin`, 1 to 1439. */
  readonly renewMarginMinutes?: number;
  readonly leaseTtlSeconds?: number;
  /** What `subnet.env` says this node had, for the manager's name. */
  readonly previousSubnets?: PerFamily<Cidr>;
}

/** Source: flannel main.go and pkg/subnet/etcd/local_manager.go, spec 03 section 9. */
const RENEW_MARGIN_MINUTES = 60;
const LEASE_TTL_SECONDS = 86_400;

/** Leases as keys in etcd, byte for byte as the reference writes them. Owns the store it is given. */
export class EtcdSubnetManager implements SubnetManager, AsyncDisposable {
  readonly name: string;
  readonly held: Latest<HeldLease | undefined> = new Latest();
  readonly #context: StoreContext;
  /** What `acquireLease` got last, so that `keepLease` knows when to renew it. */
  #claim: Claim | undefined;
  readonly #publications = new Latest<Publication>();

  constructor(store: KeyValueStore, options: EtcdSubnetManagerOptions) {
    const { clock, random, log, previousSubnets = {} } = options;
    const previous = FAMILIES.flatMap((family) => previousSubnets[family] ?? []);
    this.name = `Etcd Local Manager with Previous Subnet: ${previous.join(" ") || "None"}`;
    const keys = keysBelow(options.prefix);
    const figures = new Figures();
    this.#context = {
      store: measuredStore(store, clock, figures),
      figures,
      clock,
      random,
      log,
      keys,
      outage: new Outage(clock, log),
      leases: new LeaseReader(keys, { log, clock }),
      leaseTtlSeconds: options.leaseTtlSeconds ?? LEASE_TTL_SECONDS,
      renewMarginMinutes: options.renewMarginMinutes ?? RENEW_MARGIN_MINUTES,
    };
  }

  networkConfig(signal: AbortSignal): Promise<NetworkConfig> {
    return readNetworkConfig(this.#context, signal);
  }

  async previousLeases(
    publicIps: LeaseAttributes["publicIps"],
    signal: AbortSignal,
  ): Promise<PreviousLeases> {
    const { store, keys, leases } = this.#context;
    const { entries } = await untilAnswered(
      this.#context,
      () => store.range({ prefix: keys.subnets }, { signal }),
      signal,
    );
    const stored = await leases.all(entries);
    const publicIp = identityOf({ publicIps });
    const own = publicIp === undefined ? [] : ownLeases(stored, publicIp);
    const others = stored.leases.filter((one) => !own.includes(one));
    return { own: own[0]?.lease, others: others.map(({ lease }) => lease) };
  }

  async acquireLease(
    config: NetworkConfig,
    wanted: LeaseAttributes,
    preferred: PerFamily<Cidr>,
    signal: AbortSignal,
  ): Promise<Lease> {
    const wish = { config, attributes: wanted, preferred };
    const { lease, claim } = await acquireLease(this.#context, wish, signal);
    this.#claim = claim;
    this.#context.figures.claimed(claim);
    noteHeld(this.held, lease, claim);
    return lease;
  }

  keepLease(
    lease: Lease,
    onHeld: (held: boolean) => void,
    signal: AbortSignal,
    formerId?: string,
  ): Promise<never> {
    const key = this.#context.keys.subnets + formatSubnetKey(lease.subnets);
    const claim = this.#claim?.key === key ? this.#claim : undefined;
    const { held } = this;
    const former = formerId === undefined ? {} : { formerId };
    const kept = { lease, claim, ...former, publications: this.#publications, onHeld, held };
    return keepLease(this.#context, kept, signal);
  }

  async publish(attributes: LeaseAttributes, signal: AbortSignal): Promise<Lease | undefined> {
    const answer = new Latest<Lease | undefined>();
    this.#publications.set({ attributes, answer: (rival) => answer.set(rival) });
    await answer.changedSince(0, signal);
    return answer.value;
  }

  watchPeers(own: Lease, signal: AbortSignal): AsyncIterable<readonly Lease[]> {
    return watchPeers(this.#context, own, this.#publications, signal);
  }

  state(): StoreState {
    const { store, clock, outage, figures } = this.#context;
    const { seconds: outageSeconds } = outage;
    const { revision, leaseEndsMs } = figures;
    return {
      endpoints: store.endpoints,
      ...(outageSeconds === undefined ? {} : { outageSeconds }),
      ...(leaseEndsMs === undefined ? {} : { leaseSecondsLeft: secondsUntil(leaseEndsMs, clock) }),
      ...(revision === undefined ? {} : { revision }),
      figures: figures.values,
    };
  }

  reconnect(): void {
    this.#context.store.reconnect();
  }

  close(): Promise<void> {
    return this.#context.store.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

function secondsUntil(endMs: number, clock: Clock): number | "never" {
  return Number.isFinite(endMs) ? (endMs - clock.nowMs()) / 1_000 : "never";
}
