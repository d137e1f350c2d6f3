/** Faults of the store's content and of its disks, and what operators do there. */
import { SUBNETS } from "./actors.ts";
import { CONFIG_VARIANTS } from "./network-configs.ts";
import type { Strikes } from "./strikes.ts";

/** Keys and values that no agent writes: none of them may change anything for anybody (invariant A13). */
const NONSENSE_KEYS = [
  "10.42.300.0-24",
  "10.42.7.0",
  "10.42.7.0-33",
  "10.42.7.3-24",
  "not a subnet",
  "10.42.7.0-24&nonsense",
  "10.42.7.0-24/extra",
  "",
  "10.42.7.0-0",
  "１０.42.7.0-24",
];
const NONSENSE_VALUES = [
  "",
  "not json",
  "null",
  "[]",
  "7",
  '{"PublicIP":7}',
  '{"PublicIP":"not an address","BackendType":"vxlan"}',
  '{"PublicIP":"fd00::1","BackendType":"vxlan"}',
  '{"PublicIP":{"a":1}}',
  `{"PublicIP":"${"9".repeat(2000)}"}`,
  "�",
  "{".repeat(500),
];

export const STORE_STRIKES: Strikes<
  | "no-space"
  | "compact"
  | "compact-at-resume"
  | "expire-lease"
  | "delete-key"
  | "overwrite"
  | "poison-key"
  | "poison-value"
  | "reserve"
  | "change-config"
  | "backup"
  | "restore"
  | "restore-snapshot"
  | "restore-snapshot-same-name"
> = {
  "no-space"(context, { seconds }) {
    if (context.storeFull) return false;
    context.setStoreFull(true);
    context.later(seconds, () => context.setStoreFull(false));
    return true;
  },
  compact({ world: { database } }, { variant }) {
    database.compact(Math.max(database.compactRevision, database.revision - (variant % 3)));
    return true;
  },
  /** A watch is lost, and history forgotten up to the very revision that it will ask for. */
  "compact-at-resume"(context, { variant }, node) {
    const { database } = context.world;
    const revisions = node.agent?.connection.resumeRevisions ?? [];
    const revision = revisions[variant % Math.max(1, revisions.length)];
    if (revision === undefined || revision > database.revision) return false;
    if (revision <= database.compactRevision) return false;
    context.touch(node);
    node.uplink.reset();
    database.compact(revision);
    return true;
  },
  "expire-lease"(context, _fault, node) {
    const leaseId = context.entryOf(node)?.leaseId;
    if (leaseId === undefined) return false;
    context.operate(() => context.world.database.expireLease(leaseId));
    return true;
  },
  "delete-key"(context, _fault, node) {
    const entry = context.entryOf(node);
    if (entry === undefined) return false;
    context.operate(() => context.world.database.delete(entry.key));
    return true;
  },
  overwrite(context, _fault, node) {
    const { database } = context.world;
    const entry = context.entryOf(node);
    if (entry === undefined || context.storeFull) return false;
    const value = context.foreignValue();
    context.operate(() => database.put(entry.key, value, database.grantLease(90).leaseId));
    return true;
  },
  "poison-key"(context, { variant }, node) {
    if (context.storeFull) return false;
    const name = NONSENSE_KEYS[variant % NONSENSE_KEYS.length] ?? "";
    const value = context.entryOf(node)?.value ?? "";
    context.operate(() => context.world.database.put(SUBNETS + name, value));
    return true;
  },
  "poison-value"(context, { variant }, node) {
    const entry = context.entryOf(node);
    if (entry === undefined || context.storeFull) return false;
    const value = NONSENSE_VALUES[variant % NONSENSE_VALUES.length] ?? "";
    context.operate(() => context.world.database.put(entry.key, value));
    return true;
  },
  /** Equivalent to `etcdctl put KEY VALUE` without a lease: the value as it is, or what spec 03 says is enough. */
  reserve(context, { variant }, node) {
    const entry = context.entryOf(node);
    if (entry?.leaseId === undefined || context.storeFull) return false;
    const value = variant % 2 === 0 ? entry.value : JSON.stringify({ PublicIP: node.publicIp });
    context.operate(() => context.world.database.put(entry.key, value));
    return true;
  },
  "change-config"(context, { variant }) {
    if (context.storeFull) return false;
    context.configChanged = true;
    context.configure(variant % CONFIG_VARIANTS);
    return true;
  },
  backup(context) {
    context.takeBackup();
    return true;
  },
  /** Keys and values are written into a new cluster. */
  restore(context, { variant }) {
    const { world, backup } = context;
    if (backup === undefined) return false;
    context.replaceStore(() => world.restore(backup.values, { sameCluster: variant % 4 === 0 }));
    return true;
  },
  "restore-snapshot"(context) {
    const { world, backup } = context;
    if (backup === undefined) return false;
    context.replaceStore(() => world.restore(backup.snapshot, { sameCluster: false }));
    return true;
  },
  "restore-snapshot-same-name"(context) {
    const { world, backup } = context;
    if (backup === undefined) return false;
    context.replaceStore(() => world.restore(backup.snapshot, { sameCluster: true }));
    return true;
  },
};
