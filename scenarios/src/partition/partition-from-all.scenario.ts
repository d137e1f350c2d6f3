import type { Scenario } from "lab/scenario";

export const partitionFromAll: Scenario = {
  name: "partition-from-all",
  why: "a node that is cut off, and nodes that see only their neighbours, must be whole again as soon as the network is",
  invariants: ["A10", "C2", "D1", "D5"],
  nodes: 4,
  variants: [
    { backend: "vxlan", family: "dual", segments: 1, runs: "on-request" },
    { backend: "vxlan", family: "v4", segments: 1, runs: "on-request" },
    { backend: "host-gw", family: "dual", segments: 1, runs: "on-request" },
    { backend: "host-gw", family: "v4", segments: 1, runs: "on-request" },
  ],
  steps: [
    { expect: "pods-reach-each-other", withinMs: 10_000 },
    { act: "remember-subnets" },
    { fault: "partition", node: 1 },
    { act: "add-node" },
    { act: "heal" },
    { expect: "kernel-equals-leases", withinMs: 30_000 },
    { expect: "pods-reach-each-other", withinMs: 10_000 },
    { fault: "partition-ring" },
    { fault: "delete-lease", node: 2 },
    { expect: "subnets-are-kept", withinMs: 5_000 },
    { expect: "kernel-equals-leases", withinMs: 2_000 },
    { act: "heal" },
    { expect: "pods-reach-each-other", withinMs: 10_000 },
  ],
};
