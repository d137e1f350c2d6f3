/** Makes a kernel match a wish: dump what the scope covers, take the difference, apply it stage by stage. */
import { AgentError } from "../core/errors.ts";
import { compare, groupByIdentity } from "./difference.ts";
import type { BlockedRoute, DesiredState } from "./difference.ts";
import {
  fdbIdentity,
  identityOf,
  isCompatible,
  linkIdentity,
  neighbourIdentity,
} from "./identity.ts";
import type { Change, Kernel, KernelObject } from "./kernel.ts";
import { printObject } from "./print.ts";

export { difference } from "./difference.ts";
export { isCompatible } from "./identity.ts";
export type { DesiredState } from "./difference.ts";

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

/**
 * One dump, one batch for each stage of the difference. What is refused or held comes again in the next pass; a peer whose neighbour or
 * FDB entry is refused gets no route, and keeps the whole of what it had (invariant D12). A neighbour and FDB entry whose
 * route was refused stay: they carry no packets, and taking them back would make kernel events that call for the next pass.
 * @throws AgentError "kernel-refused" when nothing could be read or sent
 */
export async function reconcile(kernel: Kernel, desired: DesiredState): Promise<ReconcileReport> {
  const actual = await kernel.dump(desired.scope);
  const { stages, blocked } = compare(actual, desired);
  const pass = new Pass(kernel, actual);
  for (const route of blocked) pass.block(route);
  for (const stage of stages) await pass.apply(stage);
  return { changes: pass.changes, failures: pass.failures, held: pass.held };
}

class Pass {
  readonly changes: Change[] = [];
  readonly failures: ReconcileFailure[] = [];
  readonly held: Change[] = [];
  readonly #kernel: Kernel;
  readonly #actual: ReadonlyMap<string, readonly KernelObject[]>;
  /** Identities the kernel does not hold as wished. */
  readonly #missing = new Set<string>();
  /** Identities that something which stays in the kernel rests on. */
  readonly #needed = new Set<string>();

  constructor(kernel: Kernel, actual: readonly KernelObject[]) {
    this.#kernel = kernel;
    this.#actual = groupByIdentity(actual);
  }

  async apply(stage: readonly Change[]): Promise<void> {
    const waiting = new Set(
      stage.filter((change) => this.#mustWait(change)).map(({ object }) => identityOf(object)),
    );
    // The removal and the put of one object are an exchange: both or neither.
    const batch = stage.filter(({ object }) => !waiting.has(identityOf(object)));
    for (const change of stage)
      if (waiting.has(identityOf(change.object))) {
        this.held.push(change);
        this.#leave(change);
      }
    if (batch.length === 0) return;
    for (const { change, error } of await this.#kernel.apply(batch))
      if (error === undefined) this.changes.push(change);
      else {
        this.failures.push({ change, error });
        this.#leave(change);
      }
  }

  block({ wanted, obstacle }: BlockedRoute): void {
    const error = new AgentError(
      "kernel-refused",
      `cannot put ${printObject(wanted)}: the kernel's own ${printObject(obstacle)} stands there; remove the address that makes it`,
      { retryable: true },
    );
    this.failures.push({ change: { action: "put", object: wanted }, error });
  }

  #mustWait(change: Change): boolean {
    return change.action === "put"
      ? restsOn(change.object).some((identity) => this.#missing.has(identity))
      : this.#needed.has(identityOf(change.object));
  }

  /** Remembers that the kernel keeps what it had in place of this change. */
  #leave({ action, object }: Change): void {
    const left = this.#actual.get(identityOf(object)) ?? [];
    for (const old of left) for (const identity of restsOn(old)) this.#needed.add(identity);
    // A device that could not be adjusted still carries packets.
    const works = left.some(
      (old) => old.kind === "link" && object.kind === "link" && isCompatible(old, object),
    );
    if (action === "put" && !works) this.#missing.add(identityOf(object));
  }
}

/** What an object is useless without. */
function restsOn(object: KernelObject): readonly string[] {
  switch (object.kind) {
    case "link":
    case "sysctl":
      return [];
    case "address":
    case "fdb":
      return [linkIdentity(object.link)];
    case "neighbour":
      return [linkIdentity(object.link), fdbIdentity(object.link, object.mac)];
    case "route":
      return object.gateway === undefined
        ? [linkIdentity(object.link)]
        : [linkIdentity(object.link), neighbourIdentity(object.link, object.gateway)];
  }
}
