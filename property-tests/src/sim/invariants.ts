/** What must hold in every world, by the ids of the invariants. */
/** The statement of each id as it is checked here. "compat" and "strict" say which reading was chosen where there are two. */
export const INVARIANTS = {
  A1: "a key that an agent makes overlaps no other live key, in either family",
  A2: "a subnet that an agent takes fits the configuration it had read",
  A3: "no node owns two keys, but for keys an operator wrote",
  A4: "while a key lives, no agent changes its owner",
  A5: "a key is made on condition that it is absent and that nothing under the prefix was written since the read",
  A7: "an agent says out of subnets only when there was none free at some moment of the call",
  A8: "nodes that start at once in a healthy world are all ready within 5 s, as far as there are subnets",
  A9: "a reservation is never rewritten with a lease, nor for another node",
  A10: "a start with an own fitting lease in the store keeps that subnet",
  A11: "an agent that takes another subnet gives up its old keys in the same transaction, but for reservations",
  A13: "keys and values that are no leases change nothing for the others (checked when all is quiet)",
  B1: "a connected node is not ready for longer than 2 s after it lost its key",
  "B3'":
    "no agent writes, deletes or revokes a key of another owner (compat: nodes forward without a lease, as the reference does)",
  B4: "a wall clock that jumped makes no agent send more than 60 requests a minute, nor let its lease run out",
  B5: "the lease of a node that reaches the store never runs out",
  B6: "what an agent writes after it was paused is on condition that its key is as it knew it",
  B7: "nothing spins: no 20,000 events at one moment of virtual time",
  B8: "an agent holds at most 2 etcd leases that it knows of; in a quiet world each holds a key (compat: a lease whose grant was never answered runs out)",
  B9: "no revoke removes the key that the node's agent claims",
  B10: "a lease that is revoked early is taken again within 5 s",
  C1: "the peers an agent knows are those of some revision, never of an older one than before, with every attribute",
  C2: "in a quiet world every agent knows the newest revision",
  C3: "in a quiet world that was compacted every agent knows the newest revision",
  C5: "in a quiet world every agent knows the newest attributes, also after relists",
  C6: "the own lease is never a peer",
  C7: "what an agent knows after it lost the store is still the peers of some revision, never none for an error",
  C9: "in a quiet world that was restored from a backup every agent knows what it holds",
  D1: "in a quiet world every kernel holds exactly what the leases call for",
  D2: "no agent touches an object that is not its own",
  D4: "2 s after a lease changed, the kernel of every node that nothing hinders holds what the leases of that moment or a later one call for",
  D7: "in a quiet world what every kernel does with packets for a peer's subnet leads them to its owner, without a loop",
  D8: "in a quiet world subnet.env and the tunnel devices have the MTU of the external interface less what encapsulation takes",
  D9: "no object for the own subnet is put",
  D10: "5 s after a tunnel device was deleted it is back with its MAC and all peers",
  D11: "1 s after an own object was deleted or altered all are right again, 10 s where the kernel's event was lost",
  E2: "subnet.env names the leased subnet and is written after the lease and before ready",
  E5: "while the store is down an agent sends at most 360 requests and writes at most 10 lines a minute, and after it at most 20 requests in 10 s",
} as const;

export type InvariantId = keyof typeof INVARIANTS;

export interface Violation {
  readonly id: InvariantId;
  readonly atMs: number;
  readonly detail: string;
  /** The last lines of what happened before. */
  readonly trace: readonly string[];
}
