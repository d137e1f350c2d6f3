import type { Scenario } from "lab/scenario";

export const leaseExpiresInPartition: Scenario = {
  name: "lease-expires-in-partition",
  why: "a node that is cut off loses its lease: it may not write over what others made of it, and takes the same subnet again if that is free",
  invariants: ["A3", "A4", "B1", "B3'", "D1"],
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
    { fault: "partition", node: 1, from: "store" },
    // Before the subnet is free: it could take that one.
    { act: "add-node" },
    { fault: "expire-lease", node: 1 },
    { act: "heal" },
    { expect: "subnets-are-kept", withinMs: 30_000 },
    { expect: "kernel-equals-leases", withinMs: 5_000 },
    { expect: "pods-reach-each-other", withinMs: 5_000 },
  ],
};
