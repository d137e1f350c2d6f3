import type { Scenario } from "lab/scenario";

export const vxlanObjectsComeBack: Scenario = {
  name: "vxlan-objects-come-back",
  why: "flannel acts on events of leases only: what else is deleted or overwritten stays so until a restart (flannel issues 1330, 1788)",
  invariants: ["D1", "D11"],
  nodes: 3,
  variants: [
    { backend: "vxlan", family: "dual", segments: 1 },
    { backend: "vxlan", family: "v4", segments: 1, runs: "on-request" },
  ],
  steps: [
    { expect: "pods-reach-each-other", withinMs: 10_000 },
    { expect: "kernel-equals-leases", withinMs: 2_000 },
    { fault: "delete-route", node: 1, peer: 2 },
    { expect: "repaired", withinMs: 1_000 },
    { fault: "delete-neighbour", node: 1, peer: 2 },
    { expect: "repaired", withinMs: 1_000 },
    { fault: "delete-fdb", node: 1, peer: 2 },
    { expect: "repaired", withinMs: 1_000 },
    { fault: "alter-route", node: 1, peer: 3 },
    { expect: "repaired", withinMs: 1_000 },
    { fault: "alter-neighbour", node: 1, peer: 3 },
    { expect: "repaired", withinMs: 1_000 },
    { fault: "alter-fdb", node: 1, peer: 3 },
    { expect: "repaired", withinMs: 1_000 },
    { fault: "flush-routes", node: 2 },
    { expect: "repaired", withinMs: 1_000 },
    { expect: "pods-reach-each-other", withinMs: 5_000 },
  ],
};
