import type { NetworkFactsOfRun } from "../checks/kernel-equals-leases.ts";
import type { Sighting, WitnessName } from "./sightings.ts";
import type { World } from "./world.ts";

/** Something that must never be. */
export interface Violation {
  readonly at: number;
  readonly host?: string;
  readonly detail: string;
}

/** One invariant, judged while a run goes on. */
export interface InvariantCheck {
  readonly id: string;
  /** What it says, in short. */
  readonly claim: string;
  /** Should one of these go blind, it could not look. */
  readonly needs: readonly WitnessName[];
  /** Whether there can be anything to look at in such a network; in every one unless said. */
  appliesTo?(facts: NetworkFactsOfRun): boolean;
  open(facts: NetworkFactsOfRun): OpenCheck;
}

/** A fold over sightings: no clock, no chance, no I/O. */
export interface OpenCheck {
  /** The world has seen the sighting already. */
  see(sighting: Sighting, world: World): readonly Violation[];
  /** How many times there was something to look at. */
  looked(): number;
  /** Whether more time could not change what it says, if nothing more happened; always, unless it waits for time. */
  isSettled?(world: World): boolean;
}

/** A judgement that waits for what may still excuse it. */
export class Deferred<T> {
  #waiting: { readonly dueAt: number; readonly item: T }[] = [];

  add(dueAt: number, item: T): void {
    this.#waiting.push({ dueAt, item });
  }

  /** How many were excused. */
  cancel(excused: (item: T) => boolean): number {
    const before = this.#waiting.length;
    this.#waiting = this.#waiting.filter(({ item }) => !excused(item));
    return before - this.#waiting.length;
  }

  /** Gives some of them time until a moment. */
  postpone(some: (item: T) => boolean, until: number): void {
    this.#waiting = this.#waiting.map((one) =>
      some(one.item) ? { item: one.item, dueAt: Math.max(one.dueAt, until) } : one,
    );
  }

  get isEmpty(): boolean {
    return this.#waiting.length === 0;
  }

  /** Takes what nothing excused in its time. */
  takeDue(at: number): readonly T[] {
    const due = this.#waiting.filter(({ dueAt }) => dueAt <= at).map(({ item }) => item);
    this.#waiting = this.#waiting.filter(({ dueAt }) => dueAt > at);
    return due;
  }
}
