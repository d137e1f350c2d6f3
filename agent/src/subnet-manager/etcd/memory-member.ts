import type { Clock } from "../../system/clock.ts";
import type { LogItem, MemoryDatabase } from "./memory-database.ts";
import { Replica } from "./memory-replica.ts";

/** How far a member is behind; it is behind in both where both are given. */
export interface Lag {
  /** It has applied nothing newer than this many revisions before the newest. */
  readonly revisions?: number;
  /** It applies what was committed this long ago. */
  readonly ms?: number;
  /**
   * Reads are answered from what it has, as serializable reads are, and not as etcd answers linearizable ones: to try that
   * a client refuses a list older than what it knows (invariant C9).
   */
  readonly staleReads?: boolean;
}

interface Pending {
  readonly item: LogItem;
  readonly committedMs: number;
}

/**
 * One member of a cluster, which applies what the leader committed, in order, perhaps later. Watches on it see what it has
 * applied. A linearizable read and the reply to a write wait until it has applied all that was committed at that time; time to
 * live is asked of the leader. Source: etcd server/etcdserver/v3_server.go (linearizableReadNotify, processInternalRaftRequest).
 */
export class MemoryMember {
  readonly replica: Replica = new Replica();
  readonly #database: MemoryDatabase;
  readonly #clock: Clock;
  #lag: Lag = {};
  #pending: Pending[] = [];
  #timers = new AbortController();

  constructor(database: MemoryDatabase, clock: Clock) {
    this.#database = database;
    this.#clock = clock;
    database.join(this);
  }

  get staleReads(): boolean {
    return this.#lag.staleReads === true;
  }

  /** From now on it is behind, as far as it is not already; it never goes back. */
  lag(lag: Lag): void {
    this.#lag = lag;
    this.#timers.abort();
    this.#timers = new AbortController();
    this.#drain();
  }

  /** Applies everything, and is behind no more. */
  catchUp(): void {
    this.lag({});
  }

  /** The leader committed something. */
  receive(item: LogItem): void {
    this.#pending.push({ item, committedMs: this.#clock.nowMs() });
    this.#drain();
    const { ms } = this.#lag;
    if (ms === undefined || this.#pending.length === 0) return;
    void this.#clock.sleep(ms, this.#timers.signal).then(
      () => this.#drain(),
      // The lag is another one now, and that one drains.
      () => undefined,
    );
  }

  /** The cluster was made anew: so is this member. */
  restart(): void {
    this.#pending = [];
    this.replica.copy(this.#database.leader);
    this.replica.announce();
  }

  /** Resolves when it has applied everything up to a revision. */
  applied(revision: number): Promise<void> {
    return new Promise((resolve) => {
      const look = (): void => {
        if (this.replica.revision < revision) return;
        forget();
        resolve();
      };
      const forget = this.replica.onChange(look);
      look();
    });
  }

  #drain(): void {
    for (let next = this.#pending[0]; next !== undefined; next = this.#pending[0]) {
      if (this.#isHeldBack(next)) break;
      this.#pending.shift();
      if ("compacted" in next.item) this.replica.compact(next.item.compacted);
      else for (const event of next.item.events) this.replica.apply(event);
      this.replica.announce();
    }
  }

  #isHeldBack({ item, committedMs }: Pending): boolean {
    const { revisions = 0, ms = 0 } = this.#lag;
    if (item.revision > this.#database.revision - revisions) return true;
    return this.#clock.nowMs() < committedMs + ms;
  }
}
