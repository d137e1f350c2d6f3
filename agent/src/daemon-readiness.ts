/** Why an agent is not ready. */
export type Hindrance =
  /** Kernel and subnet.env do not yet hold what the store says. */
  | "starting"
  /** The store has our lease no more (invariant B1). */
  | "lease missing"
  /** Another lease has the public address that this node has now. */
  | "address taken"
  /** Pods are to be masqueraded, and no rule for it could be made yet. */
  | "not masquerading"
  /** For a while now no pass over the kernel has succeeded, or our own device is refused. */
  | "kernel behind"
  /** Asked to stop. */
  | "stopping";

/** Each with its sentence for people. */
export const HINDRANCES: Readonly<Record<Hindrance, string>> = {
  starting: "kernel and subnet file do not yet hold what the store says",
  "lease missing": "the store has the lease of this node no more",
  "address taken": "the lease of another node has the public address of this one",
  "not masquerading": "pods are to be masqueraded, and no rule for it could be made",
  "kernel behind": "the kernel cannot be read, or refuses the device that carries pod packets",
  stopping: "the agent was asked to stop",
};

/** Ready as long as nothing hinders it. */
export class Readiness {
  #onReady: (ready: boolean) => void;
  readonly #hindrances = new Set<Hindrance>(["starting"]);

  /** @param onReady told whenever it changes; at first it is not ready */
  constructor(onReady: (ready: boolean) => void = () => undefined) {
    this.#onReady = onReady;
  }

  /** Tells somebody else from now on. */
  tell(onReady: (ready: boolean) => void): void {
    this.#onReady = onReady;
  }

  set(hindrance: Hindrance, hinders: boolean): void {
    const before = this.isReady;
    if (hinders) this.#hindrances.add(hindrance);
    else this.#hindrances.delete(hindrance);
    if (this.isReady !== before) this.#onReady(this.isReady);
  }

  get isReady(): boolean {
    return this.#hindrances.size === 0;
  }

  get hindrances(): readonly Hindrance[] {
    return [...this.#hindrances];
  }
}
