/** One pass over a kernel: applies a comparison stage by stage, and lets nothing rest on what was refused. */
import { AgentError } from "../core/errors.ts";
import { ByIdentity } from "./by-identity.ts";
import type { ReadonlyByIdentity } from "./by-identity.ts";
import type { BlockedRoute, Comparison } from "./difference.ts";
import { identityOf, isCompatible } from "./identity.ts";
import type { Identity } from "./identity.ts";
import type { Change, Kernel, KernelObject } from "./kernel.ts";
import { printObject } from "./print.ts";

/** Looked through in a few milliseconds; the kernel's adapter cuts them smaller, and waits for all of them only at the end. */
const BATCH_CHANGES = 8192;

export interface ReconcileReport {
  /** What was changed, in order; empty when the kernel held the wish already. */
  readonly changes: readonly Change[];
  /** What the kernel refused, and routes that were not tried because the kernel's own route stands there. */
  readonly failures: readonly ReconcileFailure[];
  /** What was not tried, because something in `failures` would have left it without what it rests on. */
  readonly held: readonly Change[];
}

export interface ReconcileFailure {
  readonly change: Change;
  /** AgentError "kernel-refused" naming the object and what the kernel said. */
  readonly error: Error;
}

/** What a pass has to respect beyond the objects it is about. */
export interface PassRules {
  /** False for what was refused lately: it then counts as refused without being asked for again. */
  mayTry(change: Change): boolean;
  /** Whether something beyond the comparison is wished, and the kernel does not hold it; undefined where nothing of the kind is known. */
  readonly isMissing: ((of: Identity) => boolean) | undefined;
  /** What something beyond the comparison rests on. */
  readonly needed: ReadonlyByIdentity<true>;
  /** Called between batches. */
  breathe(): Promise<void>;
}

export class Pass implements ReconcileReport {
  readonly changes: Change[] = [];
  readonly failures: ReconcileFailure[] = [];
  readonly held: Change[] = [];
  /** What was refused before and is not due yet. */
  readonly waiting: Change[] = [];
  readonly #kernel: Kernel;
  readonly #rules: PassRules;
  readonly #actual: Comparison["actual"];
  /** What the kernel does not hold as wished. */
  readonly #missing = new ByIdentity<true>();
  /** What something that stays in the kernel rests on. */
  readonly #needed = new ByIdentity<true>();

  constructor(kernel: Kernel, actual: Comparison["actual"], rules: PassRules) {
    this.#kernel = kernel;
    this.#actual = actual;
    this.#rules = rules;
  }

  async run({ stages, blocked }: Comparison): Promise<void> {
    for (const route of blocked) this.#block(route);
    for (const stage of stages)
      for (const batch of batches(stage)) {
        await this.#apply(batch);
        await this.#rules.breathe();
      }
  }

  async #apply(batch: readonly Change[]): Promise<void> {
    const sent = this.#sift(batch);
    if (sent.length === 0) return;
    const results = await this.#kernel.apply(sent);
    for (let index = 0; index < sent.length; index++) {
      const change = sent[index];
      if (change !== undefined) this.#conclude(change, results[index]?.error);
    }
  }

  #conclude(change: Change, error: Error | undefined): void {
    if (error === undefined) this.changes.push(change);
    else {
      this.failures.push({ change, error });
      this.#leave(change);
    }
  }

  /** Puts aside what must wait; as a rule nothing. */
  #sift(batch: readonly Change[]): readonly Change[] {
    const aside = new ByIdentity<Change[]>();
    for (let index = 0; index < batch.length; index++) {
      const change = batch[index];
      if (change === undefined) continue;
      if (this.#mustWait(change)) aside.set(change.object, this.held);
      else if (!this.#rules.mayTry(change) && !aside.has(change.object))
        aside.set(change.object, this.waiting);
    }
    if (aside.size === 0) return batch;
    return batch.filter((change) => {
      // The removal and the put of one object are an exchange: both or neither.
      const list = aside.get(change.object);
      if (list === undefined) return true;
      list.push(change);
      this.#leave(change);
      return false;
    });
  }

  #block({ wanted, obstacle }: BlockedRoute): void {
    const error = new AgentError(
      "kernel-refused",
      `cannot put ${printObject(wanted)}: the kernel's own ${printObject(obstacle)} stands there; remove the address that makes it`,
      { retryable: true },
    );
    this.failures.push({ change: { action: "put", object: wanted }, error });
  }

  #mustWait({ action, object }: Change): boolean {
    const { isMissing, needed } = this.#rules;
    if (action === "remove") return this.#needed.has(object) || needed.has(object);
    if (this.#missing.size === 0 && isMissing === undefined) return false;
    return this.#lacksGround(object);
  }

  #lacksGround(object: KernelObject): boolean {
    const { isMissing } = this.#rules;
    return restsOn(object).some((one) => this.#missing.has(one) || isMissing?.(one) === true);
  }

  /** Remembers that the kernel keeps what it had in place of this change. */
  #leave({ action, object }: Change): void {
    const left = this.#actual.all(object);
    for (const old of left) for (const one of restsOn(old)) this.#needed.set(one, true);
    // A device that could not be adjusted still carries packets.
    const works = left.some(
      (old) => old.kind === "link" && object.kind === "link" && isCompatible(old, object),
    );
    if (action === "put" && !works) this.#missing.set(object, true);
  }
}

/** Cut so that the changes of one object stay together. */
function* batches(stage: readonly Change[]): Generator<readonly Change[]> {
  for (let start = 0; start < stage.length;) {
    let end = Math.min(start + BATCH_CHANGES, stage.length);
    while (areOfOne(stage[end - 1], stage[end])) end++;
    yield stage.slice(start, end);
    start = end;
  }
}

function areOfOne(a: Change | undefined, b: Change | undefined): boolean {
  return a !== undefined && b !== undefined && identityOf(a.object) === identityOf(b.object);
}

/** What an object is useless without. */
export function restsOn(object: KernelObject): readonly Identity[] {
  switch (object.kind) {
    case "link":
    case "blackhole":
    case "sysctl":
      return [];
    case "address":
    case "fdb":
    case "nexthop":
      return [{ kind: "link", name: object.link }];
    case "neighbour": {
      const { link, mac } = object;
      return [
        { kind: "link", name: link },
        { kind: "fdb", link, mac },
      ];
    }
    case "route": {
      const { link, gateway, nexthop } = object;
      const below: Identity[] = [{ kind: "link", name: link }];
      if (gateway !== undefined) below.push({ kind: "neighbour", link, address: gateway });
      if (nexthop !== undefined) below.push({ kind: "nexthop", id: nexthop });
      return below;
    }
  }
}
