import type { Scenario } from "lab/scenario";

export const addressesAreSwapped: Scenario = {
  name: "addresses-are-swapped",
  why: "two nodes that exchange their public addresses each find the new one in the lease of the other: who waits for the other waits for ever",
  invariants: ["A3", "A4", "B3'", "D1"],
  nodes: 3,
  variants: [
    { backend: "vxlan", family: "dual", segments: 1 },
    { backend: "vxlan", family: "v4", segments: 1, runs: "on-request" },
    { backend: "host-gw", family: "dual", segments: 1, runs: "on-request" },
    { backend: "host-gw", family: "v4", segments: 1, runs: "on-request" },
  ],
  steps: [
    { expect: "pods-reach-each-other", withinMs: 10_000 },
    { act: "remember-subnets" },
    { fault: "swap-addresses", node: 1, peer: 2 },
    { expect: "kernel-equals-leases", withinMs: 15_000 },
    { expect: "pods-reach-each-other", withinMs: 5_000 },
    { expect: "subnets-are-kept", withinMs: 1_000 },
    { act: "heal" },
    { expect: "kernel-equals-leases", withinMs: 15_000 },
    { expect: "pods-reach-each-other", withinMs: 5_000 },
    { expect: "subnets-are-kept", withinMs: 1_000 },
  ],
};
