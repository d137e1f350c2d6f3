/** Why an agent is not ready. */
export type Hindrance =
  /** Kernel and subnet.env do not yet hold what the store says. */
  | "starting"
  /** The store has our lease no more (invariant B1). */
  | "lease missing"
  /** Another lease has the public address that this node has now. */
  | "address taken"
  /** Pods are to be masqueraded, and no rule for it could be made yet. */
  | "not masquerading";

/** Ready as long as nothing hinders it. */
export class Readiness {
  readonly #onReady: (ready: boolean) => void;
  readonly #hindrances = new Set<Hindrance>(["starting"]);

  /** @param onReady told whenever it changes; at first it is not ready */
  constructor(onReady: (ready: boolean) => void) {
    this.#onReady = onReady;
  }

  set(hindrance: Hindrance, hinders: boolean): void {
    const before = this.#isReady;
    if (hinders) this.#hindrances.add(hindrance);
    else this.#hindrances.delete(hindrance);
    if (this.#isReady !== before) this.#onReady(this.#isReady);
  }

  get #isReady(): boolean {
    return this.#hindrances.size === 0;
  }
}
