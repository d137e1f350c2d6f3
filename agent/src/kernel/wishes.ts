/** What the kernel should hold, kept from pass to pass: an object may be wished for by several peers, and is there once. */
import { assert } from "../core/assert.ts";
import { identityOf, isSame } from "./identity.ts";
import type { KernelObject, Route } from "./kernel.ts";
import { isStep } from "../system/slices.ts";
import type { Steps } from "../system/slices.ts";

/** In what form wished routes are written into the kernel. */
export interface Writing {
  /** The objects that amount to the wished one: itself, or others (a route over a nexthop object, and that object). */
  write(wished: Route): readonly KernelObject[];
  /** What `write` said of the route, which has one wish less now. */
  takeBack(wished: Route): readonly KernelObject[];
}

/** Everything is written as it is wished. */
export const asWished: Writing = {
  write: (wished) => [wished],
  takeBack: (wished) => [wished],
};

/** By identity, what was wished before; undefined where nothing was. */
export type WishChanges = ReadonlyMap<string, KernelObject | undefined>;

export class Wishes {
  /** By identity, as written. */
  readonly objects: Map<string, KernelObject> = new Map();
  readonly #writing: Writing;
  /** How many wish for it, where that is more than one. */
  readonly #shared = new Map<string, number>();
  #before = new Map<string, KernelObject | undefined>();
  /** Whether what changes from now on is told of by `takeChanges`. */
  isFollowed = true;

  constructor(writing: Writing = asWished) {
    this.#writing = writing;
  }

  add(wished: KernelObject): void {
    if (wished.kind === "route")
      for (const object of this.#writing.write(wished)) this.#add(object);
    else this.#add(wished);
  }

  /** Takes back one `add` of an equal object. */
  remove(wished: KernelObject): void {
    if (wished.kind === "route")
      for (const object of this.#writing.takeBack(wished)) this.#remove(object);
    else this.#remove(wished);
  }

  #add(object: KernelObject): void {
    const identity = identityOf(object);
    const existing = this.objects.get(identity);
    if (existing === undefined) {
      this.#note(identity, undefined);
      this.objects.set(identity, object);
      return;
    }
    assert(isSame(existing, object), "whoever wishes for a kernel object wishes for the same");
    this.#shared.set(identity, (this.#shared.get(identity) ?? 1) + 1);
  }

  #remove(object: KernelObject): void {
    const identity = identityOf(object);
    const holders = this.#shared.get(identity) ?? 1;
    if (holders > 2) this.#shared.set(identity, holders - 1);
    else if (holders === 2) this.#shared.delete(identity);
    else {
      this.#note(identity, this.objects.get(identity));
      this.objects.delete(identity);
    }
  }

  /** What is wished otherwise than at the last call. */
  *takeChanges(): Steps<WishChanges> {
    const changes = this.#before;
    this.#before = new Map();
    const identities = [...changes.keys()];
    for (let index = 0; index < identities.length; index++) {
      if (isStep(index)) yield;
      const identity = identities[index];
      if (identity === undefined) continue;
      const before = changes.get(identity);
      const after = this.objects.get(identity);
      const isBack = before !== undefined && after !== undefined && isSame(before, after);
      if (before === after || isBack) changes.delete(identity);
    }
    return changes;
  }

  #note(identity: string, before: KernelObject | undefined): void {
    if (this.isFollowed && !this.#before.has(identity)) this.#before.set(identity, before);
  }
}
