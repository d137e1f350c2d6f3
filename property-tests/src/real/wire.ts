/** etcd's JSON gateway: bytes in base64, numbers of 64 bits as text. */
import type { KeyValue } from "agent/subnet-manager/etcd/key-value-store.ts";

export interface WireKeyValue {
  readonly key: string;
  readonly value?: string;
  readonly create_revision?: string;
  readonly mod_revision: string;
  readonly version?: string;
  readonly lease?: string;
}

export function readEntry(kv: WireKeyValue): KeyValue {
  return {
    key: textOf(kv.key),
    value: textOf(kv.value ?? ""),
    createRevision: Number(kv.create_revision),
    modRevision: Number(kv.mod_revision),
    version: Number(kv.version),
    ...(kv.lease === undefined || kv.lease === "0" ? {} : { leaseId: kv.lease }),
  };
}

export function textOf(base64Text: string): string {
  return Buffer.from(base64Text, "base64").toString("utf8");
}

export function base64(bytes: string | Uint8Array): string {
  return Buffer.from(bytes).toString("base64");
}
