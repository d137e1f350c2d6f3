import type { WireEvent, WireKeyValue, WireTxnResponse } from "./etcd3-messages.ts";
import type { Values } from "./etcd3-protobuf.ts";
import type {
  Compare,
  KeyRange,
  KeyValue,
  Operation,
  StoreEvent,
  Transaction,
  TransactionResult,
} from "./key-value-store.ts";

/** A range as the protocol writes it: for a prefix, up to but not including the first key after all that start with it. */
export function wireRange(range: KeyRange): { key: Buffer; range_end?: Buffer } {
  if ("key" in range) return { key: Buffer.from(range.key) };
  const key = Buffer.from(range.prefix);
  const end = Buffer.from(key);
  const last = end.findLastIndex((byte) => byte < 0xff);
  // A zero byte alone stands for "everything".
  if (last === -1) return { key: Buffer.of(0), range_end: Buffer.of(0) };
  end[last] = (end[last] ?? 0) + 1;
  return { key, range_end: end.subarray(0, last + 1) };
}

export function wireTransaction(transaction: Transaction): Values {
  return {
    compare: transaction.compare.map(wireCompare),
    success: transaction.success.map(wireOperation),
    failure: transaction.failure.map(wireOperation),
  };
}

const TARGETS = {
  version: { target: "Version", member: "version" },
  createRevision: { target: "Create", member: "create_revision" },
  modRevision: { target: "Mod", member: "mod_revision" },
} as const;

function wireCompare(compare: Compare): Values {
  if (compare.target === "lease")
    return { ...wireRange(compare), target: "Lease", result: "Equal", lease: compare.to ?? "0" };
  const { target, member } = TARGETS[compare.target];
  const result = ({ equal: "Equal", less: "Less", greater: "Greater" } as const)[compare.is];
  return { ...wireRange(compare), target, result, [member]: compare.to };
}

function wireOperation(operation: Operation): Values {
  if (operation.action === "range") return { request_range: wireRange(operation.range) };
  const key = Buffer.from(operation.key);
  if (operation.action === "delete") return { request_delete_range: { key } };
  const { value, leaseId = "0" } = operation;
  return { request_put: { key, value: Buffer.from(value), lease: leaseId } };
}

export function readTransactionResult(response: WireTxnResponse): TransactionResult {
  return {
    succeeded: response.succeeded,
    revision: Number(response.header.revision),
    reads: response.responses.flatMap(({ response_range: read }) =>
      read === undefined ? [] : [read.kvs.map(readKeyValue)],
    ),
  };
}

export function readKeyValue(wire: WireKeyValue): KeyValue {
  return {
    key: wire.key.toString("utf8"),
    value: wire.value.toString("utf8"),
    createRevision: Number(wire.create_revision),
    modRevision: Number(wire.mod_revision),
    version: Number(wire.version),
    ...(wire.lease === "0" ? {} : { leaseId: wire.lease }),
  };
}

export function readEvent(wire: WireEvent): StoreEvent {
  return wire.type === "Delete"
    ? {
        type: "delete",
        key: wire.kv.key.toString("utf8"),
        modRevision: Number(wire.kv.mod_revision),
      }
    : { type: "put", entry: readKeyValue(wire.kv) };
}
