/** What an agent may write: checked against what the store held at the moment of the write. */
import type { Operation, Transaction } from "agent/subnet-manager/etcd/key-value-store.ts";
import { type AgentProcess, SUBNETS } from "./actors.ts";
import type { InvariantId } from "./invariants.ts";
import { type Live, blank, fits, isOwnOrNobodys, storedOf } from "./lease-facts.ts";
import { overlap, readStored } from "./stored.ts";

interface Checker {
  check(id: InvariantId, holds: boolean, detail: () => string): void;
}

interface Write {
  readonly process: AgentProcess;
  readonly transaction: Transaction;
  /** The leases before it. */
  readonly before: Live;
}

/** A request to end an etcd lease, and with it its keys. */
export function checkRevoke(
  checks: Checker,
  process: AgentProcess,
  {
    leaseId,
    before,
    stale,
  }: {
    readonly leaseId: string;
    /** The leases before it. */
    readonly before: Live;
    /** Whether it was told of an older state than there was. */
    readonly stale: boolean;
  },
): void {
  const { agent } = process.node;
  const claimed = agent?.running === true ? agent.lease : undefined;
  for (const stored of storedOf(before)) {
    if (stored.entry.leaseId !== leaseId) continue;
    checks.check(
      "B3'",
      isOwnOrNobodys(stored, process),
      () =>
        `${process.node.name} revokes the lease of ${stored.entry.key} owned by ${stored.owner}`,
    );
    const isClaimed = claimed !== undefined && stored.blocks[0]?.text === claimed.subnets[4];
    checks.check(
      "B9",
      !isClaimed || stale,
      () => `${process.node.name} revokes its own ${stored.entry.key}`,
    );
  }
  checks.check("B9", true, () => "");
}

/** One operation of a transaction that was done. */
export function checkWrite(checks: Checker, write: Write, operation: Operation): void {
  const { process, transaction, before } = write;
  if (operation.action === "range" || !operation.key.startsWith(SUBNETS)) return;
  const { node } = process;
  const entry = before.get(operation.key);
  const stored = entry === undefined ? undefined : readStored(entry);
  const owner = stored?.owner;
  checks.check(
    "B3'",
    stored === undefined || isOwnOrNobodys(stored, process),
    () => `${node.name} ${operation.action}s ${operation.key} owned by ${owner}`,
  );
  if (process.pauses > 0)
    checks.check(
      "B6",
      transaction.compare.some((one) => "key" in one && one.is === "equal"),
      () => `${node.name} writes ${operation.key} without a condition after a pause`,
    );
  if (operation.action === "delete") return;
  const after = readStored({ ...(entry ?? blank(operation.key)), value: operation.value });
  checks.check(
    "A4",
    owner === undefined || after?.owner === owner,
    () => `${node.name} makes ${operation.key} of ${owner} one of ${after?.owner}`,
  );
  if (entry !== undefined && entry.leaseId === undefined && owner !== undefined)
    checks.check(
      "A9",
      operation.leaseId === undefined && owner === process.publicIp,
      () => `${node.name} rewrites the reservation ${operation.key} of ${owner}`,
    );
  if (entry === undefined) checkCreation(checks, write, operation.key);
}

/** A key that was not there before. */
function checkCreation(
  checks: Checker,
  { process, transaction, before }: Write,
  key: string,
): void {
  const { node } = process;
  const absent = transaction.compare.some(
    (one) => "key" in one && one.key === key && one.is === "equal" && one.to === 0,
  );
  const unwritten = transaction.compare.some(
    (one) =>
      "prefix" in one &&
      one.prefix === SUBNETS &&
      one.target === "modRevision" &&
      one.is === "less",
  );
  checks.check("A5", absent && unwritten, () => `${node.name} makes ${key} without its conditions`);
  const created = readStored({ ...blank(key), value: "" });
  checks.check(
    "A2",
    created !== undefined && fits(created.blocks, process),
    () => `${node.name} takes ${key}, which does not fit ${JSON.stringify(process.config?.ranges)}`,
  );
  const fitting = storedOf(before).find(
    (one) => one.owner === process.publicIp && fits(one.blocks, process),
  );
  checks.check(
    "A10",
    fitting === undefined,
    () => `${node.name} takes ${key} although it has ${fitting?.entry.key}`,
  );
  const removed = new Set(
    transaction.success.flatMap((one) => (one.action === "delete" ? [one.key] : [])),
  );
  const kept = storedOf(before).find(
    ({ entry, owner }) =>
      owner === process.publicIp && entry.leaseId !== undefined && !removed.has(entry.key),
  );
  checks.check(
    "A11",
    kept === undefined,
    () => `${node.name} takes ${key} and keeps ${kept?.entry.key}`,
  );
  for (const other of storedOf(before)) {
    if (removed.has(other.entry.key) || created === undefined) continue;
    const shared = created.blocks.some((a) => other.blocks.some((b) => overlap(a, b)));
    checks.check("A1", !shared, () => `${node.name} makes ${key} over ${other.entry.key}`);
  }
  checks.check("A1", true, () => "");
}
