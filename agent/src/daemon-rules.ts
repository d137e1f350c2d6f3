/**
 * Keeps the masquerade and forward rules as wished, apart from the loop that keeps the data path: a firewall that refuses, waits for a
 * lock or has no program costs neither a route nor the lease.
 */
import { AgentError } from "./core/errors.ts";
import { FAMILIES, familyOf } from "./core/ip.ts";
import type { Cidr, Family } from "./core/ip.ts";
import { firstOf } from "./core/latest.ts";
import type { Lease } from "./core/lease.ts";
import type { NetworkConfig } from "./core/network-config.ts";
import type { TrafficWish } from "./core/traffic-rules.ts";
import { Complaints } from "./daemon-complaints.ts";
import type { Clock } from "./system/clock.ts";
import type { Log } from "./system/log.ts";
import { together } from "./together.ts";
import type { Thoroughness, TrafficManager } from "./traffic-manager/traffic-manager.ts";

/** What the command line says of rules. */
export interface RuleOptions {
  /** `-ip-masq` */
  readonly masquerade: boolean;
  /** `-iptables-forward-rules` */
  readonly forward: boolean;
  /** Not `-ip-masq-fully-random-disable` */
  readonly fullyRandom: boolean;
  /** `-iptables-resync` */
  readonly resyncSeconds: number;
}

/** Where the kernel tells of changes, looking more often finds nothing (invariant D11). */
const TOLD_SWEEP_MS_MIN = 10_000;
/** So many looks at the firewall in use to one at the other. */
const SWEEPS_PER_THOROUGH = 6;
/** Events come in bursts, our own changes among them. */
const BURST_MS = 100;
/** From one look to the next while events keep coming; doubled each time that something had to be put right again. */
const SPACING_MS_MIN = 500;
const SPACING_MS_MAX = 10_000;
const RETRY_MS_MIN = 1_000;
const RETRY_MS_MAX = 10_000;

interface Parts {
  readonly trafficManager: TrafficManager;
  readonly config: NetworkConfig;
  readonly lease: Pick<Lease, "subnets">;
  /** Of the configuration before this one. */
  readonly previousNetworks: readonly Cidr[];
  readonly options: RuleOptions;
  readonly clock: Clock;
  readonly log: Log;
}

export interface RuleKeeper {
  /** Looks once at every family. Resolves to whether the masquerade rules stand, or need not. */
  first(signal: AbortSignal): Promise<boolean>;
  /** Looks again after each change and at each sweep until the signal aborts. @param onStanding told once, when masquerade rules that did not stand at first do */
  run(onStanding: () => void, signal: AbortSignal): Promise<never>;
  /** What is complained of since the last look. */
  complaints(): readonly string[];
}

export function openRuleKeeper(parts: Parts): RuleKeeper {
  const looks = new Looks(parts);
  return {
    first: (signal) => looks.look("all", signal),
    complaints: () => looks.complaints,
    run: async (onStanding, signal) => {
      await together(signal, [
        (stop) => sweep(parts, looks, onStanding, stop),
        (stop) => watch(parts, looks, stop),
      ]);
      throw signal.reason;
    },
  };
}

class Looks {
  readonly #parts: Parts;
  readonly #complaints: Complaints;
  readonly #wishes: Readonly<Record<Family, TrafficWish>>;
  /** What each family is complained of. */
  #failures: ReadonlyMap<Family, string> = new Map();
  /** Families of which nothing is wanted, and nothing is left. */
  readonly #settled = new Set<Family>();
  #askedMs = Number.POSITIVE_INFINITY;
  #atMs = Number.NEGATIVE_INFINITY;
  #spacingMs = SPACING_MS_MIN;
  #retryMs = 0;
  #count = 0;
  /** Called when there is a reason to look earlier. */
  wake: () => void = () => undefined;
  isTold = false;

