/** What the faults of one world share: who is troubled, what is not healed yet, what the operator did last. */
import type { KeyValue } from "agent/subnet-manager/etcd/key-value-store.ts";
import type { MemorySnapshot } from "agent/subnet-manager/etcd/memory-database.ts";
import type { MemoryMember } from "agent/subnet-manager/etcd/memory-member.ts";
import { CONFIG_KEY, SUBNETS, type SimNode } from "./actors.ts";
import { backendOf, networkConfig } from "./network-configs.ts";
import type { Plan } from "./plan.ts";
import { readStored } from "./stored.ts";
import type { Machine, SimWorld } from "./world.ts";

/** What was saved at one moment, in two ways. */
export interface Backup {
  /** Keys and values only, as an operator writes them down. */
  readonly values: ReadonlyMap<string, string>;
  readonly snapshot: MemorySnapshot;
}

export class FaultContext {
  readonly world: SimWorld;
  readonly plan: Plan;
  /** Whether the operator's own doing is under way, so that checks know whose change it is. */
  operating = false;
  /** True once the network configuration is another one than when the agents started. */
  configChanged = false;
  storeDown = false;
  /** No member can write: a node reads, but can neither take nor renew a lease. */
  storeFull = false;
  /** The members that answer late at present. */
  readonly late: Set<MemoryMember> = new Set();
  /** Until when what a member answered may be old, in true time. */
  readonly staleUntilMs: Map<MemoryMember, number> = new Map();
  backup: Backup | undefined;
  readonly #pending = new Set<() => void>();
  #foreigners = 0;
  #configVariant = 0;

  constructor(world: SimWorld, plan: Plan) {
    this.world = world;
    this.plan = plan;
  }

  /** Writes the network configuration; variant 0 is the one at the start. */
  configure(variant: number): void {
    this.#configVariant = variant;
    this.operate(() => this.world.configure(networkConfig(this.plan, variant)));
  }

  operate(act: () => void): void {
    this.operating = true;
    try {
      act();
    } finally {
      this.operating = false;
    }
  }

  /** Makes the store another one; the agents start again when healed if that changed the configuration. */
  replaceStore(act: () => void): void {
    const { world } = this;
    const before = world.database.range({ key: CONFIG_KEY }).entries[0]?.value;
    this.setStoreFull(false);
    for (const each of world.nodes) this.touch(each);
    this.operate(act);
    const after = world.database.range({ key: CONFIG_KEY }).entries[0]?.value;
    if (after !== before) this.configChanged = true;
  }

  setStoreFull(full: boolean): void {
    if (full === this.storeFull) return;
    this.storeFull = full;
    this.world.database.setOutOfSpace(full);
    for (const each of this.world.nodes) this.touch(each);
  }

  /** Whether a node that reaches the store still cannot do there what it must. */
  hinders(node: SimNode): boolean {
    return this.storeFull || this.hearsLate(node);
  }

  /** Whether what a node hears from the store, it hears late. */
  hearsLate({ member }: SimNode): boolean {
    return member !== undefined && this.late.has(member);
  }

  /**
   * Whether a node acts on reads that are no linearizable ones, as etcd never answers: an agent that is told that its key is gone, or
   * is what it was before, cannot know better. What it writes is under conditions all the same.
   */
  readsStale(node: SimNode): boolean {
    const untilMs = node.member === undefined ? undefined : this.staleUntilMs.get(node.member);
    return untilMs !== undefined && this.world.time.nowMs <= untilMs;
  }

  takeBackup(): void {
    const { database } = this.world;
    const { entries } = database.range({ prefix: "" });
    const values = new Map(entries.map(({ key, value }) => [key, value]));
    this.backup = { values, snapshot: database.snapshot() };
  }

  touch(node: SimNode): void {
    node.troubledAtMs = this.world.time.nowMs;
  }

  mend(node: Machine): void {
    this.touch(node);
    if (!this.storeDown && node.uplink.state !== "open") node.uplink.set("open");
  }

  /** Heals after a while, or with everything else. */
  later(seconds: number, heal: () => void): void {
    this.#pending.add(heal);
    this.world.time.after(seconds * 1000, () => {
      if (this.#pending.delete(heal)) heal();
    });
  }

  healPending(): void {
    for (const heal of this.#pending) heal();
    this.#pending.clear();
  }

  /** The lease of a node, as the store has it. */
  entryOf(node: SimNode): KeyValue | undefined {
    return this.world.database
      .range({ prefix: SUBNETS })
      .entries.find((entry) => readStored(entry)?.owner === node.publicIp);
  }

  /** A lease of a node outside of this world, sound in every respect. */
  foreignValue(): string {
    const number = 100 + (this.#foreigners++ % 100);
    const mac = (family: number): string => `0e:00:00:00:0${family}:${number.toString(16)}`;
    const type = backendOf(this.plan, this.#configVariant);
    const data = (family: number): object =>
      type === "vxlan" ? { VNI: 1, VtepMAC: mac(family) } : {};
    const value: Record<string, unknown> = {
      PublicIP: `192.0.2.${number}`,
      PublicIPv6: this.plan.dualStack ? `2001:db8::${number.toString(16)}` : null,
      BackendType: type,
    };
    if (type === "vxlan") {
      value["BackendData"] = data(4);
      if (this.plan.dualStack) value["BackendV6Data"] = data(6);
    }
    return JSON.stringify(value);
  }
}
