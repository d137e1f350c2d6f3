/** Patience with what the kernel refuses, object by object, so that one bad peer delays nobody. */
import { ByIdentity, isSame } from "./kernel/reconcile.ts";
import type { Identity, ReadonlyByIdentity } from "./kernel/reconcile.ts";
import type { Change } from "./kernel/kernel.ts";

export const RETRY_MS_MIN = 1_000;
const RETRY_MS_MAX = 10_000;

interface Refusal {
  readonly change: Change;
  readonly error: Error;
  readonly triedMs: number;
  readonly delayMs: number;
  /** Whether a dump showed what the kernel holds; without, the refusal may come of what is not known. */
  readonly isVerified: boolean;
}

/** What is tried again in a pass of what was refused before: what is due, what was not tried within the last second, or everything. */
export type Eagerness = "due" | "soon" | "all";

export class BackOff {
  readonly #refusals = new ByIdentity<Refusal>();

  /** When the next one is due; infinity when nothing is. */
  get dueMs(): number {
    let earliest = Number.POSITIVE_INFINITY;
    for (const { triedMs, delayMs, isVerified } of this.#refusals.values())
      if (isVerified) earliest = Math.min(earliest, triedMs + delayMs);
    return earliest;
  }

  /** What is refused at the moment; `dueMs` is absent where the next whole pass decides. */
  get open(): readonly { readonly error: Error; readonly dueMs?: number }[] {
    return this.#refusals.values().map(({ error, triedMs, delayMs, isVerified }) => ({
      error,
      ...(isVerified ? { dueMs: triedMs + delayMs } : {}),
    }));
  }

  has(of: Identity): boolean {
    return this.#refusals.has(of);
  }

  errorOf(of: Identity): Error | undefined {
    return this.#refusals.get(of)?.error;
  }

  /** A wish that has changed is another change, and is tried at once. */
  mayTry(change: Change, nowMs: number, eagerness: Eagerness): boolean {
    if (this.#refusals.size === 0) return true;
    const refusal = this.#refusals.get(change.object);
    if (refusal === undefined || eagerness === "all" || !isSameChange(refusal.change, change))
      return true;
    const { triedMs, delayMs, isVerified } = refusal;
    return !isVerified || nowMs >= triedMs + (eagerness === "soon" ? RETRY_MS_MIN : delayMs);
  }

  /** Once more: the next try is after 1 s, then 2 s, 4 s, 8 s, then every 10 s; or in the next whole pass, where none has verified it. */
  refused(
    { change, error }: { readonly change: Change; readonly error: Error },
    nowMs: number,
    isWhole: boolean,
  ): void {
    const before = this.#refusals.get(change.object);
    const again = before?.isVerified === true && isSameChange(before.change, change);
    const delayMs = again ? Math.min(before.delayMs * 2, RETRY_MS_MAX) : RETRY_MS_MIN;
    const isVerified = isWhole || before !== undefined;
    this.#refusals.set(change.object, { change, error, triedMs: nowMs, delayMs, isVerified });
  }

  /** It was done, or is wished no more. */
  forget(of: Identity): void {
    if (this.#refusals.size > 0) this.#refusals.delete(of);
  }

  forgetAllBut(kept: ReadonlyByIdentity<unknown>): void {
    for (const { change } of this.#refusals.values())
      if (!kept.has(change.object)) this.#refusals.delete(change.object);
  }
}

function isSameChange(a: Change, b: Change): boolean {
  return a.action === b.action && isSame(a.object, b.object);
}
