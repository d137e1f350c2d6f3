/** Faults of what is in the store. */
import type { KeyValue } from "agent/subnet-manager/etcd/key-value-store.ts";
import { CONFIG_KEY, SUBNETS } from "../actors.ts";
import { blockOf, jsonObject, overlap } from "../stored.ts";
import { durationMs } from "./agent-words.ts";
import type { FaultWords } from "./fault-word.ts";
import { type Cure, type Ground, NO_CURE, StepFailed } from "./ground.ts";

/** Nothing is wrong with it but the key that it is under. */
const READABLE = JSON.stringify({
  PublicIP: "192.0.2.77",
  PublicIPv6: null,
  BackendType: "vxlan",
  BackendData: { VNI: 1, VtepMAC: "02:00:00:00:0c:04" },
});
/** etcd takes requests of up to 1.5 MiB. Source: etcd's --max-request-bytes. */
const HUGE_BYTES = 1_000_000;

/** As in the lab. */
const COMPACTED_EVERY = "100ms";

/** A key below the leases, or else a value under the key of a free subnet; of the same kinds as the lab's. */
const POISONS = {
  name: { key: "not-a-subnet", value: READABLE },
  address: { key: "10.42.300.0-28", value: READABLE },
  length: { key: "10.42.9.0-33", value: READABLE },
  text: { key: undefined, value: "this is no lease" },
  empty: { key: undefined, value: "" },
  null: { key: undefined, value: "null" },
  types: {
    key: undefined,
    value: JSON.stringify({ PublicIP: 7, BackendType: [], BackendData: { VtepMAC: false } }),
  },
  huge: { key: undefined, value: "x".repeat(HUGE_BYTES) },
} as const;

/** What the network configuration becomes; undefined where its key goes. */
const CONFIGS: Readonly<Record<string, (before: string) => string | undefined>> = {
  network: (before) => before.replaceAll("10.42.", "10.43.").replaceAll("fd00:42:", "fd00:43:"),
  backend: (before) => {
    const config = jsonObject(before);
    const { Type } = Object(config["Backend"]) as { readonly Type?: unknown };
    return JSON.stringify({ ...config, Backend: { Type: Type === "vxlan" ? "host-gw" : "vxlan" } });
  },
  unreadable: () => "{",
  gone: () => undefined,
};

export const STORE_WORDS: FaultWords<
  | "compact-store"
  | "compact-often"
  | "fill-store"
  | "roll-back-store"
  | "change-leader"
  | "expire-tokens"
  | "delete-lease"
  | "expire-lease"
  | "overwrite-lease"
  | "reserve-lease"
  | "poison-key"
  | "change-config"
