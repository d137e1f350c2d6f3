import type { Scenario } from "lab/scenario";

export const foreignOwnerTakesLease: Scenario = {
  name: "foreign-owner-takes-lease",
  why: "flannel writes over a lease that another node holds when it renews: both then use one subnet (flannel issues 1289, 1343, 1505)",
  invariants: ["A3", "A4", "B1", "B3'", "C5", "D1"],
  nodes: 3,
  variants: [
    { backend: "vxlan", family: "dual", segments: 1 },
    { backend: "vxlan", family: "v4", segments: 1, runs: "on-request" },
    { backend: "host-gw", family: "dual", segments: 1 },
    { backend: "host-gw", family: "v4", segments: 1, runs: "on-request" },
  ],
  steps: [
    { expect: "pods-reach-each-other", withinMs: 10_000 },
    { probe: "start", from: 2, to: 3 },
    { fault: "overwrite-lease", node: 1 },
    { expect: "nobody-runs-on-anothers-lease", withinMs: 10_000 },
    { probe: "stop", packets: 2_000 },
    { expect: "no-packet-lost", withinMs: 0 },
    { act: "start-agent", node: 1 },
    { expect: "kernel-equals-leases", withinMs: 5_000 },
    { expect: "pods-reach-each-other", withinMs: 5_000 },
    { act: "heal" },
    { expect: "kernel-equals-leases", withinMs: 5_000 },
    { expect: "pods-reach-each-other", withinMs: 5_000 },
  ],
};
