/** The passes over the kernel: a whole one dumps and compares everything, one of a part writes what is wished otherwise than before. */
import { containsIp } from "./core/ip.ts";
import type { Cidr, Ip } from "./core/ip.ts";
import type { Lease } from "./core/lease.ts";
import { PeerPlans } from "./backends/backend.ts";
import type { Backend, PlanChange } from "./backends/backend.ts";
import { Complaints } from "./daemon-complaints.ts";
import { Counters } from "./daemon-counters.ts";
import type { Cause, PassKind, PastPass, ReconcileCounters } from "./daemon-counters.ts";
import { Lag } from "./daemon-lag.ts";
import { Refusals } from "./daemon-refusals.ts";
import { Schedule } from "./daemon-schedule.ts";
import type { Change, Kernel, KernelObject, RouteLookup, Scope } from "./kernel/kernel.ts";
import {
  ByIdentity,
  Mirror,
  RouteForms,
  Slices,
  asWished,
  covers,
  isSame,
} from "./kernel/reconcile.ts";
import type {
  LeftRouteMarks,
  PassReport,
  Wish,
  WishChange,
  WishChanges,
  Writing,
} from "./kernel/reconcile.ts";
import type { Clock } from "./system/clock.ts";
import type { Log } from "./system/log.ts";

/** Asked and read in about a millisecond. */
const LOOKUPS_AT_ONCE = 256;
/** What the node is at the moment, which the wish follows from. */
export interface Surroundings {
  /** As of the last look. When it is another one, `own` is another lease too. */
  readonly backend: Backend;
  /** @returns whether they are other ones than at the look before @throws AgentError "kernel-refused" */
  look(): Promise<boolean>;
}

/** What an agent before this one may have left, under another configuration or while nobody was there. All of it goes (invariant D1). */
export interface Predecessor {
  /** Of its configuration: what is ours inside them is left over. */
  readonly networks: readonly Cidr[];
  /** Devices that were its. */
  readonly links: readonly string[];
  /** What its plain routes look like. They bear no mark of ours, so they are looked for at the start only. */
  readonly routes?: LeftRouteMarks;
}

export const NO_PREDECESSOR: Predecessor = { networks: [], links: [] };

export interface PassParts {
  readonly environment: Surroundings;
  readonly kernel: Kernel;
  readonly clock: Clock;
  readonly log: Log;
  /** Undefined before the lease: only the device is made. */
  own(): Lease | undefined;
  readonly predecessor: Predecessor;
  /** Told whether passes have failed for a while, or the device that carries the packets is refused. */
  readonly onBehind?: (behind: boolean) => void;
  /** So many plain routes before nexthop objects are used; what suits Linux when absent. */
  readonly nexthopsFrom?: number;
}

/** What a pass is about to do, planned. */
interface Planned {
  readonly wish: Wish;
  readonly changes: WishChanges;
}

/** What there is to show of the passes. */
export interface ReconcileState {
  /** Undefined before the first pass. */
  readonly wish: Wish | undefined;
  readonly peers: readonly Lease[];
  /** Peers that are left out or likely to be cut off, and why; what the kernel cannot do. */
  readonly complaints: readonly string[];
  /** What the kernel refuses, and in how many seconds it is tried again; without, in the next whole pass. */
  readonly refusals: readonly { readonly message: string; readonly nextTrySeconds?: number }[];
  /** The last pass of each cause, the newest first. */
  readonly passes: readonly PastPass[];
  readonly counters: ReconcileCounters;
}

export class Passes {
  readonly schedule: Schedule = new Schedule();
  /** Called when there is a reason to look. */
  wake: () => void = () => undefined;
  readonly #parts: PassParts;
  readonly #slices: Slices;
  readonly #mirror: Mirror;
  readonly #counters = new Counters();
  readonly #complaints: Complaints;
  readonly #refusals: Refusals;
  readonly #lag: Lag;
  #plans: PeerPlans | undefined;
  /** The lease and the peers that the plans were made for. */
  #own: Lease | undefined;
  #taken: readonly Lease[] = [];
  #peers: readonly Lease[] = [];
  #unreadable: readonly string[] = [];
  /** What a predecessor left is taken over or gone. */
  #isAdopted = false;

  constructor(parts: PassParts) {
    this.#parts = parts;
    this.#slices = new Slices(parts.clock);
    this.#mirror = new Mirror(parts.kernel, this.#slices);
    this.#complaints = new Complaints(parts.log);
    this.#refusals = new Refusals(parts.clock, this.#complaints);
    this.#lag = new Lag(parts.clock, parts.onBehind ?? (() => undefined));
  }

  get counters(): ReconcileCounters {
    return this.#counters.values;
  }

