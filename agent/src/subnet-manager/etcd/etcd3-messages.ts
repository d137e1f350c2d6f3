/**
 * The messages of etcd's protocol that the agent writes and reads, with the fields that it needs, as they are called there.
 * Source: etcd api/etcdserverpb/rpc.proto and api/mvccpb/kv.proto, version 3.4 and later.
 */
import { MessageType, many, one } from "./etcd3-protobuf.ts";

const HEADER = new MessageType({
  cluster_id: one(1, "uint64"),
  revision: one(3, "int64"),
  raft_term: one(4, "uint64"),
});

const KEY_VALUE = new MessageType({
  key: one(1, "bytes"),
  create_revision: one(2, "int64"),
  mod_revision: one(3, "int64"),
  version: one(4, "int64"),
  value: one(5, "bytes"),
  lease: one(6, "int64"),
});

const EVENT = new MessageType({ type: one(1, ["Put", "Delete"]), kv: one(2, KEY_VALUE) });

const RANGE_REQUEST = new MessageType({
  key: one(1, "bytes"),
  range_end: one(2, "bytes"),
  limit: one(3, "int64"),
  revision: one(4, "int64"),
});

const RANGE_RESPONSE = new MessageType({
  header: one(1, HEADER),
  kvs: many(2, KEY_VALUE),
  more: one(3, "bool"),
});

const PUT_REQUEST = new MessageType({
  key: one(1, "bytes"),
  value: one(2, "bytes"),
  lease: one(3, "int64"),
});

const DELETE_REQUEST = new MessageType({ key: one(1, "bytes") });

const OPERATION = new MessageType({
  request_range: one(1, RANGE_REQUEST),
  request_put: one(2, PUT_REQUEST),
  request_delete_range: one(3, DELETE_REQUEST),
});

const COMPARE = new MessageType({
  result: one(1, ["Equal", "Greater", "Less", "NotEqual"]),
  target: one(2, ["Version", "Create", "Mod", "Value", "Lease"]),
  key: one(3, "bytes"),
  version: one(4, "int64"),
  create_revision: one(5, "int64"),
  mod_revision: one(6, "int64"),
  lease: one(8, "int64"),
  range_end: one(64, "bytes"),
});

const TXN_REQUEST = new MessageType({
  compare: many(1, COMPARE),
  success: many(2, OPERATION),
  failure: many(3, OPERATION),
});

const TXN_RESPONSE = new MessageType({
  header: one(1, HEADER),
  succeeded: one(2, "bool"),
  responses: many(3, new MessageType({ response_range: one(1, RANGE_RESPONSE) })),
});

const GRANT = new MessageType({ TTL: one(1, "int64"), ID: one(2, "int64") });
const GRANTED = new MessageType({ ID: one(2, "int64"), TTL: one(3, "int64") });
const LEASE_ID = new MessageType({ ID: one(1, "int64") });
const EMPTY = new MessageType({});
const NAME_AND_PASSWORD = new MessageType({ name: one(1, "string"), password: one(2, "string") });
const TOKEN = new MessageType({ token: one(2, "string") });

const WATCH_CREATE = new MessageType({
  key: one(1, "bytes"),
  range_end: one(2, "bytes"),
  start_revision: one(3, "int64"),
  progress_notify: one(4, "bool"),
});

const WATCH_REQUEST = new MessageType({ create_request: one(1, WATCH_CREATE) });

const WATCH_RESPONSE = new MessageType({
  header: one(1, HEADER),
  created: one(3, "bool"),
  canceled: one(4, "bool"),
  compact_revision: one(5, "int64"),
  cancel_reason: one(6, "string"),
  events: many(11, EVENT),
});

/** One procedure of a service. */
export interface Method {
  readonly path: string;
  readonly request: MessageType;
  readonly response: MessageType;
}

function method(path: string, request: MessageType, response: MessageType): Method {
  return { path: `/etcdserverpb.${path}`, request, response };
}

export const RANGE: Method = method("KV/Range", RANGE_REQUEST, RANGE_RESPONSE);
export const TXN: Method = method("KV/Txn", TXN_REQUEST, TXN_RESPONSE);
export const LEASE_GRANT: Method = method("Lease/LeaseGrant", GRANT, GRANTED);
export const LEASE_REVOKE: Method = method("Lease/LeaseRevoke", LEASE_ID, EMPTY);
export const LEASE_TIME_TO_LIVE: Method = method("Lease/LeaseTimeToLive", LEASE_ID, GRANTED);
export const AUTHENTICATE: Method = method("Auth/Authenticate", NAME_AND_PASSWORD, TOKEN);
export const WATCH: Method = method("Watch/Watch", WATCH_REQUEST, WATCH_RESPONSE);

/** Whole numbers are decimal text. */
export interface WireHeader {
  readonly cluster_id: string;
  readonly revision: string;
  readonly raft_term: string;
}

export interface WireKeyValue {
  readonly key: Buffer;
  readonly value: Buffer;
  readonly create_revision: string;
  readonly mod_revision: string;
  readonly version: string;
  readonly lease: string;
}

export interface WireEvent {
  readonly type: "Put" | "Delete";
  readonly kv: WireKeyValue;
}

export interface WireRangeResponse {
  readonly header: WireHeader;
  readonly kvs: readonly WireKeyValue[];
  readonly more: boolean;
}

export interface WireTxnResponse {
  readonly header: WireHeader;
  readonly succeeded: boolean;
  /** Absent in the answer to any other operation than a read. */
  readonly responses: readonly { readonly response_range?: WireRangeResponse }[];
}

export interface WireLease {
  readonly ID: string;
  readonly TTL: string;
}

export interface WireWatchResponse {
  readonly header: WireHeader;
  readonly created: boolean;
  readonly canceled: boolean;
  readonly compact_revision: string;
  readonly cancel_reason: string;
  readonly events: readonly WireEvent[];
}