  constructor(parts: Parts) {
    this.#parts = parts;
    this.#complaints = new Complaints(parts.log);
    this.#wishes = { 4: wishOf(parts, 4), 6: wishOf(parts, 6) };
    // Of a family that was never in use nothing can be ours.
    for (const family of FAMILIES)
      if (!this.#wishes[family].ownNetworks.some((network) => familyOf(network) === family))
        this.#settled.add(family);
  }

  get complaints(): readonly string[] {
    return [...new Set(this.#failures.values())];
  }

  /** When the next look is due. */
  get dueMs(): number {
    const { resyncSeconds } = this.#parts.options;
    const resyncMs = resyncSeconds * 1_000;
    const sweepMs = this.#atMs + (this.isTold ? Math.max(resyncMs, TOLD_SWEEP_MS_MIN) : resyncMs);
    const retryMs = this.#failures.size > 0 ? this.#atMs + this.#retryMs : sweepMs;
    return Math.min(sweepMs, retryMs, Math.max(this.#askedMs, this.#atMs + this.#spacingMs));
  }

  ask(): void {
    this.#askedMs = Math.min(this.#askedMs, this.#parts.clock.nowMs() + BURST_MS);
    this.wake();
  }

  /** What is due: everything after an event or a failure, and now and then. */
  due(signal: AbortSignal): Promise<boolean> {
    this.#count++;
    const isAsked = this.#askedMs <= this.#parts.clock.nowMs();
    const isThorough =
      isAsked || this.#failures.size > 0 || this.#count % SWEEPS_PER_THOROUGH === 0;
    return this.look(isThorough ? "all" : "usual", signal);
  }

  /** Resolves to whether the masquerade rules stand, or need not. */
  async look(thoroughness: Thoroughness, signal: AbortSignal): Promise<boolean> {
    this.#askedMs = Number.POSITIVE_INFINITY;
    const failures = new Map<Family, string>();
    const changed = await Promise.all(
      FAMILIES.map(async (family) => {
        try {
          return await this.#apply(family, thoroughness);
        } catch (error) {
          if (!(error instanceof AgentError)) throw error;
          failures.set(family, this.#describe(error));
          return false;
        }
      }),
    );
    // A command that the stop ended failed for no reason worth a line.
    signal.throwIfAborted();
    this.#complaints.change(failures.values(), this.#failures.values());
    this.#failures = failures;
    this.#retryMs =
      failures.size === 0 ? 0 : Math.min(Math.max(this.#retryMs * 2, RETRY_MS_MIN), RETRY_MS_MAX);
    // Whoever undoes what we do is not fought at full speed.
    this.#spacingMs = changed.includes(true)
      ? Math.min(this.#spacingMs * 2, SPACING_MS_MAX)
      : SPACING_MS_MIN;
    this.#atMs = this.#parts.clock.nowMs();
    return !this.#parts.options.masquerade || failures.size === 0;
  }

  async #apply(family: Family, thoroughness: Thoroughness): Promise<boolean> {
    const wish = this.#wishes[family];
    if (this.#settled.has(family)) return false;
    const { trafficManager, log } = this.#parts;
    const wants = wish.pods !== undefined && (wish.masquerade || wish.forward);
    try {
      const changed = await trafficManager.apply(family, wish, thoroughness);
      if (!wants) this.#settled.add(family);
      if (changed)
        log.info(
          { family },
          wants ? "wrote traffic rules" : "removed traffic rules that are not wanted any more",
        );
      return changed;
    } catch (error) {
      if (wants || !(error instanceof AgentError)) throw error;
      // A firewall that cannot even be asked holds nothing of ours.
      log.debug({ family, err: error }, "cannot look for traffic rules of a family without any");
      this.#settled.add(family);
      return false;
    }
  }

  #describe({ message }: AgentError): string {
    const { masquerade } = this.#parts.options;
    const effect = masquerade ? "pods may not reach what is outside" : "pods may not be reached";
    return `cannot keep the traffic rules, so that ${effect}: ${message}`;
  }
}

function wishOf({ config, lease, previousNetworks, options }: Parts, family: Family): TrafficWish {
  const network = config.ranges[family]?.network;
  const subnet = lease.subnets[family];
  const { masquerade, forward, fullyRandom } = options;
  const ownNetworks = [
    ...Object.values(config.ranges).map((range) => range.network),
    ...previousNetworks,
  ];
  return {
    ...(network === undefined || subnet === undefined ? {} : { pods: { network, subnet } }),
    masquerade,
    forward,
    fullyRandom,
    ownNetworks,
  };
}

async function sweep(
  { clock }: Parts,
  looks: Looks,
  onStanding: () => void,
  signal: AbortSignal,
): Promise<void> {
  for (let told = false; ;) {
    signal.throwIfAborted();
    const leftMs = looks.dueMs - clock.nowMs();
    if (leftMs > 0) {
      await firstOf(signal, [
        () => new Promise<void>((resolve) => (looks.wake = resolve)),
        (over) => clock.sleep(leftMs, over),
      ]);
      continue;
    }
    const stands = await looks.due(signal);
    if (stands && !told) onStanding();
    told ||= stands;
  }
}

/** Asks to look whenever the kernel tells of a change; where it tells nobody, the sweeps have to do. */
async function watch(
  { trafficManager, clock, log }: Parts,
  looks: Looks,
  signal: AbortSignal,
): Promise<void> {
  for (;;) {
    try {
      const changes = trafficManager.watch(signal);
      if (changes !== undefined) {
        looks.isTold = true;
        // What changed between the last look and this moment was told to nobody.
        looks.ask();
        for await (const _ of changes) looks.ask();
      }
    } catch (error) {
      if (signal.aborted) break;
      if (!(error instanceof AgentError)) throw error;
      log.warn({ err: error }, "cannot hear of changes of traffic rules, looking at each resync");
    }
    looks.isTold = false;
    if (signal.aborted) break;
    await clock.sleep(SPACING_MS_MAX, signal);
  }
  signal.throwIfAborted();
}
