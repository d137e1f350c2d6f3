import { AgentError } from "../../core/errors.ts";
import type { Cidr, PerFamily } from "../../core/ip.ts";
import { parseLeaseValue } from "../../core/lease-json.ts";
import type { Lease } from "../../core/lease.ts";
import { parseSubnetKey } from "../../core/subnet-key.ts";
import type { Log } from "../../system/log.ts";
import type { Keys } from "./keys.ts";
import type { KeyValue } from "./key-value-store.ts";

/** A lease as the store has it. */
export interface StoredLease {
  readonly entry: KeyValue;
  readonly lease: Lease;
}

/** What is below the prefix for leases. */
export interface StoredLeases {
  readonly entries: readonly KeyValue[];
  readonly leases: readonly StoredLease[];
  /** Every subnet that a key names, also where the value cannot be read: nobody may take those. */
  readonly taken: readonly { readonly key: string; readonly subnets: PerFamily<Cidr> }[];
}

export function readLeases(
  keys: Keys,
  entries: readonly KeyValue[],
  unreadable: UnreadableEntries,
): StoredLeases {
  const leases: StoredLease[] = [];
  const taken: { key: string; subnets: PerFamily<Cidr> }[] = [];
  for (const entry of entries) {
    const subnets = parseSubnetKey(entry.key.slice(keys.subnets.length));
    if (subnets !== undefined) taken.push({ key: entry.key, subnets });
    const lease = readLease(keys, entry, unreadable);
    if (lease !== undefined) leases.push({ entry, lease });
  }
  return { entries, leases, taken };
}

/** The lease of one entry; undefined, and named once in the log, for anything no agent wrote. */
export function readLease(
  keys: Keys,
  entry: KeyValue,
  unreadable: UnreadableEntries,
): Lease | undefined {
  const subnets = parseSubnetKey(entry.key.slice(keys.subnets.length));
  if (subnets === undefined) {
    unreadable.note(entry, "its name is no subnet");
    return undefined;
  }
  try {
    return { subnets, ...parseLeaseValue(entry.value) };
  } catch (error) {
    if (!(error instanceof AgentError)) throw error;
    unreadable.note(entry, error.message);
    return undefined;
  }
}

/** Keys remembered at most, so that whoever writes nonsense costs no memory for ever. */
const MAX_NOTED = 1000;
/** Keys named at most; the count goes on. */
const MAX_NAMED = 100;
/** Longest name shown: keys are hostile too. */
const MAX_NAME_LENGTH = 120;

/** Counts the entries that are no leases and names each once, until it changes. */
export class UnreadableEntries {
  readonly #log: Log;
  readonly #noted = new Map<string, number>();
  #count = 0;

  constructor(log: Log) {
    this.#log = log;
  }

  /** How many different versions of entries could not be read so far. */
  get count(): number {
    return this.#count;
  }

  note(entry: KeyValue, reason: string): void {
    if (this.#noted.get(entry.key) === entry.modRevision) return;
    if (this.#noted.size >= MAX_NOTED) this.#noted.clear();
    this.#noted.set(entry.key, entry.modRevision);
    this.#count++;
    if (this.#count > MAX_NAMED) return;
    const name = JSON.stringify(entry.key.slice(0, MAX_NAME_LENGTH));
    const last = this.#count === MAX_NAMED ? "; further ones are only counted" : "";
    this.#log.warn(
      { count: this.#count },
      `Ignoring bad subnet node: ${name}: ${reason}; remove it with etcdctl del${last}`,
    );
  }
}
