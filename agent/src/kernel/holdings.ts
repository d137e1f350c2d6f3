/** What a kernel holds, by identity. As a rule there is one object of each; of routes and addresses it allows several. */
import { ByIdentity } from "./by-identity.ts";
import type { Identity } from "./identity.ts";
import type { KernelObject } from "./kernel.ts";

const NONE: readonly KernelObject[] = [];

export class Holdings {
  readonly #first = new ByIdentity<KernelObject>();
  /** All of an identity, where they are several. */
  readonly #several = new ByIdentity<KernelObject[]>();

  /** Behind those of the same identity. */
  add(object: KernelObject): void {
    const first = this.#first.get(object);
    if (first === undefined) this.#first.set(object, object);
    else {
      const several = this.#several.get(object);
      if (several === undefined) this.#several.set(object, [first, object]);
      else several.push(object);
    }
  }

  /** Undefined where there is none, or more than one. */
  only(of: Identity): KernelObject | undefined {
    return this.#several.size > 0 && this.#several.has(of) ? undefined : this.#first.get(of);
  }

  /** In the order in which they were added. */
  all(of: Identity): readonly KernelObject[] {
    const first = this.#first.get(of);
    if (first === undefined) return NONE;
    return (this.#several.size === 0 ? undefined : this.#several.get(of)) ?? [first];
  }

  /** The first of each identity. */
  firsts(): readonly KernelObject[] {
    return this.#first.values();
  }
}
