import type { Scenario } from "lab/scenario";

export const peerChangesUnheard: Scenario = {
  name: "peer-changes-unheard",
  why: "who could not hear the store while a peer was renumbered, and whose history of it is gone, finds the change in its new list only: flannel compares the subnets in it, and keeps the old address for good (pkg/lease/lease.go, LeaseWatcher.Reset)",
  invariants: ["C3", "C5", "D1"],
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
    { fault: "compact-often", every: "50ms" },
    { fault: "partition", node: 1, from: "peers", forMs: 5_000 },
    { fault: "reset-connections", node: 1, forMs: 5_000 },
    { fault: "change-address", node: 3 },
    // Not before it can hear the store again, and then from its list.
    { expect: "pods-reach-each-other", withinMs: 20_000 },
    { expect: "kernel-equals-leases", withinMs: 2_000 },
    { expect: "subnets-are-kept", withinMs: 1_000 },
  ],
};