> = {
  "compact-store": {
    strike(ground) {
      compact(ground);
      return NO_CURE;
    },
  },
  "compact-often": {
    whyNot: ({ every = COMPACTED_EVERY }) =>
      durationMs(every) === undefined ? `no time: ${every}` : undefined,
    strike(ground, { every = COMPACTED_EVERY }) {
      let isOver = false;
      const compactAgain = (): void => {
        if (isOver) return;
        compact(ground);
        ground.world.time.after(durationMs(every) ?? 0, compactAgain);
      };
      compactAgain();
      return { heal: () => (isOver = true) };
    },
  },
  "fill-store": {
    strike({ context }) {
      if (context.storeFull) throw new StepFailed("the store is full already");
      context.setStoreFull(true);
      return { heal: () => context.setStoreFull(false) };
    },
  },
  /** It comes back under its own name, so that revisions come twice. */
  "roll-back-store": {
    strike({ world, context, struck }) {
      const snapshot = world.database.snapshot();
      return {
        heal: () => {
          struck.add("restore-snapshot-same-name");
          context.replaceStore(() => world.restore(snapshot, { sameCluster: true }));
        },
      };
    },
  },
  "change-leader": {
    strike({ world, context }) {
      for (const machine of world.nodes) context.touch(machine);
      context.operate(() => world.database.changeLeader());
      return NO_CURE;
    },
  },
  "expire-tokens": {
    strike({ machines }) {
      for (const { agent } of machines) if (agent?.running === true) agent.connection.expireToken();
      return NO_CURE;
    },
  },
  "delete-lease": {
    strike(ground, { node }) {
      const { key } = leaseOf(ground, node);
      ground.context.operate(() => ground.world.database.delete(key));
      return NO_CURE;
    },
  },
  "expire-lease": {
    strike(ground, { node }) {
      const { key, leaseId } = leaseOf(ground, node);
      if (leaseId === undefined) throw new StepFailed(`${key} is a reservation: it never runs out`);
      ground.context.operate(() => ground.world.database.expireLease(leaseId));
      return NO_CURE;
    },
  },
  "overwrite-lease": {
    strike: (ground, { node }) =>
      put(ground, leaseOf(ground, node).key, ground.context.foreignValue()),
  },
  "reserve-lease": {
    strike(ground, { node }) {
      const { context, world } = ground;
      const { key, value, createRevision } = leaseOf(ground, node);
      context.operate(() => world.database.put(key, value));
      return {
        heal: () => {
          const now = world.database.range({ key }).entries[0];
          if (now?.createRevision === createRevision && now.leaseId === undefined)
            context.operate(() => world.database.delete(key));
        },
      };
    },
  },
  "poison-key": {
    strike(ground, { poison = "text" }) {
      const { key, value } = POISONS[poison];
      return put(ground, SUBNETS + (key ?? freeKey(ground)), value);
    },
  },
  "change-config": {
    strike({ world, context }, { config = "network" }) {
      const { database } = world;
      const before = valueOf(world, CONFIG_KEY);
      if (before === undefined) throw new StepFailed(`there is no ${CONFIG_KEY}`);
      const after = CONFIGS[config]?.(before);
      context.operate(() =>
        after === undefined ? database.delete(CONFIG_KEY) : world.configure(after),
      );
      return {
        heal: () => {
          // What somebody else wrote meanwhile is not ours to take back.
          if (valueOf(world, CONFIG_KEY) === after) context.operate(() => world.configure(before));
        },
      };
    },
  },
};

/** Like the lab, writes something first, so that there is a revision to compact. */
function compact({ world: { database }, struck }: Ground): void {
  database.put("/simulation/compaction", String(database.revision));
  database.compact(database.revision);
  struck.add("compact");
}

/** @throws StepFailed when it holds none */
function leaseOf(ground: Ground, node: number): KeyValue {
  const entry = ground.context.entryOf(ground.machine(node));
  if (entry === undefined) throw new StepFailed(`n${node} holds no lease`);
  return entry;
}

/** Without an etcd lease, so that it stays; healed by taking it away, unless a node has taken the key. */
function put({ world, context }: Ground, key: string, value: string): Cure {
  context.operate(() => world.database.put(key, value));
  return {
    heal: () => {
      if (valueOf(world, key) === value) context.operate(() => world.database.delete(key));
    },
  };
}

function valueOf({ database }: Ground["world"], key: string): string | undefined {
  return database.range({ key }).entries[0]?.value;
}

/** One of the last subnets, that nobody has, as a lease of all families would be called. @throws StepFailed */
function freeKey({ config, leases }: Ground): string {
  for (let last = 240; last > 0; last -= 16) {
    const block = blockOf(`10.42.255.${last}/28`);
    const isTaken = leases().some(({ blocks }) =>
      blocks.some((one) => block !== undefined && overlap(one, block)),
    );
    const second = config.ranges[6] === undefined ? "" : `&fd00:42::ff${last.toString(16)}-124`;
    if (!isTaken) return `10.42.255.${last}-28${second}`;
  }
  throw new StepFailed("no subnet is free");
}