  get state(): ReconcileState {
    const nowMs = this.#parts.clock.nowMs();
    return {
      wish: this.#plans === undefined ? undefined : this.#wishOf(this.#plans),
      peers: this.#peers,
      complaints: [...(this.#plans?.complaints() ?? []), ...this.#unreadable],
      refusals: this.#refusals.open.map(({ error: { message }, dueMs }) => ({
        message,
        ...(dueMs === undefined ? {} : { nextTrySeconds: Math.max(0, dueMs - nowMs) / 1_000 }),
      })),
      passes: this.#counters.latest,
      counters: this.counters,
    };
  }

  /** When the next pass is due by itself. */
  get dueMs(): number {
    const newsMs = this.#hasNews ? this.schedule.partMs : Number.POSITIVE_INFINITY;
    return Math.min(newsMs, this.schedule.next.atMs, this.#refusals.dueMs);
  }

  setPeers(peers: readonly Lease[]): void {
    this.#wakeIfSooner(() => (this.#peers = peers));
  }

  look(cause: Cause, delayMs?: number): void {
    const nowMs = this.#parts.clock.nowMs();
    this.#wakeIfSooner(() => this.schedule.ask(cause, nowMs, delayMs));
  }

  /** Who rests until a pass is due need not know of a storm that changes nothing about that. */
  #wakeIfSooner(change: () => void): void {
    const { dueMs } = this;
    change();
    if (this.dueMs < dueMs) this.wake();
  }

  /** Whether the kernel tells of anything but what is wished, or of a way to a peer: our own changes come back as events. */
  isNews(about: readonly Change[] | undefined): boolean {
    const wish = this.#plans?.wish;
    if (about === undefined || wish === undefined) return true;
    const isCovered = covers(wish.scope);
    return about.some(({ action, object }) => {
      const wanted = wish.objects.get(object);
      if (wanted !== undefined) return action === "remove" || !isSame(wanted, object);
      return (action === "put" && isCovered(object)) || this.#leadsToPeer(object);
    });
  }

  /** What the plan asks the kernel's routes about may have another answer now, whosever route it is. */
  #leadsToPeer(object: KernelObject): boolean {
    if (object.kind !== "route") return false;
    const asked = this.#parts.environment.backend.lookups(this.#taken);
    return asked.some((destination) => containsIp(object.destination, destination));
  }

  /** What is due now, the whole kernel first, so that no flood of lease changes puts it off. */
  async due(): Promise<void> {
    const nowMs = this.#parts.clock.nowMs();
    const { atMs, cause } = this.schedule.next;
    if (atMs <= nowMs) await this.whole(cause);
    else if (this.#hasNews && this.schedule.partMs <= nowMs) {
      await this.#part("lease-change");
      this.schedule.partEnded(nowMs, this.#parts.clock.nowMs());
    } else if (this.#refusals.dueMs <= nowMs) await this.#part("retry");
  }

  /** Everything is dumped and compared. @throws AgentError "kernel-refused" when nothing could be read or sent */
  async whole(cause: Cause): Promise<PassReport> {
    const { clock } = this.#parts;
    const beganMs = clock.nowMs();
    this.schedule.began(beganMs);
    let isElsewhere = false;
    try {
      isElsewhere = await this.#parts.environment.look();
      const { wish } = await this.#plan("whole");
      // What was refused before was refused elsewhere.
      const patience = this.#refusals.patience(isElsewhere ? "start" : cause);
      const report = await this.#mirror.whole(wish, patience);
      if (!wish.additive && report.failures.length === 0) this.#isAdopted = true;
      this.#conclude(report, { cause, kind: "whole", beganMs, wish });
      this.unreadable(undefined);
      return report;
    } finally {
      this.schedule.ended(clock.nowMs(), isElsewhere);
    }
  }

  /** Only what is wished otherwise than before, and what is due to be tried again. */
  async #part(cause: Cause): Promise<void> {
    if (!this.#mirror.isKnown) {
      await this.whole(cause);
      return;
    }
    const beganMs = this.#parts.clock.nowMs();
    const { wish, changes } = await this.#plan("part");
    const about = this.#withOpen(wish, changes, cause);
    if (!this.#mirror.canSkipDump(wish, about)) {
      await this.whole(cause);
      return;
    }
    const report = await this.#mirror.part(wish, about, this.#refusals.patience(cause));
    const surprise = this.#refusals.areNew(report);
    this.#conclude(report, { cause, kind: "part", beganMs, wish, about });
    // The refusal may come of something that the last dump did not show.
    if (surprise) this.look("retry");
  }

  /** What nothing can be done without: complained of until a pass succeeds. */
  unreadable(message: string | undefined): void {
    const before = this.#unreadable;
    this.#unreadable = message === undefined ? [] : [message];
    if (message !== undefined) this.#lag.passed(true);
    this.#complaints.change(this.#unreadable, before);
  }

  get #hasNews(): boolean {
    return this.#peers !== this.#taken || this.#parts.own() !== this.#own;
  }

  /** A retry is about all that is left to do; so is a change of something that others may be held for. */
  #withOpen(wish: Wish, changes: WishChanges, cause: Cause): WishChanges {
    const { open } = this.#mirror;
    if (cause !== "retry" && !open.some((object) => changes.has(object))) return changes;
    const about = new ByIdentity<WishChange>();
    for (const object of open) about.set(object, { of: object, before: wish.objects.get(object) });
    for (const change of changes.values()) about.set(change.of, change);
    return about;
  }

  async #plan(kind: PassKind): Promise<Planned> {
    const { environment } = this.#parts;
    const { backend } = environment;
    const own = this.#parts.own();
    if (this.#plans === undefined || this.#own !== own) {
      const forms = own === undefined ? asWished : await this.#forms();
      this.#complaints.change([], this.#plans?.complaints() ?? []);
      this.#plans = new PeerPlans(backend.planner, own, forms);
      this.#own = own;
      this.#taken = [];
    }
    const plans = this.#plans;
    const peers = this.#peers;
    const { added, removed } = exchanged(this.#taken, peers);
    const routes = await this.#lookUp(kind === "whole" ? peers : added);
    const change: PlanChange = await this.#slices.run(
      plans.update({ added, removed, routes }, kind === "part"),
    );
    this.#taken = peers;
    this.#counters.planned += change.planned;
    this.#complaints.change(change.complaints, change.settled);
    return {
      wish: this.#wishOf(plans),
      changes: change.wishes,
    };
  }

  #wishOf({ wish }: PeerPlans): Wish {
    return { ...wish, scope: this.#withLeftovers(wish.scope) };
  }

  #withLeftovers(scope: Scope): Scope {
    const { networks, links, routes } = this.#parts.predecessor;
    return {
      ...scope,
      networks: [...new Set([...scope.networks, ...networks])],
      links: [...new Set([...scope.links, ...links])],
      ...(routes === undefined || this.#isAdopted ? {} : { leftRoutes: routes }),
    };
  }

  /** What stands keeps its form, so that a restart moves no route. */
  async #forms(): Promise<Writing> {
    const { kernel, environment, nexthopsFrom } = this.#parts;
    return new RouteForms({
      available: await kernel.hasNexthops(),
      standing: await kernel.dump(environment.backend.planner.scope),
      ...(nexthopsFrom === undefined ? {} : { from: nexthopsFrom }),
    });
  }

  async #lookUp(peers: readonly Lease[]): Promise<ReadonlyMap<Ip, RouteLookup | undefined>> {
    const wanted = this.#parts.environment.backend.lookups(peers);
    const routes = new Map<Ip, RouteLookup | undefined>();
    for (let start = 0; start < wanted.length; start += LOOKUPS_AT_ONCE) {
      const batch = wanted.slice(start, start + LOOKUPS_AT_ONCE);
      const answers = await this.#parts.kernel.routesTo(batch);
      for (const [index, destination] of batch.entries()) routes.set(destination, answers[index]);
      await this.#slices.breathe();
    }
    return routes;
  }

  #conclude(
    report: PassReport,
    pass: {
      readonly cause: Cause;
      readonly kind: PassKind;
      readonly beganMs: number;
      readonly wish: Wish;
      readonly about?: WishChanges;
    },
  ): void {
    const { clock, log } = this.#parts;
    const { cause, kind, about } = pass;
    this.#refusals.conclude(report, about, cause);
    const changed = report.changes.length;
    const seconds = (clock.nowMs() - pass.beganMs) / 1_000;
    if (changed > 0)
      log.info({ cause, changes: changed, refused: report.failures.length }, "reconciled");
    this.#lag.passed(this.#mirror.open.some((object) => isDevice(pass.wish, object)));
    const figures = {
      cause,
      kind,
      seconds,
      changed,
      wanted: pass.wish.objects.size,
      present: this.#mirror.present,
      refused: report.failures.length,
      open: this.#mirror.open.length,
    };
    this.#counters.passed(figures, clock.nowMs());
  }
}

/** Whether it is one of those that carry the packets of all peers. */
function isDevice({ objects }: Wish, object: KernelObject): boolean {
  return object.kind === "link" && objects.has(object);
}

/** What tells two lists of leases apart. Lists follow the order of the keys, so as a rule they differ in one stretch only. */
function exchanged(
  before: readonly Lease[],
  after: readonly Lease[],
): { readonly added: readonly Lease[]; readonly removed: readonly Lease[] } {
  const shorter = Math.min(before.length, after.length);
  let start = 0;
  while (start < shorter && before[start] === after[start]) start++;
  let end = 0;
  while (end < shorter - start && before.at(-1 - end) === after.at(-1 - end)) end++;
  const gone = new Set(before.slice(start, before.length - end));
  const added = after.slice(start, after.length - end).filter((lease) => !gone.delete(lease));
  return { added, removed: [...gone] };
}
