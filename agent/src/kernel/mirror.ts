/**
 * What is known of a kernel between dumps, so that one changed peer costs the work of one peer. After a dump the kernel holds the
 * wish, but for a few identities: those are remembered, everything else is as wished. A change of the wish is then compared with
 * that knowledge by the code that compares whole dumps, and applied in the same order with the same care.
 *
 * Knowledge ages: the dump of a sweep, or one that a kernel event asks for, replaces it.
 */
import { ByIdentity } from "./by-identity.ts";
import type { ReadonlyByIdentity } from "./by-identity.ts";
import { compare } from "./difference.ts";
import type { Wish } from "./difference.ts";
import type { Holdings } from "./holdings.ts";
import { isSame } from "./identity.ts";
import type { Identity } from "./identity.ts";
import type { Change, Kernel, KernelObject } from "./kernel.ts";
import { Pass, restsOn } from "./pass.ts";
import type { PassRules, ReconcileReport } from "./pass.ts";
import { isStep } from "../system/slices.ts";
import type { Slices, Steps } from "../system/slices.ts";
import type { WishChange, WishChanges } from "./wishes.ts";

export interface PassReport extends ReconcileReport {
  /** What was refused before and was not due to be tried again. */
  readonly waiting: readonly Change[];
}

/** Whether something that was refused before is tried in this pass. */
export type MayTry = (change: Change) => boolean;

const NOTHING: ReadonlyByIdentity<true> = new ByIdentity();

/** What the kernel holds of one identity. */
interface Other {
  readonly of: Identity;
  readonly objects: readonly KernelObject[];
}

export class Mirror {
  readonly #kernel: Kernel;
  readonly #slices: Slices;
  #isKnown = false;
  #present = 0;
  /** What the kernel holds of each identity where that is not exactly what is wished. */
  #others = new ByIdentity<Other>();
  /** What could not be done so far. */
  readonly #open = new ByIdentity<Change>();

  constructor(kernel: Kernel, slices: Slices) {
    this.#kernel = kernel;
    this.#slices = slices;
  }

  /** Whether the kernel holds the wish but for what is remembered, so that a pass may do without a dump. */
  get isKnown(): boolean {
    return this.#isKnown;
  }

  /** How many of the wished objects the last dump found as wished. */
  get present(): number {
    return this.#present;
  }

  /** What something is left to do about, so that a retry need not look at anything else. */
  get open(): readonly KernelObject[] {
    return this.#open.values().map(({ object }) => object);
  }

  /** Whether a pass over these needs no dump: devices and addresses take other objects along, so they do. */
  canSkipDump(wish: Wish, changes: WishChanges): boolean {
    if (!this.#isKnown || wish.additive) return false;
    for (const { of, before } of changes.values())
      if (!isPlain(before) || !isPlain(wish.objects.get(of))) return false;
    return true;
  }

  /** One dump, and everything that differs from the wish. @throws AgentError "kernel-refused" when nothing could be read or sent */
  async whole(wish: Wish, mayTry: MayTry): Promise<PassReport> {
    this.#isKnown = false;
    const dumped = await this.#kernel.dump(wish.scope);
    const comparison = await this.#slices.run(compare(dumped, wish));
    const pass = new Pass(this.#kernel, comparison.actual, this.#rules(mayTry));
    await pass.run(comparison);
    await this.#slices.run(this.#learn(wish, comparison.actual));
    this.#open.clear();
    await this.#slices.run(this.#remember(pass, wish));
    // Links take along what they carry, and what the kernel put on them is not known.
    this.#isKnown = !comparison.stages.some((stage) =>
      stage.some(({ object }) => object.kind === "link"),
    );
    return pass;
  }

  /** The same without a dump, for what is wished otherwise than before. @throws AgentError "kernel-refused" when nothing could be sent */
  async part(wish: Wish, changes: WishChanges, mayTry: MayTry): Promise<PassReport> {
    const objects = new ByIdentity<KernelObject>();
    const actual: KernelObject[] = [];
    const about = changes.values();
    for (const change of about) {
      const wanted = wish.objects.get(change.of);
      if (wanted !== undefined) objects.set(wanted, wanted);
      actual.push(...this.#held(change));
    }
    const comparison = await this.#slices.run(compare(actual, { ...wish, objects }));
    for (const { of } of about) this.#others.delete(of);
    for (const first of comparison.actual.firsts())
      this.#setOther(first, comparison.actual.all(first));
    const pass = new Pass(this.#kernel, comparison.actual, this.#rules(mayTry, changes));
    this.#isKnown = false;
    await pass.run(comparison);
    for (const { of } of about) {
      this.#open.delete(of);
      this.#forgetIfWished(of, wish);
    }
    await this.#slices.run(this.#remember(pass, wish));
    this.#isKnown = true;
    return pass;
  }

  #held({ of, before }: WishChange): readonly KernelObject[] {
    const other = this.#others.get(of);
    if (other !== undefined) return other.objects;
    return before === undefined || this.#open.has(of) ? [] : [before];
  }

  #setOther(of: Identity, objects: readonly KernelObject[]): void {
    this.#others.set(of, { of, objects });
  }

  #rules(mayTry: MayTry, about?: WishChanges): PassRules {
    const isMissing = (of: Identity): boolean =>
      about?.has(of) === false && this.#open.get(of)?.action === "put";
    return {
      mayTry,
      isMissing: about === undefined || this.#open.size === 0 ? undefined : isMissing,
      needed: about === undefined ? NOTHING : this.#neededBeyond(about),
      breathe: () => this.#slices.breathe(),
    };
  }

