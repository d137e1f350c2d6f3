import { LeaseTable } from "agent/core/lease-table.ts";
import type { LeaseEntry } from "agent/core/lease-table.ts";
import type { Lease } from "agent/core/lease.ts";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { lease } from "./arbitraries.ts";

const KEYS = ["10.3.1.0-24", "10.3.2.0-24", "10.3.2.0-24&fd00::-64", "10.3.10.0-24", "own"];

/** One revision of a store: a transaction over one or more keys. */
type Revision = readonly { readonly key: string; readonly lease: Lease | undefined }[];

/** How a history reaches the table: each step is something a store's client may legally see. */
type Step =
  /** The next revisions, one by one. */
  | { readonly kind: "advance"; readonly count: number }
  /** A watch resumed from an earlier point delivers again what is known. */
  | { readonly kind: "replay"; readonly back: number }
  /** A complete list, read now or later than the events seen so far. */
  | { readonly kind: "list"; readonly ahead: number };

const revision: fc.Arbitrary<Revision> = fc
  .uniqueArray(fc.constantFrom(...KEYS), { minLength: 1, maxLength: 3 })
  .chain((keys) =>
    fc.tuple(
      ...keys.map((key) =>
        fc.record({ key: fc.constant(key), lease: fc.option(lease, { nil: undefined }) }),
      ),
    ),
  );

const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ kind: fc.constant("advance" as const), count: fc.nat(4) }),
  fc.record({ kind: fc.constant("replay" as const), back: fc.nat(12) }),
  fc.record({ kind: fc.constant("list" as const), ahead: fc.nat(2) }),
);

/** The store's own keys at a revision (the first is 1). */
function entriesAt(history: readonly Revision[], revisionNumber: number): readonly LeaseEntry[] {
  const entries = new Map<string, LeaseEntry>();
  for (const [index, changes] of history.slice(0, revisionNumber).entries())
    for (const change of changes) {
      if (change.lease === undefined) entries.delete(change.key);
      else
        entries.set(change.key, { key: change.key, lease: change.lease, modRevision: index + 1 });
    }
  return [...entries.values()];
}

function leasesAt(history: readonly Revision[], revisionNumber: number): readonly Lease[] {
  return entriesAt(history, revisionNumber)
    .filter(({ key }) => key !== "own")
    .toSorted((a, b) => (a.key < b.key ? -1 : 1))
    .map((entry) => entry.lease);
}

function deliver(table: LeaseTable, history: readonly Revision[], number: number): void {
  for (const change of history[number - 1] ?? []) {
    if (change.lease === undefined) table.remove(change.key, number);
    else table.put(change.key, change.lease, number);
  }
}

/** Walks the steps and then the rest of the history; calls `look` after every revision delivered. */
function follow(
  history: readonly Revision[],
  steps: readonly Step[],
  look: (table: LeaseTable, seen: number) => void,
): number {
  const table = new LeaseTable();
  let seen = 0;
  for (const next of [...steps, { kind: "advance", count: history.length } as const]) {
    if (next.kind === "list") {
      seen = Math.min(history.length, seen + next.ahead);
      table.reset(entriesAt(history, seen), seen);
      look(table, seen);
      continue;
    }
    const first = next.kind === "advance" ? seen + 1 : Math.max(1, seen - next.back);
    const last = next.kind === "advance" ? Math.min(history.length, seen + next.count) : seen;
    for (let number = first; number <= last; number++) {
      deliver(table, history, number);
      seen = Math.max(seen, number);
      look(table, seen);
    }
  }
  return seen;
}

test("C4: any legal framing of a history gives the same leases at every revision", () => {
  fc.assert(
    fc.property(
      fc.array(revision, { minLength: 1, maxLength: 12 }),
      fc.array(step, { maxLength: 20 }),
      (history, steps) => {
        const end = follow(history, steps, (table, seen) => {
          expect(table.snapshot("own")).toEqual(leasesAt(history, seen));
          expect(table.revision).toBe(seen);
        });
        expect(end).toBe(history.length);
      },
    ),
  );
});

test("events of different keys may come in any order", () => {
  const events = fc
    .array(revision, { minLength: 1, maxLength: 8 })
    .chain((history) =>
      fc.tuple(fc.constant(history), fc.shuffledSubarray([...KEYS], { minLength: KEYS.length })),
    );
  fc.assert(
    fc.property(events, ([history, keys]) => {
      const table = new LeaseTable();
      for (const key of keys)
        for (const [index, changes] of history.entries()) {
          const only = changes.filter((change) => change.key === key);
          deliver(table, [...history.slice(0, index), only], index + 1);
        }
      expect(table.snapshot("own")).toEqual(leasesAt(history, history.length));
    }),
  );
});
