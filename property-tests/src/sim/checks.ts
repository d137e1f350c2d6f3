/** Looks at everything that happens in a world and says which invariant it breaks; each check counts how often it was made. */
import type { Change } from "agent/kernel/kernel.ts";
import { DataPlaneChecks } from "./data-plane-checks.ts";
import type { FaultContext } from "./fault-context.ts";
import type { InvariantId, Violation } from "./invariants.ts";
import { describe, isAgents } from "./kernel-facts.ts";
import { type Live, isFull, keyOfLease, namesLease, ownedBy, storedOf } from "./lease-facts.ts";
import { StoreHistory, knownSignatures, peerSignatures } from "./store-history.ts";
import type { Arrival } from "./sim-store.ts";
import type { StoredSubnets } from "./stored.ts";
import {
  type AgentProcess,
  type Drift,
  type Observer,
  SUBNETS,
  SUBNET_FILE,
  type SimNode,
} from "./actors.ts";
import type { SimWorld } from "./world.ts";
import { checkRevoke, checkWrite } from "./write-checks.ts";

/** Violations kept of one world, beside the first of each id: the first ones tell. */
const MAX_VIOLATIONS = 3;
const TRACE_LINES = 40;
const TAKEN_AGAIN_MS = 5_000;
/** What an agent learns this soon after a fault, it learns because of it. */
const AFTER_TROUBLE_MS = 30_000;
const NOT_READY_MS = 2_000;
/** After a fault of its own a node may wait this long before it tries to reach the store again: the longest back-off. */
const RECOVERED_MS = 6_000;

/** Per agent: what the checks remember of it. */
interface Memory {
  readonly grants: Set<string>;
  /** Whether every subnet of its configuration was taken by others at some moment since it started. */
  sawFull: boolean;
  /** Number of the newest live set that its peers were found to match. */
  matched: number;
  /** Requests in this minute, and ever. */
  sent: number;
  sentEver: number;
  lines: number;
  /** When it lost its key, while it has not got it back. */
  lostMs: number | undefined;
}

export class Checks implements Observer {
  readonly counts: Map<InvariantId, number> = new Map();
  readonly violations: Violation[] = [];
  /** Set before the first agent starts. */
  faults: FaultContext | undefined;
  readonly #world: SimWorld;
  readonly #memories = new WeakMap<AgentProcess, Memory>();
  #live: Live = new Map();
  readonly #history = new StoreHistory();
  readonly #dataPlane: DataPlaneChecks;
  /** Keys that an operator wrote last. */
  readonly #operators = new Set<string>();

