/** What the kernel should hold, kept from pass to pass: an object may be wished for by several peers, and is there once. */
import { assert } from "../core/assert.ts";
import { ByIdentity } from "./by-identity.ts";
import type { ReadonlyByIdentity } from "./by-identity.ts";
import { isSame } from "./identity.ts";
import type { Identity } from "./identity.ts";
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

export interface WishChange {
  readonly of: Identity;
  /** What was wished before; undefined where nothing was. */
  readonly before: KernelObject | undefined;
}

export type WishChanges = ReadonlyByIdentity<WishChange>;

export class Wishes {
  /** As written. */
  readonly objects: ByIdentity<KernelObject> = new ByIdentity();
  readonly #writing: Writing;
  /** How many wish for it, where that is more than one. */
  readonly #shared = new ByIdentity<number>();
  #changes = new ByIdentity<WishChange>();
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
    const existing = this.objects.get(object);
    if (existing === undefined) {
      this.#note(object, undefined);
      this.objects.set(object, object);
      return;
    }
    assert(isSame(existing, object), "whoever wishes for a kernel object wishes for the same");
    this.#shared.set(object, (this.#shared.get(object) ?? 1) + 1);
  }

  #remove(object: KernelObject): void {
    const holders = this.#shared.size === 0 ? 1 : (this.#shared.get(object) ?? 1);
    if (holders > 2) this.#shared.set(object, holders - 1);
    else if (holders === 2) this.#shared.delete(object);
    else {
      this.#note(object, this.objects.get(object));
      this.objects.delete(object);
    }
  }

  /** What is wished otherwise than at the last call. */
  *takeChanges(): Steps<WishChanges> {
    const changes = this.#changes;
    this.#changes = new ByIdentity();
    const all = changes.values();
    for (let index = 0; index < all.length; index++) {
      if (isStep(index)) yield;
      const change = all[index];
      if (change === undefined) continue;
      const { of, before } = change;
      const after = this.objects.get(of);
      const isBack = before !== undefined && after !== undefined && isSame(before, after);
      if (before === after || isBack) changes.delete(of);
    }
    return changes;
  }

  #note(of: Identity, before: KernelObject | undefined): void {
    if (this.isFollowed && !this.#changes.has(of)) this.#changes.set(of, { of, before });
  }
}
