/** Faults of the network between nodes, and between them and the store. */
import type { FaultWords } from "./fault-word.ts";

const NO_PACKETS = "no packets travel between the machines of a simulated world";

const NO_MEMBERS = "all nodes talk to one server of the store here";

export const NETWORK_WORDS: FaultWords<
  | "partition"
  | "partition-pair"
  | "partition-ring"
  | "black-hole"
  | "reset-connections"
  | "loss"
  | "duplicate"
  | "reorder"
  | "corrupt"
  | "delay"
  | "jitter"
  | "rate"
  | "stop-store"
  | "pause-store"
  | "stop-member"
  | "pause-member"
  | "isolate-member"
  | "lose-quorum"
> = {
  partition: {
    whyNot: ({ from = "all", direction = "both" }) =>
      from === "store" && direction === "both"
        ? undefined
        : `from ${from}, ${direction}: only the store, in both directions, can be cut off`,
    strike: (ground, { node }) => ground.obstruct("silent", [ground.machine(node)]),
  },
  "reset-connections": {
    strike: (ground, { node }) => ground.obstruct("refused", [ground.machine(node)]),
  },
  "stop-store": { strike: (ground) => ground.obstruct("refused", ground.world.nodes) },
  "pause-store": { strike: (ground) => ground.obstruct("silent", ground.world.nodes) },
  "partition-pair": NO_PACKETS,
  "partition-ring": NO_PACKETS,
  "black-hole": NO_PACKETS,
  loss: NO_PACKETS,
  duplicate: NO_PACKETS,
  reorder: NO_PACKETS,
  corrupt: NO_PACKETS,
  delay: NO_PACKETS,
  jitter: NO_PACKETS,
  rate: NO_PACKETS,
  "stop-member": NO_MEMBERS,
  "pause-member": NO_MEMBERS,
  "isolate-member": NO_MEMBERS,
  "lose-quorum": NO_MEMBERS,
};
