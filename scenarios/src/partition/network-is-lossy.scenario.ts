import type { Scenario } from "lab/scenario";

export const networkIsLossy: Scenario = {
  name: "network-is-lossy",
  why: "where every third packet is lost, leases are still to be renewed and peers to be heard of: a retry that gives up too early does harm",
  invariants: ["A10", "B5", "C2", "D1"],
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
    { fault: "loss", node: 1, percent: 30 },
    { fault: "loss", node: 2, percent: 30, direction: "in" },
    { act: "add-node" },
    { expect: "kernel-equals-leases", withinMs: 20_000 },
    { act: "remove-node", node: 4 },
    { expect: "kernel-equals-leases", withinMs: 20_000 },
    { act: "heal" },
    { expect: "subnets-are-kept", withinMs: 1_000 },
    { expect: "pods-reach-each-other", withinMs: 5_000 },
  ],
};
