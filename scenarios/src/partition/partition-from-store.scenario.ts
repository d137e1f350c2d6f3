import type { Scenario } from "lab/scenario";

export const partitionFromStore: Scenario = {
  name: "partition-from-store",
  why: "a node that hears nothing of its store must go on with what it knows, and catch up afterwards, whichever direction is lost",
  invariants: ["A10", "B5", "C2", "D1", "D5"],
  nodes: 3,
  variants: [
    { backend: "vxlan", family: "dual", segments: 1, runs: "on-request" },
    { backend: "vxlan", family: "v4", segments: 1, runs: "on-request" },
    { backend: "host-gw", family: "dual", segments: 1, runs: "on-request" },
    { backend: "host-gw", family: "v4", segments: 1, runs: "on-request" },
  ],
  steps: [
    { expect: "pods-reach-each-other", withinMs: 10_000 },
    { act: "remember-subnets" },
    { probe: "start", from: 1, to: 2 },
    { fault: "partition", node: 1, from: "store" },
    { act: "add-node" },
    { act: "heal" },
    { expect: "kernel-equals-leases", withinMs: 30_000 },
    // What it asks arrives, what it is told does not.
    { fault: "partition", node: 1, from: "store", direction: "in" },
    { act: "remove-node", node: 4 },
    { act: "heal" },
    { expect: "kernel-equals-leases", withinMs: 30_000 },
    { expect: "subnets-are-kept", withinMs: 1_000 },
    { probe: "stop", packets: 4_000 },
    { expect: "no-packet-lost", withinMs: 0 },
    { expect: "pods-reach-each-other", withinMs: 5_000 },
  ],
};
