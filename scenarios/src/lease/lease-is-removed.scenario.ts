import type { Scenario } from "lab/scenario";

export const leaseIsRemoved: Scenario = {
  name: "lease-is-removed",
  why: "an operator or a stuck leader takes a lease away too early: its node takes the same subnet again before pods notice much",
  invariants: ["A4", "A10", "B1", "B10", "D1", "D5"],
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
    { fault: "delete-lease", node: 3 },
    { expect: "subnets-are-kept", withinMs: 5_000 },
    { fault: "expire-lease", node: 3 },
    { expect: "subnets-are-kept", withinMs: 5_000 },
    { expect: "kernel-equals-leases", withinMs: 1_000 },
    { probe: "stop", packets: 4_000 },
    { expect: "no-packet-lost", withinMs: 0 },
    { expect: "pods-reach-each-other", withinMs: 5_000 },
  ],
};
