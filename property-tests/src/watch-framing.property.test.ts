/**
 * C4: one history of the store, told in any way a server may: several revisions in one response, one revision in several, again
 * after a lost connection, with reports of progress, by a member that lags, across compactions and changes of the leader. Whoever
 * follows it ends up with the same peers; and between, but where one revision comes in pieces, with the peers of some revision.
 */
import type { Cidr, Ip } from "agent/core/ip.ts";
import type { Lease } from "agent/core/lease.ts";
import { formatSubnetKey } from "agent/core/subnet-key.ts";
import type { Framing } from "agent/subnet-manager/etcd/memory-framing.ts";
import { MemoryDatabase } from "agent/subnet-manager/etcd/memory-database.ts";
import { MemoryMember } from "agent/subnet-manager/etcd/memory-member.ts";
import type { MemoryStore } from "agent/subnet-manager/etcd/memory-store.ts";
import { openMemorySubnetManager } from "agent/subnet-manager/etcd/memory-subnet-manager.ts";
import { ManualClock } from "agent/system/manual-clock.ts";
import { MemoryLog } from "agent/system/memory-log.ts";
import { SeededRandom } from "agent/system/seeded-random.ts";
import * as fc from "fast-check";
import { expect, test } from "vitest";

const PREFIX = "/coreos.com/network";
const SUBNETS = `${PREFIX}/subnets/`;
const OWN_IP = "192.0.2.1";
const NAMES = ["10.3.2.0-24", "10.3.3.0-24", "10.3.3.0-24&fd00::-64", "10.3.4.0-24", "nonsense"];
const VALUES = ["192.0.2.2", "192.0.2.3", "192.0.2.4"].map(
  (publicIp) => `{"PublicIP":"${publicIp}","PublicIPv6":null,"BackendType":"vxlan"}`,
);

/** One transaction; a key without a value is deleted. */
type Revision = readonly { readonly name: string; readonly value: string | undefined }[];

type Step =
  | { readonly kind: "commit"; readonly revision: Revision }
  | { readonly kind: "pass"; readonly ms: number }
  | { readonly kind: "disconnect" | "cut" | "mend" | "progress" | "leader" | "catch-up" }
  | { readonly kind: "fail-over"; readonly toLeader: boolean }
  | { readonly kind: "compact"; readonly back: number }
  | { readonly kind: "compact-where-resumed" }
  | { readonly kind: "lag-revisions" | "lag-ms"; readonly by: number };

const revision: fc.Arbitrary<Revision> = fc
  .uniqueArray(fc.constantFrom(...NAMES), { minLength: 1, maxLength: 4 })
  .chain((names) =>
    fc.tuple(
      ...names.map((name) =>
        fc.record({
          name: fc.constant(name),
          value: fc.constantFrom(...VALUES, "{", undefined, undefined),
        }),
      ),
    ),
  );

const commit = revision.map((writes): Step => ({ kind: "commit", revision: writes }));

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 8, arbitrary: commit },
  {
    weight: 4,
    arbitrary: fc.nat({ max: 8000 }).map((ms): Step => ({ kind: "pass", ms })),
  },
  fc
    .constantFrom("disconnect", "cut", "mend", "progress", "leader", "catch-up")
    .map((kind): Step => ({ kind })),
  fc.boolean().map((toLeader): Step => ({ kind: "fail-over", toLeader })),
  fc.nat({ max: 3 }).map((back): Step => ({ kind: "compact", back })),
  fc.constant<Step>({ kind: "compact-where-resumed" }),
  fc.integer({ min: 1, max: 3 }).map((by): Step => ({ kind: "lag-revisions", by })),
  fc.integer({ min: 1, max: 3000 }).map((by): Step => ({ kind: "lag-ms", by })),
);

/** What a set of peers says, one line each. */
function shown(peers: readonly Lease[]): string {
  return peers
    .map((peer) => `${formatSubnetKey(peer.subnets)} ${peer.publicIps[4]}`)
    .toSorted()
    .join("\n");
}

/** The same of what the store holds. */
function live(database: MemoryDatabase): string {
  return database
    .range({ prefix: SUBNETS })
    .entries.filter(({ key, value }) => !key.endsWith("nonsense") && VALUES.includes(value))
    .map(({ key, value }) => `${key.slice(SUBNETS.length)} ${value.split('"')[3]}`)
    .toSorted()
    .join("\n");
}

