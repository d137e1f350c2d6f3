import type { Scenario } from "lab/scenario";

export const nodeJoinsAndLeaves: Scenario = {
  name: "node-joins-and-leaves",
  why: "flannel leaves routes, neighbours and FDB entries of nodes that vanished behind (flannel issues 2554, 1788)",
  invariants: ["A1", "C2", "D1", "D4"],
  nodes: 2,
  variants: [
    { backend: "vxlan", family: "v4", segments: 1 },
    { backend: "vxlan", family: "dual", segments: 2 },
    { backend: "host-gw", family: "v4", segments: 1 },
    { backend: "host-gw", family: "dual", segments: 1 },
  ],
  steps: [
    { expect: "pods-reach-each-other", withinMs: 10_000 },
    { act: "add-node" },
    { expect: "pods-reach-each-other", withinMs: 10_000 },
    { expect: "kernel-equals-leases", withinMs: 2_000 },
    { act: "remove-node", node: 1 },
    { expect: "kernel-equals-leases", withinMs: 2_000 },
    { expect: "pods-reach-each-other", withinMs: 5_000 },
    { act: "add-node" },
    { expect: "pods-reach-each-other", withinMs: 10_000 },
    { expect: "kernel-equals-leases", withinMs: 2_000 },
  ],
};
