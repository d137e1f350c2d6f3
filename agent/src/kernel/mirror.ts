/**
 * What is known of a kernel between dumps, so that one changed peer costs the work of one peer. After a dump the kernel holds the
 * wish, but for a few identities: those are remembered, everything else is as wished. A change of the wish is then compared with
 * that knowledge by the code that compares whole dumps, and applied in the same order with the same care.
 *
 * Knowledge ages: the dump of a sweep, or one that a kernel event asks for, replaces it.
 */
import { compare } from "./difference.ts";
import type { Wish } from "./difference.ts";
import { identityOf, isSame } from "./identity.ts";
import type { Change, Kernel, KernelObject } from "./kernel.ts";
import { Pass, restsOn } from "./pass.ts";
import type { PassRules, ReconcileReport } from "./pass.ts";
import { isStep } from "../system/slices.ts";
import type { Slices, Steps } from "../system/slices.ts";
import type { WishChanges } from "./wishes.ts";

export interface PassReport extends ReconcileReport {
  /** What was refused before and was not due to be tried again. */
  readonly waiting: readonly Change[];
}

/** Whether something that was refused before is tried in this pass; `identity` is that of the change's object. */
export type MayTry = (identity: string, change: Change) => boolean;

const NOTHING: ReadonlySet<string> = new Set();

export class Mirror {
  readonly #kernel: Kernel;
  readonly #slices: Slices;
  #isKnown = false;
  #present = 0;
  /** What the kernel holds of each identity where that is not exactly what is wished. */
  #others = new Map<string, readonly KernelObject[]>();
  /** What could not be done so far. */
  #open = new Map<string, Change["action"]>();

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

  /** Identities with something left to do, so that a retry need not look at anything else. */
  get open(): readonly string[] {
    return [...this.#open.keys()];
  }

  /** Whether a pass over these needs no dump: devices and addresses take other objects along, so they do. */
  canSkipDump(wish: Wish, before: WishChanges): boolean {
    if (!this.#isKnown || wish.additive) return false;
    for (const [identity, object] of before)
      if (!isPlain(object) || !isPlain(wish.objects.get(identity))) return false;
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
      stage.some(({ change: { object } }) => object.kind === "link"),
    );
    return pass;
  }

  /** The same without a dump, for identities whose wish has changed. @throws AgentError "kernel-refused" when nothing could be sent */
  async part(wish: Wish, before: WishChanges, mayTry: MayTry): Promise<PassReport> {
    const objects = new Map<string, KernelObject>();
    const actual: KernelObject[] = [];
    for (const [identity, old] of before) {
      const wanted = wish.objects.get(identity);
      if (wanted !== undefined) objects.set(identity, wanted);
      actual.push(...this.#held(identity, old));
    }
    const comparison = await this.#slices.run(compare(actual, { ...wish, objects }));
    for (const identity of before.keys()) this.#others.delete(identity);
    for (const [identity, group] of comparison.actual) this.#others.set(identity, group);
    const pass = new Pass(this.#kernel, comparison.actual, this.#rules(mayTry, before));
    this.#isKnown = false;
    await pass.run(comparison);
    for (const identity of before.keys()) {
      this.#open.delete(identity);
      this.#forgetIfWished(identity, wish);
    }
    await this.#slices.run(this.#remember(pass, wish));
    this.#isKnown = true;
    return pass;
  }

  #held(identity: string, wished: KernelObject | undefined): readonly KernelObject[] {
    const other = this.#others.get(identity);
    if (other !== undefined) return other;
    return wished === undefined || this.#open.has(identity) ? [] : [wished];
  }

  #rules(mayTry: MayTry, about?: WishChanges): PassRules {
    const isMissing = (identity: string): boolean =>
      about?.has(identity) === false && this.#open.get(identity) === "put";
    return {
      mayTry,
      isMissing: about === undefined || this.#open.size === 0 ? undefined : isMissing,
      needed: about === undefined ? NOTHING : this.#neededBeyond(about),
      breathe: () => this.#slices.breathe(),
    };
  }

  /** What rests on something is as a rule as wished, and the wish is whole: only the others can be in the way. */
  #neededBeyond(about: WishChanges): ReadonlySet<string> {
    const needed = new Set<string>();
    for (const [identity, objects] of this.#others)
      if (!about.has(identity))
        for (const object of objects) for (const one of restsOn(object)) needed.add(one);
    return needed;
  }

  *#learn(wish: Wish, actual: ReadonlyMap<string, readonly KernelObject[]>): Steps<void> {
    this.#others = new Map();
    this.#present = 0;
    const groups = [...actual.values()];
    const identities = [...actual.keys()];
    for (let index = 0; index < groups.length; index++) {
      if (isStep(index)) yield;
      const [identity, group] = [identities[index], groups[index]];
      if (identity === undefined || group === undefined) continue;
      const wanted = wish.objects.get(identity);
      const first = group[0];
      const isPresent = wanted !== undefined && first !== undefined && isSame(first, wanted);
      if (isPresent) this.#present++;
      if (!isPresent || group.length > 1) this.#others.set(identity, group);
    }
  }

  *#remember(pass: Pass, wish: Wish): Steps<void> {
    const { done } = pass;
    for (let index = 0; index < done.length; index++) {
      if (isStep(index)) yield;
      const named = done[index];
      if (named === undefined) continue;
      const { identity, change } = named;
      const before = this.#others.size === 0 ? undefined : this.#others.get(identity);
      // As a rule the kernel held nothing of it, and has what is wished now.
      if (before === undefined && wish.objects.get(identity) === change.object) continue;
      this.#others.set(identity, afterChange(before ?? [], change));
      this.#forgetIfWished(identity, wish);
    }
    const undone = [...pass.failures.map(({ change }) => change), ...pass.held, ...pass.waiting];
    for (const { action, object } of undone) this.#open.set(identityOf(object), action);
  }

  #forgetIfWished(identity: string, wish: Wish): void {
    const wanted = wish.objects.get(identity);
    const [first, ...rest] = this.#others.get(identity) ?? [];
    const isEmpty = first === undefined;
    if (isEmpty || (rest.length === 0 && wanted !== undefined && isSame(first, wanted)))
      this.#others.delete(identity);
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
