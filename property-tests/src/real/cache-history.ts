/** Whether what a node was shown is what the store held, never going back (invariant C1). */
import { FAMILIES } from "agent/core/ip.ts";
import type { Lease } from "agent/core/lease.ts";
import type { KeyValue } from "agent/subnet-manager/etcd/key-value-store.ts";
import { readStored } from "../sim/stored.ts";

/**
 * The first set of peers that the store did not hold at any revision since that of the set before, or the last one if it is not
 * what the store holds now; undefined when there is none. A slow reader may miss states, so each set is looked for from
 * where the one before was found.
 */
export function firstUnheld(
  publicIp: string,
  shown: readonly (readonly Lease[])[],
  states: readonly ReadonlyMap<string, KeyValue>[],
): string | undefined {
  const held = states.map((live) => heldPeers(publicIp, live));
  let at = 0;
  for (const peers of shown) {
    const text = shownPeers(peers);
    const found = held.indexOf(text, at);
    if (found < 0) return text;
    at = found;
  }
  const last = shownPeers(shown.at(-1) ?? []);
  return held.at(-1) === last ? undefined : last;
}

function heldPeers(publicIp: string, live: ReadonlyMap<string, KeyValue>): string {
  const peers = [...live.values()].flatMap((entry) => {
    const stored = readStored(entry);
    if (stored === undefined || stored.owner === publicIp) return [];
    return [`${stored.blocks.map(({ text }) => text).join(" ")} ${stored.owner}`];
  });
  return peers.toSorted().join("\n");
}

function shownPeers(peers: readonly Lease[]): string {
  return peers
    .map(({ subnets, publicIps }) => {
      const texts = FAMILIES.flatMap((family) => subnets[family] ?? []);
      return `${texts.join(" ")} ${publicIps[4]}`;
    })
    .toSorted()
    .join("\n");
}
