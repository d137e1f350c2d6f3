/** What is looked at when all is quiet: no fault is on, and nothing has happened for as long as a renewal takes. */
import { SUBNETS, type SimNode } from "./actors.ts";
import type { Checks } from "./checks.ts";
import { foreignLines, kernelTexts } from "./expected-kernel.ts";
import { Forwarding } from "./forwarding.ts";
import { checkMtu, checkWays } from "./quiet-data-plane.ts";
import type { SimWorld } from "./world.ts";

/** A renewal grants, puts and revokes: with a slow network each may take some seconds. */
export const RENEWAL_MS = 20_000;
const RESTORES = ["restore", "restore-snapshot", "restore-snapshot-same-name"];

export class QuietChecks {
  readonly #world: SimWorld;
  readonly #checks: Checks;
  readonly #hit: { has(kind: string): boolean };

  /** `hit`: which faults there were so far. */
  constructor(world: SimWorld, checks: Checks, hit: { has(kind: string): boolean }) {
    this.#world = world;
    this.#checks = checks;
    this.#hit = hit;
  }

  /** Lets `RENEWAL_MS` pass and looks. `nodes` are all that are in the world, `checked` those of them whose agents should be well. */
  async look(nodes: readonly SimNode[], checked: readonly SimNode[] = nodes): Promise<void> {
    const before = new Map(checked.map((node) => [node, this.#unattached(node)]));
    await this.#world.time.pass(RENEWAL_MS);
    const forwarding = new Forwarding(nodes);
    for (const node of checked) this.#checkQuiet(node, before.get(node) ?? [], forwarding);
  }

  /** A node that found no free subnet is started again and again until there is one. */
  isExhausted(node: SimNode): boolean {
    const { outcome, lease } = node.agent ?? {};
    if (lease !== undefined || node.agent === undefined) return false;
    // Started again, and about to find out the same.
    if (node.agent.running && this.#checks.isFullFor(node.agent)) return true;
    const error = outcome !== undefined && "error" in outcome ? outcome.error : undefined;
    return error?.message.startsWith("out of subnets") === true;
  }

  /** The etcd leases that an agent holds and no key has. */
  #unattached({ agent }: SimNode): readonly string[] {
    if (agent === undefined) return [];
    const live = this.#checks.leases();
    return this.#checks
      .aliveGrants(agent)
      .filter((leaseId) => !live.some(({ entry }) => entry.leaseId === leaseId));
  }

  /** `unattachedBefore`: what `#unattached` said so long ago that a renewal under way then is over. */
  #checkQuiet(node: SimNode, unattachedBefore: readonly string[], forwarding: Forwarding): void {
    const { agent, name } = node;
    if (agent === undefined || this.isExhausted(node)) return;
    const live = this.#checks.leases();
    const own = live.find(({ owner }) => owner === node.publicIp);
    const { config, lease } = agent;
    this.#checks.check(
      "B5",
      agent.ready && own !== undefined && own.blocks[0]?.text === lease?.subnets[4],
      () =>
        `${name} is ${agent.ready ? "" : "not "}ready with ${lease?.subnets[4]} while the store has ${own?.entry.key}`,
    );
    const unattached = this.#unattached(node).filter((id) => unattachedBefore.includes(id));
    this.#checks.check(
      "B8",
      unattached.length === 0,
      () => `${name} keeps leases without a key: ${unattached.join(" ")}`,
    );
    this.#checkPeers(node);
    if (config === undefined || own === undefined) return;
    checkMtu(this.#checks, node, config);
    checkWays(this.#checks, node, { config, live, forwarding });
    const printed = node.kernel.print();
    const { wanted, actual } = kernelTexts(node, config, { live, printed });
    this.#checks.check(
      "D1",
      wanted === actual,
      () => `${name} has\n${actual}\ninstead of\n${wanted}`,
    );
    const strangers =
      live.some(({ owner }) => owner === undefined) || this.#hasNonsenseKeys(live.length);
    if (strangers)
      this.#checks.check(
        "A13",
        wanted === actual && agent.ready,
        () => `${name} suffers from nonsense in the store`,
      );
    const foreign = foreignLines(printed).join("\n");
    this.#checks.check(
      "D2",
      foreign === node.foreign,
      () => `${name} has, of what is not flannel's,\n${foreign}\ninstead of\n${node.foreign}`,
    );
  }

  #hasNonsenseKeys(readable: number): boolean {
    return this.#world.database.range({ prefix: SUBNETS }).entries.length > readable;
  }

  #checkPeers(node: SimNode): void {
    const { known, wanted } = this.#checks.peersOf(node);
    const detail = (): string => `${node.name} knows\n${known}\ninstead of\n${wanted}`;
    this.#checks.check("C2", known === wanted, detail);
    this.#checks.check("C5", known === wanted, detail);
    if (this.#hit.has("compact")) this.#checks.check("C3", known === wanted, detail);
    if (RESTORES.some((kind) => this.#hit.has(kind)))
      this.#checks.check("C9", known === wanted, detail);
  }
}