  constructor(world: SimWorld) {
    this.#world = world;
    this.#dataPlane = new DataPlaneChecks({
      world,
      history: this.#history,
      check: (id, holds, detail) => this.check(id, holds, detail),
      matchedBy: (process) => this.memory(process).matched,
      hearsFreely: (node) => this.#hearsFreely(node),
    });
  }

  check(id: InvariantId, holds: boolean, detail: () => string): void {
    this.counts.set(id, (this.counts.get(id) ?? 0) + 1);
    if (!holds) this.#violated(id, detail());
  }

  #violated(id: InvariantId, detail: string): void {
    this.#world.note(`VIOLATION ${id}: ${detail}`);
    const isFirst = this.violations.every((one) => one.id !== id);
    if (!isFirst && this.violations.length >= MAX_VIOLATIONS) return;
    const trace = this.#world.trace.slice(-TRACE_LINES);
    this.violations.push({ id, atMs: this.#world.time.nowMs, detail, trace });
  }

  memory(process: AgentProcess): Memory {
    let memory = this.#memories.get(process);
    if (memory === undefined) {
      memory = {
        grants: new Set(),
        sawFull: false,
        matched: 0,
        sent: 0,
        sentEver: 0,
        lines: 0,
        lostMs: undefined,
      };
      this.#memories.set(process, memory);
    }
    return memory;
  }

  /** The leases in the store at this moment, by their own reading. */
  leases(): readonly StoredSubnets[] {
    return storedOf(this.#live);
  }

  // The store.

  arriving(process: AgentProcess, arrival: Arrival): (result: unknown) => void {
    const before = this.#live;
    if (process.lease === undefined && process.running) this.#lookWhetherFull(process);
    if (arrival.verb === "revokeLease") {
      this.memory(process).grants.delete(arrival.leaseId ?? "");
      checkRevoke(this, process, {
        leaseId: arrival.leaseId ?? "",
        before,
        stale: this.#readsStale(process.node),
      });
    }
    const { transaction } = arrival;
    if (transaction === undefined) return () => undefined;
    return (result) => {
      const succeeded = (result as { readonly succeeded?: boolean } | undefined)?.succeeded;
      if (succeeded === undefined) return;
      const done = succeeded ? transaction.success : transaction.failure;
      for (const operation of done) {
        if (operation.action === "put") this.#operators.delete(operation.key);
        checkWrite(this, { process, transaction, before }, operation);
      }
    };
  }

  /** What a node should know of its peers now, and what it knows. */
  peersOf(node: SimNode): { readonly wanted: string; readonly known: string } {
    const peers = node.agent?.peers ?? [];
    return { wanted: peerSignatures(this.#live, node), known: knownSignatures(peers) };
  }

  changed(by: AgentProcess | undefined): void {
    const before = this.#live;
    const { entries } = this.#world.database.range({ prefix: SUBNETS });
    const live = new Map(entries.map((entry) => [entry.key, entry]));
    this.#live = live;
    const isNews = this.#history.add(live);
    this.#noteChanges(before, live, by);
    this.#checkOwners();
    this.#checkReservations(before, by);
    for (const node of this.#world.nodes) this.#checkNode(node, before, by);
    if (isNews) this.#dataPlane.leasesChanged();
  }

  #noteChanges(before: Live, live: Live, by: AgentProcess | undefined): void {
    const who =
      by === undefined ? (this.faults?.operating === true ? "operator" : "time") : by.node.name;
    for (const [key, entry] of live) {
      if (before.get(key)?.modRevision === entry.modRevision) continue;
      if (who === "operator") this.#operators.add(key);
      this.#world.note(
        `${who} put ${key.slice(SUBNETS.length)} ${entry.value.slice(0, 60)} lease ${entry.leaseId} @${entry.modRevision}`,
      );
    }
    for (const key of before.keys())
      if (!live.has(key)) this.#world.note(`${who} deleted ${key.slice(SUBNETS.length)}`);
  }

  /** A key without an etcd lease stays as it is, unless an operator or the node it is for replaces it. */
  #checkReservations(before: Live, by: AgentProcess | undefined): void {
    if (this.faults?.operating === true) return;
    for (const { entry, owner } of storedOf(before)) {
      if (entry.leaseId !== undefined || owner === undefined) continue;
      const after = this.#live.get(entry.key);
      const isReplaced = after === undefined && by?.publicIp === owner;
      this.check(
        "A9",
        isReplaced || (after !== undefined && after.leaseId === undefined),
        () => `the reservation ${entry.key} of ${owner} is gone, or leased`,
      );
    }
  }

  #checkOwners(): void {
    const seen = new Map<string, StoredSubnets>();
    for (const stored of this.leases()) {
      if (stored.owner === undefined || this.#operators.has(stored.entry.key)) continue;
      const first = seen.get(stored.owner);
      this.check(
        "A3",
        first === undefined,
        () => `${stored.owner} owns ${first?.entry.key} and ${stored.entry.key}`,
      );
      seen.set(stored.owner, stored);
    }
  }

  #checkNode(node: SimNode, before: Live, by: AgentProcess | undefined): void {
    const { agent } = node;
    if (agent?.running !== true) return;
    if (agent.lease === undefined) {
      this.#lookWhetherFull(agent);
      return;
    }
    const key = keyOfLease(agent);
    const had = ownedBy(before.get(key), node);
    if (ownedBy(this.#live.get(key), node)) this.memory(agent).lostMs = undefined;
    else if (had) this.#lost(agent, key, by);
  }

  #lost(agent: AgentProcess, key: string, by: AgentProcess | undefined): void {
    const { node } = agent;
    const ranOut =
      by === undefined && this.faults?.operating !== true && this.faults?.hinders(node) !== true;
    const healthyMs = this.#world.time.nowMs - node.troubledAtMs;
    if (ranOut) {
      const neededMs = 1.1 * 1000 * this.#world.options.ttlSeconds;
      if (healthyMs > neededMs && this.#world.time.nowMs - agent.startedMs > neededMs)
        this.#ranOut(agent, key);
    }
    this.#watchLoss(agent, key);
  }

  #ranOut({ node }: AgentProcess, key: string): void {
    this.check("B5", false, () => `the lease of ${node.name} for ${key} ran out`);
    if (node.clockErrors.wallOffsetMs !== 0)
      this.check("B4", false, () => `${node.name} let it run out when its wall clock jumped`);
  }

  /** An agent that lost its key has it again, or is not ready, soon. */
  #watchLoss(agent: AgentProcess, key: string): void {
    const { node } = agent;
    const { time } = this.#world;
    const lostMs = time.nowMs;
    this.memory(agent).lostMs = lostMs;
    const undisturbed = (): boolean =>
      agent.running &&
      !agent.paused &&
      node.troubledAtMs <= Math.max(0, lostMs - RECOVERED_MS) &&
      this.#hearsFreely(node);
    // Though a full store lets nobody take a key again: what is gone can be heard and said.
    time.after(NOT_READY_MS, () => {
      if (!undisturbed()) return;
      const holds = !agent.ready || this.memory(agent).lostMs !== lostMs;
      this.check("B1", holds, () => `${node.name} is ready 2 s after it lost ${key}`);
    });
    if (this.#live.has(key)) return;
    time.after(TAKEN_AGAIN_MS, () => {
      if (!undisturbed() || this.faults?.storeFull === true) return;
      this.check(
        "B10",
        this.#live.has(key) || this.memory(agent).lostMs !== lostMs,
        () => `${key} of ${node.name} is free 5 s after it was lost`,
      );
    });
  }

  /** Whether nothing keeps a node from hearing what is new in the store. */
  #hearsFreely(node: SimNode): boolean {
    const { state, lateRequests, lostReplies, lostRequests } = node.uplink;
    const isLossy = lateRequests > 0 || lostReplies > 0 || lostRequests > 0;
    return state === "open" && !isLossy && this.faults?.hearsLate(node) !== true;
  }

  #readsStale(node: SimNode): boolean {
    return this.faults?.readsStale(node) === true;
  }

  #lookWhetherFull(agent: AgentProcess): void {
    const memory = this.memory(agent);
    if (!memory.sawFull) memory.sawFull = this.isFullFor(agent);
  }

  /** Whether the configuration that the agent has read leaves no subnet to take now. */
  isFullFor(agent: AgentProcess): boolean {
    return isFull(agent, this.leases());
  }

  sent(process: AgentProcess): void {
    const memory = this.memory(process);
    memory.sent++;
    memory.sentEver++;
  }

  answered(process: AgentProcess, verb: string, result: unknown): void {
    if (verb !== "grantLease" || typeof result !== "object" || result === null) return;
    const { grants } = this.memory(process);
    grants.add((result as { readonly leaseId: string }).leaseId);
    const known = this.aliveGrants(process);
    this.check(
      "B8",
      known.length <= 2,
      () => `${process.node.name} holds ${known.length} leases: ${known.join(" ")}`,
    );
  }

  aliveGrants(process: AgentProcess): readonly string[] {
    const alive = new Set(this.#world.database.leaseIds);
    return [...this.memory(process).grants].filter((leaseId) => alive.has(leaseId));
  }

  // The agent.

  started(process: AgentProcess): void {
    this.#lookWhetherFull(process);
  }

  leased(process: AgentProcess): void {
    this.#world.note(
      `${process.node.name} leased ${process.lease?.subnets[4]} ${process.lease?.subnets[6] ?? ""}`,
    );
  }

  peers(process: AgentProcess): void {
    const { peers = [], node } = process;
    this.check(
      "C6",
      peers.every((peer) => peer.publicIps[4] !== node.publicIp),
      () => `${node.name} takes itself for a peer`,
    );
    const memory = this.memory(process);
    const known = knownSignatures(peers);
    const found = this.#findKnown(process, known);
    memory.matched = found ?? memory.matched;
    if (this.#world.time.nowMs - node.troubledAtMs < AFTER_TROUBLE_MS)
      this.check("C7", found !== undefined, () => `${node.name} knows after a fault:\n${known}`);
    this.check("C1", found !== undefined, () => {
      const now = peerSignatures(this.#live, node);
      return `${node.name} knows peers that were never so:\n${known}\nnow:\n${now}`;
    });
  }

  /** The number of the live set that an agent speaks of; undefined when there was none, or only one older than it knew. */
  #findKnown(process: AgentProcess, known: string): number | undefined {
    const { node } = process;
    // etcd never answers a linearizable read with an old state. Where a member does, an agent believes it after some patience,
    // since a restored backup looks the same: it may go back then, but to what was so once.
    const from = this.#readsStale(node) ? 0 : this.memory(process).matched;
    return this.#history.find(known, node, from);
  }

  readiness(process: AgentProcess): void {
    this.#world.note(`${process.node.name} ${process.ready ? "ready" : "not ready"}`);
    if (!process.ready) return;
    const text = process.node.files.texts.get(SUBNET_FILE) ?? "";
    this.check(
      "E2",
      namesLease(text, process),
      () => `${process.node.name} is ready with:\n${text}`,
    );
  }

  writing(process: AgentProcess, path: string, text: string): void {
    this.#world.note(`${process.node.name} writes ${path}`);
    if (path === SUBNET_FILE)
      this.check(
        "E2",
        namesLease(text, process) &&
          (!process.ready || namesLease(process.node.files.texts.get(path) ?? "", process)),
        () => `${process.node.name} writes:\n${text}`,
      );
  }

  applying(process: AgentProcess, changes: readonly Change[]): void {
    const { node, lease } = process;
    for (const { action, object } of changes) {
      this.#world.note(`${node.name} ${action} ${describe(object)}`);
      this.check("D2", isAgents(object), () => `${node.name} ${action}s ${JSON.stringify(object)}`);
      if (object.kind === "route" && action === "put") {
        const own = lease?.subnets[object.destination.includes(":") ? 6 : 4];
        this.check(
          "D9",
          own !== object.destination,
          () => `${node.name} puts a route to its own ${own}`,
        );
      }
    }
  }

  drifted(node: SimNode, drift: Drift): void {
    this.#dataPlane.drifted(node, drift);
  }

  logged(process: AgentProcess, level: string, text: string): void {
    this.memory(process).lines++;
    this.#world.note(`${process.node.name} ${level} ${text}`);
  }

  ended(process: AgentProcess): void {
    const { outcome } = process;
    if (outcome === undefined || !("error" in outcome)) return;
    if (!outcome.error.message.startsWith("out of subnets") || this.#readsStale(process.node))
      return;
    this.#lookWhetherFull(process);
    this.check(
      "A7",
      this.memory(process).sawFull,
      () => `${process.node.name} says ${outcome.error.message}`,
    );
  }
}
