/** Why an agent is not ready. */
export type Hindrance =
  /** Kernel and subnet.env do not yet hold what the store says. */
  | "starting"
  /** The store has our lease no more (invariant B1). */
  | "lease missing"
  /** Started from the state file, and no store has said yet that the lease is still ours. */
  | "lease unconfirmed"
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
  "lease unconfirmed":
    "the store was not reached since the start: lease and peers are those of the state file",
  "address taken": "the lease of another node has the public address of this one",
  "not masquerading": "pods are to be masqueraded, and no rule for it could be made",
  "kernel behind": "the kernel cannot be read, or refuses the device that carries pod packets",
  stopping: "the agent was asked to stop",
};

/** What an agent waits for while it carries packets for whoever starts after it. */
const SERVING: ReadonlySet<Hindrance> = new Set(["lease unconfirmed"]);

/** Ready as long as nothing hinders it. */
export class Readiness {
  #onReady: (ready: boolean) => void;
  #onServing: (serving: boolean) => void = () => undefined;
  readonly #hindrances = new Set<Hindrance>(["starting"]);

  /** @param onReady told whenever it changes; at first it is not ready */
  constructor(onReady: (ready: boolean) => void = () => undefined) {
    this.#onReady = onReady;
  }

  /** Tells somebody else from now on. */
  tell(onReady: (ready: boolean) => void): void {
    this.#onReady = onReady;
  }

  /** Has somebody told whenever it begins or ceases to serve without being ready. */
  tellServing(onServing: (serving: boolean) => void): void {
    this.#onServing = onServing;
  }

  set(hindrance: Hindrance, hinders: boolean): void {
    const [before, served] = [this.isReady, this.serves];
    if (hinders) this.#hindrances.add(hindrance);
    else this.#hindrances.delete(hindrance);
    if (this.isReady !== before) this.#onReady(this.isReady);
    else if (this.serves !== served) this.#onServing(this.serves);
  }

  /** Whether pods can start and reach each other, ready or not. */
  get serves(): boolean {
    return this.hindrances.every((hindrance) => SERVING.has(hindrance));
  }

  get isReady(): boolean {
    return this.#hindrances.size === 0;
  }

  get hindrances(): readonly Hindrance[] {
    return [...this.#hindrances];
  }
}
