import type { Scenario } from "lab/scenario";

export const directRoutingFollowsRoutes: Scenario = {
  name: "direct-routing-follows-routes",
  why: "flannel decides once whether a peer is routed to directly, and forgets what it installed when that changes (vxlan_network.go)",
  invariants: ["D1", "D11"],
  nodes: 3,
  variants: [
    { backend: "vxlan", family: "dual", segments: 2, backendOptions: { DirectRouting: true } },
    {
      backend: "vxlan",
      family: "v4",
      segments: 2,
      backendOptions: { DirectRouting: true },
      runs: "on-request",
    },
  ],
  steps: [
    { expect: "pods-reach-each-other", withinMs: 10_000 },
    { expect: "kernel-equals-leases", withinMs: 2_000 },
    // n3 is on the segment of n1: routed to directly, until its address is behind the router.
    { fault: "detour", node: 1, peer: 3 },
    { expect: "repaired", withinMs: 1_000 },
    { expect: "pods-reach-each-other", withinMs: 5_000 },
    { act: "heal" },
    { expect: "kernel-equals-leases", withinMs: 1_000 },
    { fault: "flush-routes", node: 1 },
    { expect: "repaired", withinMs: 1_000 },
    { expect: "pods-reach-each-other", withinMs: 5_000 },
  ],
};
