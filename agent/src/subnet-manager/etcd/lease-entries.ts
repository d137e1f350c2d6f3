import { AgentError } from "../../core/errors.ts";
import type { Cidr, PerFamily } from "../../core/ip.ts";
import { parseLeaseValue } from "../../core/lease-json.ts";
import type { Lease } from "../../core/lease.ts";
import { parseSubnetKey } from "../../core/subnet-key.ts";
import type { Clock } from "../../system/clock.ts";
import type { Log } from "../../system/log.ts";
import { Slices, type Steps } from "../../system/slices.ts";
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

/** What was read of an entry, and from what. */
interface Reading {
  readonly value: string;
  readonly subnets: PerFamily<Cidr>;
  readonly lease: Lease;
}

/**
 * Reads entries, and an unchanged one not again: all leases of a cluster are listed at a start, after a gap, and in each round of a race
 * for a subnet.
 */
export class LeaseReader {
  readonly #keys: Keys;
  readonly #unreadable: UnreadableEntries;
  readonly #slices: Slices;
  /** Of the last whole list. */
  #readings: ReadonlyMap<string, Reading> = new Map();

  constructor(
    keys: Keys,
    { log, clock }: { readonly log: Log; readonly clock: Pick<Clock, "nowMs" | "yield"> },
  ) {
    this.#keys = keys;
    this.#unreadable = new UnreadableEntries(log);
    this.#slices = new Slices(clock);
  }

  /** The lease of one entry; undefined, and named once in the log, for anything no agent wrote. */
  one(entry: KeyValue): Lease | undefined {
    const reading = this.#readings.get(entry.key);
    if (reading !== undefined && reading.value === entry.value) return reading.lease;
    return this.#read(entry, this.#subnetsOf(entry));
  }

  /** A whole list. Lets others run in between. */
  all(entries: readonly KeyValue[]): Promise<StoredLeases> {
    return this.#slices.run(this.#readAll(entries));
  }

  *#readAll(entries: readonly KeyValue[]): Steps<StoredLeases> {
    const readings = new Map<string, Reading>();
    const leases: StoredLease[] = [];
    const taken: { key: string; subnets: PerFamily<Cidr> }[] = [];
    for (const entry of entries) {
      yield;
      const { key, value } = entry;
      const before = this.#readings.get(key);
      const known = before?.value === value ? before : undefined;
      const subnets = known?.subnets ?? this.#subnetsOf(entry);
      const lease = known?.lease ?? this.#read(entry, subnets);
      if (subnets !== undefined) taken.push({ key, subnets });
      if (subnets === undefined || lease === undefined) continue;
      readings.set(key, known ?? { value, subnets, lease });
      leases.push({ entry, lease });
    }
    this.#readings = readings;
    return { entries, leases, taken };
  }

  #subnetsOf({ key }: KeyValue): PerFamily<Cidr> | undefined {
    return parseSubnetKey(key.slice(this.#keys.subnets.length));
  }

  #read(entry: KeyValue, subnets: PerFamily<Cidr> | undefined): Lease | undefined {
    if (subnets === undefined) {
      this.#unreadable.note(entry, "its name is no subnet");
      return undefined;
    }
    try {
      return { subnets, ...parseLeaseValue(entry.value) };
    } catch (error) {
      if (!(error instanceof AgentError)) throw error;
      this.#unreadable.note(entry, error.message);
      return undefined;
    }
  }
}

/** Keys remembered at most, so that whoever writes nonsense costs no memory for ever. */
const MAX_NOTED = 1000;
/** Keys named at most; the count goes on. */
const MAX_NAMED = 100;
/** Longest name shown: keys are hostile too. */
const MAX_NAME_LENGTH = 120;

/** Counts the entries that are no leases and names each once, until it changes. */
class UnreadableEntries {
  readonly #log: Log;
  readonly #noted = new Map<string, number>();
  #count = 0;

  constructor(log: Log) {
    this.#log = log;
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