function framingOf(seed: number, inPieces: boolean): Framing {
  const random = new SeededRandom(seed);
  return {
    revisions: (waiting) => 1 + random.integer(waiting),
    fragments: (events) => (inPieces ? 1 + random.integer(events) : 1),
  };
}

class World {
  readonly clock = new ManualClock();
  readonly database = new MemoryDatabase(this.clock);
  readonly member = new MemoryMember(this.database, this.clock);
  readonly stop = new AbortController();
  /** Each set of peers the follower came to know. */
  readonly seen: string[] = [];
  /** What was live after each revision. */
  readonly history: string[] = [];
  readonly store: MemoryStore;
  readonly #following: Promise<unknown>;

  constructor(framing: Framing, own: Lease) {
    const random = new SeededRandom(1);
    const { subnetManager, store } = openMemorySubnetManager({
      prefix: PREFIX,
      clock: this.clock,
      database: this.database,
      member: this.member,
      framing,
      random,
      log: new MemoryLog(),
    });
    this.store = store;
    this.history.push(live(this.database));
    this.database.onChange(() => this.history.push(live(this.database)));
    this.#following = this.#follow(subnetManager.watchPeers(own, this.stop.signal));
  }

  async #follow(sets: AsyncIterable<readonly Lease[]>): Promise<unknown> {
    try {
      for await (const peers of sets) this.seen.push(shown(peers));
      return undefined;
    } catch (error) {
      return error;
    }
  }

  async play(next: Step): Promise<void> {
    const { database, member, store, clock } = this;
    switch (next.kind) {
      case "commit":
        database.txn({
          compare: [],
          failure: [],
          success: next.revision.map(({ name, value }) =>
            value === undefined
              ? { action: "delete", key: SUBNETS + name }
              : { action: "put", key: SUBNETS + name, value },
          ),
        });
        return;
      case "pass":
        return clock.advance(next.ms);
      case "disconnect":
        return store.disconnectWatches();
      case "cut":
      case "mend":
        return store.setConnected(next.kind === "mend");
      case "progress":
        return store.notifyProgress();
      case "leader":
        return database.changeLeader();
      case "catch-up":
        return member.catchUp();
      case "fail-over":
        return store.connectTo(next.toLeader ? undefined : member);
      case "compact":
        return database.compact(Math.max(0, database.revision - next.back));
      case "compact-where-resumed":
        for (const at of store.resumeRevisions) database.compact(Math.min(at, database.revision));
        return;
      case "lag-revisions":
        return member.lag({ revisions: next.by });
      case "lag-ms":
        return member.lag({ ms: next.by });
    }
  }

  /** Everything is well again, for long enough to hear of all. */
  async settle(): Promise<void> {
    this.member.catchUp();
    this.store.setConnected(true);
    await this.clock.advance(60_000);
  }

  /** What the follower ended with; undefined when it only stopped. */
  async close(): Promise<unknown> {
    const over = new Error("the test is over");
    this.stop.abort(over);
    const ended = await this.#following;
    this.database.close();
    return ended === over ? undefined : ended;
  }
}

const own: Lease = {
  subnets: { 4: "10.3.1.0/24" as Cidr },
  publicIps: { 4: OWN_IP as Ip },
  backendType: "vxlan",
  backendData: {},
};

/** Whether each set was that of a revision, and none of an older one than the set before it. */
function isSubsequence(seen: readonly string[], history: readonly string[]): boolean {
  let at = 0;
  return seen.every((set) => {
    while (at < history.length && history[at] !== set) at++;
    return at < history.length;
  });
}

test.each([{ inPieces: false }, { inPieces: true }])(
  "C1, C4: any framing of a history yields the same peers (revisions in pieces: $inPieces)",
  async ({ inPieces }) => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { maxLength: 40, size: "max" }),
        fc.nat(),
        async (steps, seed) => {
          const world = new World(framingOf(seed, inPieces), own);
          await world.clock.advance(10);
          for (const next of steps) await world.play(next);
          await world.settle();
          expect(await world.close()).toBeUndefined();
          expect(world.seen.at(-1)).toBe(live(world.database));
          expect(inPieces || isSubsequence(world.seen, world.history)).toBe(true);
        },
      ),
    );
  },
);
