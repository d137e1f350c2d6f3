/** What was in the store at each of the last revisions, to tell which of them an agent speaks of. */
import type { Lease } from "agent/core/lease.ts";
import { type Live, keyOfLease, storedOf } from "./lease-facts.ts";
import type { SimNode } from "./actors.ts";

/** Live sets kept: more than change while one message is on its way or an agent is paused. */
const REMEMBERED = 300;

export class StoreHistory {
  #lives: Live[] = [new Map()];
  /** The number of the first one kept. */
  #first = 0;

  /** The number of the newest live set. */
  get newest(): number {
    return this.#first + this.#lives.length - 1;
  }

  /** Undefined for one that is forgotten. */
  at(number: number): Live | undefined {
    return this.#lives[number - this.#first];
  }

  /** Whether it says something new: a renewal changes nothing that an agent could speak of. */
  add(live: Live): boolean {
    if (isSaid(live, this.#lives.at(-1))) return false;
    this.#lives.push(live);
    if (this.#lives.length > REMEMBERED) {
      this.#lives.shift();
      this.#first++;
    }
    return true;
  }

  /**
   * The number of the oldest live set, not before `from`, in which the peers of a node are these; undefined when none. Of several
   * the oldest: what the agent speaks of next may be any of those after it.
   */
  find(known: string, node: SimNode, from: number): number | undefined {
    for (let index = Math.max(0, from - this.#first); index < this.#lives.length; index++) {
      const live = this.#lives[index];
      if (live !== undefined && peerSignatures(live, node) === known) return this.#first + index;
    }
    return undefined;
  }
}

/** Whether two live sets hold the same values under the same keys. */
function isSaid(live: Live, before: Live | undefined): boolean {
  return (
    before?.size === live.size &&
    [...live].every(([key, { value }]) => before.get(key)?.value === value)
  );
}

/** What the peers of a node are in a live set: everybody else, but for who has its key now. */
export function peerSignatures(live: Live, node: SimNode): string {
  const ownKey = node.agent === undefined ? undefined : keyOfLease(node.agent);
  return storedOf(live)
    .filter(
      ({ owner, entry }) => owner !== undefined && owner !== node.publicIp && entry.key !== ownKey,
    )
    .map(({ blocks, owner, value }) =>
      signature(
        blocks.map(({ text }) => text),
        [owner, value["PublicIPv6"] ?? undefined],
        [value["BackendData"], value["BackendV6Data"]],
      ),
    )
    .toSorted()
    .join("\n");
}

/** The same of what an agent knows. Who publishes no address is a peer that no backend can use. */
export function knownSignatures(peers: readonly Lease[]): string {
  return peers
    .filter((peer) => peer.publicIps[4] !== undefined)
    .map(({ subnets, publicIps, backendData }) =>
      signature(
        [subnets[4], subnets[6]].filter((subnet) => subnet !== undefined),
        [publicIps[4], publicIps[6]],
        [backendData[4], backendData[6]],
      ),
    )
    .toSorted()
    .join("\n");
}

function signature(
  subnets: readonly string[],
  publicIps: readonly unknown[],
  data: readonly unknown[],
): string {
  return `${subnets.join(" ")} ${publicIps.join(" ")} ${data.map((one) => JSON.stringify(one)).join(" ")}`;
}
