/**
 * How soon kernels are right after something changed: the leases (invariant D4), or, behind the agent's back, the kernel itself (D10 and D11).
 * Right is what expected-kernel.ts says. A kernel is looked at when the time is over, and once for all that happened until then.
 */
import type { AgentProcess, Drift, SimNode, World } from "./actors.ts";
import { type KernelTexts, kernelTextsNow } from "./expected-kernel.ts";
import type { InvariantId } from "./invariants.ts";
import { storedOf } from "./lease-facts.ts";
import type { StoreHistory } from "./store-history.ts";

const PROGRAMMED_MS = 2_000;
/** What a node learns of the store this soon after a fault may be old: a restored backup is noticed within this time (invariant C9). */
const RECOVERED_MS = 10_000;
/** By the store's time, of an agent whose clock is as slow as the fault `drift` makes it. */
const SLOWEST_CLOCK = 0.99;
const SWEPT_MS = 10_000 / SLOWEST_CLOCK;

/** What must be so how long after a drift; the MTU is looked at when all is quiet. */
const REPAIRED: Readonly<
  Record<Exclude<Drift, "card">, { readonly id: InvariantId; readonly withinMs: number }>
> = {
  device: { id: "D10", withinMs: 5_000 },
  object: { id: "D11", withinMs: 1_000 },
  "unheard object": { id: "D11", withinMs: SWEPT_MS },
};

export interface DataPlaneParts {
  readonly world: Pick<World, "time"> & { readonly nodes: readonly SimNode[] };
  readonly history: StoreHistory;
  check(id: InvariantId, holds: boolean, detail: () => string): void;
  /** The number of the newest live set that what the agent knows was found to match. */
  matchedBy(process: AgentProcess): number;
  /** Whether nothing keeps a node from hearing what is new in the store. */
  hearsFreely(node: SimNode): boolean;
}

/** The last thing that somebody else did to a kernel. */
interface LastDrift {
  readonly atMs: number;
}

const NEVER: LastDrift = { atMs: Number.NEGATIVE_INFINITY };

export class DataPlaneChecks {
  readonly #parts: DataPlaneParts;
  /** Per agent the number of the newest live set that its kernel was found right for. */
  readonly #programmed = new WeakMap<AgentProcess, number>();
  readonly #drifts = new WeakMap<SimNode, LastDrift>();

  constructor(parts: DataPlaneParts) {
    this.#parts = parts;
  }

  /** The store holds another live set than before. */
  leasesChanged(): void {
    const { world, history } = this.#parts;
    const { time, nodes } = world;
    const [changedMs, number] = [time.nowMs, history.newest];
    const agents = nodes.flatMap(({ agent }) =>
      agent !== undefined && this.#isUndisturbed(agent, changedMs) ? [agent] : [],
    );
    if (agents.length === 0) return;
    time.after(PROGRAMMED_MS, () => {
      for (const agent of agents)
        if (this.#isUndisturbed(agent, changedMs)) this.#checkProgrammed(agent, number);
    });
  }

  #isUndisturbed(agent: AgentProcess, sinceMs: number): boolean {
    const { node } = agent;
    return (
      node.agent === agent &&
      agent.running &&
      agent.ready &&
      !agent.paused &&
      node.troubledAtMs <= Math.max(0, sinceMs - RECOVERED_MS) &&
      this.#lastDrift(node).atMs <= sinceMs - SWEPT_MS &&
      this.#parts.hearsFreely(node)
    );
  }

  #lastDrift(node: SimNode): LastDrift {
    return this.#drifts.get(node) ?? NEVER;
  }

  /** Changes that follow each other closely are found programmed all at once. */
  #checkProgrammed(agent: AgentProcess, number: number): void {
    const { history } = this.#parts;
    let isRight = (this.#programmed.get(agent) ?? -1) >= number;
    let wrong: KernelTexts | undefined;
    if (!isRight) {
      // It has lost its lease, and with it what its peers call for.
      if (this.#texts(agent, history.newest) === undefined) return;
      const found = this.#compareSince(agent, number);
      isRight = found.rightFor !== undefined;
      ({ wrong } = found);
      if (found.rightFor !== undefined) this.#programmed.set(agent, found.rightFor);
    }
    const detail = (): string => detailOf(agent, "2 s after the leases changed", wrong);
    this.#parts.check("D4", isRight, detail);
  }

  /**
   * The newest live set, not before that of this number, that the kernel is right for; without one, what it holds instead of what the
   * newest calls for. Neither where no live set can say what is right for the agent.
   */
  #compareSince(
    agent: AgentProcess,
    number: number,
  ): { readonly rightFor?: number; readonly wrong?: KernelTexts } {
    let wrong: KernelTexts | undefined;
    for (let at = this.#parts.history.newest; at >= number; at--) {
      const texts = this.#texts(agent, at);
      if (texts === undefined) continue;
      if (texts.wanted === texts.actual) return { rightFor: at };
      wrong ??= texts;
    }
    return wrong === undefined ? {} : { wrong };
  }

  #texts(agent: AgentProcess, number: number): KernelTexts | undefined {
    const live = this.#parts.history.at(number);
    return live === undefined ? undefined : kernelTextsNow(agent, storedOf(live));
  }

  /** Repairing needs no store: what an agent knows of its peers is what its kernel must hold. */
  drifted(node: SimNode, drift: Drift): void {
    const { time } = this.#parts.world;
    const last: LastDrift = { atMs: time.nowMs };
    this.#drifts.set(node, last);
    const { agent } = node;
    if (drift === "card" || agent?.running !== true || !agent.ready || agent.paused) return;
    if (drift === "device" && agent.config?.backendType !== "vxlan") return;
    const { id, withinMs } = REPAIRED[drift];
    const { pauses } = agent;
    time.after(withinMs, () => {
      // What befell the kernel since then has a time of its own.
      const isOther = node.agent !== agent || this.#lastDrift(node) !== last;
      if (isOther || !agent.running || agent.pauses !== pauses) return;
      this.#checkRepaired(agent, id, `${Math.round(withinMs)} ms after the ${drift} was changed`);
    });
  }

  /** What an agent knows may be old: its kernel is right when it is so for any live set since. */
  #checkRepaired(agent: AgentProcess, id: InvariantId, when: string): void {
    const { rightFor, wrong } = this.#compareSince(agent, this.#parts.matchedBy(agent));
    if (rightFor === undefined && wrong === undefined) return;
    this.#parts.check(id, rightFor !== undefined, () => detailOf(agent, when, wrong));
  }
}

/** Only the lines that differ: kernels are long. */
function detailOf({ node }: AgentProcess, when: string, texts: KernelTexts | undefined): string {
  const [wanted, actual] = [texts?.wanted ?? "", texts?.actual ?? ""].map((text) =>
    text.split("\n"),
  );
  const missing = wanted?.filter((line) => actual?.includes(line) !== true) ?? [];
  const extra = actual?.filter((line) => wanted?.includes(line) !== true) ?? [];
  return `${node.name} ${when} lacks\n${missing.join("\n")}\nand has besides\n${extra.join("\n")}`;
}
