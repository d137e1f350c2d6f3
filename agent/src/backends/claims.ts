/** Who claims what only one can have. As a rule each thing is claimed once, so only rivals cost a list. */
export class Claims<Holder> {
  /** Where nobody else claims it; of rivals the lists count. */
  readonly #sole = new Map<string, Holder>();
  /** All that claim a thing, in the order in which they came, where they are several. */
  readonly #rivals = new Map<string, Holder[]>();
  readonly #contested = new Set<string>();

  add(what: string, holder: Holder): void {
    const sole = this.#sole.get(what);
    const rivals = this.#rivals.get(what);
    if (rivals !== undefined) rivals.push(holder);
    else if (sole === undefined) {
      this.#sole.set(what, holder);
      return;
    } else this.#rivals.set(what, [sole, holder]);
    this.#contested.add(what);
  }

  remove(what: string, holder: Holder): void {
    const rivals = this.#rivals.get(what);
    if (rivals === undefined) {
      if (this.#sole.get(what) === holder) this.#sole.delete(what);
      return;
    }
    const others = rivals.filter((other) => other !== holder);
    const [only] = others;
    if (others.length > 1) this.#rivals.set(what, others);
    else {
      this.#rivals.delete(what);
      if (only !== undefined) this.#sole.set(what, only);
    }
    this.#contested.add(what);
  }

  /** Undefined where at most one claims it. */
  rivals(what: string): readonly Holder[] | undefined {
    return this.#rivals.get(what);
  }

  /** Those whose rivals are others than at the last call. */
  takeContested(): readonly Holder[] {
    const holders = [...this.#contested].flatMap((what) => {
      const sole = this.#sole.get(what);
      return this.#rivals.get(what) ?? (sole === undefined ? [] : [sole]);
    });
    this.#contested.clear();
    return holders;
  }
}
