/**
 * Whether a history of acquire, renew and release could have happened one operation at a time (invariant A6).
 *
 * Each key is a register that one node owns or nobody does, so each key is judged by itself (P-compositionality). The search is
 * Wing and Gong's: try every operation that may come first, with the states already refuted remembered (Lowe). An operation
 * without a known result stays open: it may take effect at any time after it was called, or never.
 * Source: Herlihy and Wing 1990; Wing and Gong 1993; Lowe, "Testing for linearizability", 2017.
 */

export type Action = "acquire" | "renew" | "release";

export interface Operation {
  readonly key: string;
  readonly owner: string;
  readonly action: Action;
  /** Monotonic, in any unit, when it was asked. */
  readonly calledAt: number;
  /** When it was answered; ignored when the outcome is unknown. */
  readonly answeredAt: number;
  /** done: it took effect; refused: it was answered that it cannot; unknown: nobody knows. */
  readonly outcome: "done" | "refused" | "unknown";
}

export type LinearizabilityVerdict =
  | { readonly linearizable: true }
  | { readonly linearizable: false; readonly key: string };

/** The owner, or undefined for a key that is free. */
type Register = string | undefined;

/** Operations of one key that the search takes in; beyond it a bit set per state would no longer be small. */
const OPERATIONS_MAX = 10_000;

export function checkLinearizable(history: readonly Operation[]): LinearizabilityVerdict {
  for (const [key, operations] of Map.groupBy(history, (operation) => operation.key))
    if (!isRegisterHistory(operations)) return { linearizable: false, key };
  return { linearizable: true };
}

/** The register after the operation, or "impossible" when it cannot be answered so in this state. */
function step(
  register: Register,
  { action, owner, outcome }: Operation,
): { readonly register: Register } | "impossible" {
  const may = action === "acquire" ? register === undefined : register === owner;
  if (outcome === "refused") return may ? "impossible" : { register };
  // An unknown one that finds the register otherwise changes nothing, whenever it comes.
  if (!may) return outcome === "done" ? "impossible" : { register };
  return { register: action === "release" ? undefined : owner };
}

function isRegisterHistory(unsorted: readonly Operation[]): boolean {
  const operations = unsorted.toSorted((one, other) => one.calledAt - other.calledAt);
  if (operations.length > OPERATIONS_MAX)
    throw new Error(`${operations.length} operations of one key are too many to judge`);
  const refuted = new Set<string>();
  const placed = operations.map(() => false);

  const search = (register: Register, firstOpen: number): boolean => {
    let first = firstOpen;
    while (placed[first] === true) first++;
    // What nobody knows the outcome of may never have happened.
    if (operations.every(({ outcome }, index) => placed[index] === true || outcome === "unknown"))
      return true;
    const state = stateOf(register, placed, first);
    if (refuted.has(state)) return false;
    for (const index of candidates(operations, placed, first)) {
      const operation = operations[index];
      if (operation === undefined) continue;
      const next = step(register, operation);
      if (next === "impossible") continue;
      placed[index] = true;
      if (search(next.register, first)) return true;
      placed[index] = false;
    }
    refuted.add(state);
    return false;
  };
  return search(undefined, 0);
}

/** Those that were called before any other unplaced one was answered. */
function candidates(
  operations: readonly Operation[],
  placed: readonly boolean[],
  first: number,
): readonly number[] {
  let endsAt = Infinity;
  const found: number[] = [];
  for (let index = first; index < operations.length; index++) {
    const operation = operations[index];
    if (operation === undefined || placed[index] === true) continue;
    if (operation.calledAt > endsAt) break;
    if (operation.outcome !== "unknown") endsAt = Math.min(endsAt, operation.answeredAt);
    found.push(index);
  }
  return found;
}

function stateOf(register: Register, placed: readonly boolean[], first: number): string {
  const beyond = placed.flatMap((done, index) => (done && index > first ? [index] : []));
  return `${register ?? ""}|${first}|${beyond.join(",")}`;
}
