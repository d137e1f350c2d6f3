import type { Scenario } from "lab/scenario";

export const subnetIsReserved: Scenario = {
  name: "subnet-is-reserved",
  why: "an operator keeps a subnet for a node by a key that never runs out: flannel puts it on a lease of 24 hours at its next start, and the reservation is gone",
  invariants: ["A9", "A10", "B10", "D1", "D5"],
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
    { fault: "reserve-lease", node: 1 },
    { fault: "kill-agent", node: 1 },
    { act: "start-agent", node: 1 },
    { expect: "kernel-equals-leases", withinMs: 5_000 },
    { expect: "subnets-are-kept", withinMs: 5_000 },
    { probe: "stop", packets: 2_000 },
    { expect: "no-packet-lost", withinMs: 0 },
    // The operator takes it back: the node has to take the same subnet as any other does.
    { act: "heal" },
    { expect: "subnets-are-kept", withinMs: 5_000 },
    { expect: "kernel-equals-leases", withinMs: 5_000 },
    { expect: "pods-reach-each-other", withinMs: 5_000 },
  ],
};
