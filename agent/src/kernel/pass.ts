/** One pass over a kernel: applies a comparison stage by stage, and lets nothing rest on what was refused. */
import { AgentError } from "../core/errors.ts";
import type { BlockedRoute, Comparison, NamedChange } from "./difference.ts";
import {
  fdbIdentity,
  isCompatible,
  linkIdentity,
  neighbourIdentity,
  nexthopIdentity,
} from "./identity.ts";
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
  mayTry(identity: string, change: Change): boolean;
  /** Whether an identity beyond the comparison is wished, and the kernel does not hold it; undefined where nothing of the kind is known. */
  readonly isMissing: ((identity: string) => boolean) | undefined;
  /** Identities that something beyond the comparison rests on. */
  readonly needed: ReadonlySet<string>;
  /** Called between batches. */
  breathe(): Promise<void>;
}

export class Pass implements ReconcileReport {
  readonly changes: Change[] = [];
  /** The same, with what they are about. */
  readonly done: NamedChange[] = [];
  readonly failures: ReconcileFailure[] = [];
  readonly held: Change[] = [];
  /** What was refused before and is not due yet. */
  readonly waiting: Change[] = [];
  readonly #kernel: Kernel;
  readonly #rules: PassRules;
  readonly #actual: Comparison["actual"];
  /** Identities the kernel does not hold as wished. */
  readonly #missing = new Set<string>();
  /** Identities that something which stays in the kernel rests on. */
  readonly #needed = new Set<string>();

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

  async #apply(batch: readonly NamedChange[]): Promise<void> {
    const sent = this.#sift(batch);
    if (sent.length === 0) return;
    const changes: Change[] = [];
    for (const { change } of sent) changes.push(change);
    const results = await this.#kernel.apply(changes);
    for (let index = 0; index < sent.length; index++) {
      const named = sent[index];
      if (named !== undefined) this.#conclude(named, results[index]?.error);
    }
  }

  #conclude(named: NamedChange, error: Error | undefined): void {
    const { change } = named;
    if (error === undefined) {
      this.done.push(named);
      this.changes.push(change);
    } else {
      this.failures.push({ change, error });
      this.#leave(named);
    }
  }

  /** Puts aside what must wait; as a rule nothing. */
  #sift(batch: readonly NamedChange[]): readonly NamedChange[] {
    const resting = new Set<string>();
    const untried = new Set<string>();
    for (const { identity, change } of batch)
      if (this.#mustWait(identity, change)) resting.add(identity);
      else if (!this.#rules.mayTry(identity, change)) untried.add(identity);
    if (resting.size === 0 && untried.size === 0) return batch;
    return batch.filter((named) => {
      // The removal and the put of one object are an exchange: both or neither.
      if (resting.has(named.identity)) this.held.push(named.change);
      else if (untried.has(named.identity)) this.waiting.push(named.change);
      else return true;
      this.#leave(named);
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

  #mustWait(identity: string, { action, object }: Change): boolean {
    const { isMissing, needed } = this.#rules;
    if (action === "remove") return this.#needed.has(identity) || needed.has(identity);
    if (this.#missing.size === 0 && isMissing === undefined) return false;
    return restsOn(object).some((one) => this.#missing.has(one) || isMissing?.(one) === true);
  }

  /** Remembers that the kernel keeps what it had in place of this change. */
  #leave({ identity, change: { action, object } }: NamedChange): void {
    const left = this.#actual.get(identity) ?? [];
    for (const old of left) for (const one of restsOn(old)) this.#needed.add(one);
    // A device that could not be adjusted still carries packets.
    const works = left.some(
      (old) => old.kind === "link" && object.kind === "link" && isCompatible(old, object),
    );
    if (action === "put" && !works) this.#missing.add(identity);
  }
}

/** Cut so that the changes of one object stay together. */
function* batches(stage: readonly NamedChange[]): Generator<readonly NamedChange[]> {
  for (let start = 0; start < stage.length;) {
    let end = Math.min(start + BATCH_CHANGES, stage.length);
    while (end < stage.length && stage[end]?.identity === stage[end - 1]?.identity) end++;
    yield stage.slice(start, end);
    start = end;
  }
}

/** What an object is useless without. */
export function restsOn(object: KernelObject): readonly string[] {
  switch (object.kind) {
    case "link":
    case "blackhole":
    case "sysctl":
      return [];
    case "address":
    case "fdb":
      return [linkIdentity(object.link)];
    case "neighbour":
      return [linkIdentity(object.link), fdbIdentity(object.link, object.mac)];
    case "nexthop":
      return [linkIdentity(object.link)];
    case "route": {
      const below = [linkIdentity(object.link)];
      if (object.gateway !== undefined) below.push(neighbourIdentity(object.link, object.gateway));
      if (object.nexthop !== undefined) below.push(nexthopIdentity(object.nexthop));
      return below;
    }
  }
}