  /** What rests on something is as a rule as wished, and the wish is whole: only the others can be in the way. */
  #neededBeyond(about: WishChanges): ReadonlyByIdentity<true> {
    const needed = new ByIdentity<true>();
    for (const { of, objects } of this.#others.values())
      if (!about.has(of))
        for (const object of objects) for (const one of restsOn(object)) needed.set(one, true);
    return needed;
  }

  *#learn(wish: Wish, actual: Holdings): Steps<void> {
    this.#others = new ByIdentity();
    this.#present = 0;
    const firsts = actual.firsts();
    for (let index = 0; index < firsts.length; index++) {
      if (isStep(index)) yield;
      const first = firsts[index];
      if (first === undefined) continue;
      const wanted = wish.objects.get(first);
      const isPresent = wanted !== undefined && isSame(first, wanted);
      if (isPresent) this.#present++;
      if (!isPresent || actual.only(first) === undefined) this.#setOther(first, actual.all(first));
    }
  }

  *#remember({ changes, failures, held, waiting }: Pass, wish: Wish): Steps<void> {
    for (let index = 0; index < changes.length; index++) {
      if (isStep(index)) yield;
      const change = changes[index];
      if (change === undefined) continue;
      const { action, object } = change;
      const before = this.#others.size === 0 ? undefined : this.#others.get(object)?.objects;
      // As a rule the kernel held nothing of it, and has what is wished now: nothing else is put.
      if (before === undefined && action === "put") continue;
      this.#setOther(object, afterChange(before ?? [], change));
      this.#forgetIfWished(object, wish);
    }
    const undone = [...failures.map(({ change }) => change), ...held, ...waiting];
    for (const change of undone) this.#open.set(change.object, change);
  }

  #forgetIfWished(of: Identity, wish: Wish): void {
    const wanted = wish.objects.get(of);
    const [first, ...rest] = this.#others.get(of)?.objects ?? [];
    const isEmpty = first === undefined;
    if (isEmpty || (rest.length === 0 && wanted !== undefined && isSame(first, wanted)))
      this.#others.delete(of);
  }
}

function isPlain(object: KernelObject | undefined): boolean {
  switch (object?.kind) {
    case "link":
    case "address":
    case "sysctl":
      return false;
    default:
      return true;
  }
}

/** A put of a route replaces the first of those with its destination; a removal takes the one that it names. */
function afterChange(
  before: readonly KernelObject[],
  { action, object }: Change,
): readonly KernelObject[] {
  if (action === "remove") return before.filter((other) => !isSame(other, object));
  if (object.kind === "route") return [object, ...before.slice(1)];
  return object.kind === "address" ? [...before, object] : [object];
}
