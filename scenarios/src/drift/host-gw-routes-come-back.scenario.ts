import type { Scenario } from "lab/scenario";

export const hostGwRoutesComeBack: Scenario = {
  name: "host-gw-routes-come-back",
  why: "flannel looks at its host-gw routes every 10 s only, and not at what overwrote them (pkg/backend/route_network.go)",
  invariants: ["D1", "D11"],
  nodes: 3,
  variants: [
    { backend: "host-gw", family: "dual", segments: 1 },
    { backend: "host-gw", family: "v4", segments: 1, runs: "on-request" },
  ],
  steps: [
    { expect: "pods-reach-each-other", withinMs: 10_000 },
    { expect: "kernel-equals-leases", withinMs: 2_000 },
    { fault: "delete-route", node: 1, peer: 2 },
    { expect: "repaired", withinMs: 1_000 },
    { fault: "alter-route", node: 1, peer: 3 },
    { expect: "repaired", withinMs: 1_000 },
    { fault: "flush-routes", node: 2 },
    { expect: "repaired", withinMs: 1_000 },
    { expect: "pods-reach-each-other", withinMs: 5_000 },
  ],
};
